/* SPDX-License-Identifier: Apache-2.0 */
/* Doctor: is everything counted? The sums from the kernel to the store, hop by hop, and what to do where they do not add up. */
import {h, icon} from "../dom.js";
import {ago, plural, seconds} from "../format.js";
import {createLoader} from "../load.js";
import {createTable} from "../table.js";
import {notice} from "../notice.js";
import {RANGES} from "../state.js";
import {card, createBody, facts, figure, keep, span} from "./kit.js";
import {chainOf, nextSteps} from "./doctor_model.js";
import {river, whole} from "./doctor_picture.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("./answers.js").Health} Health */
/** @typedef {import("./doctor_model.js").HopView} HopView */

const RANGE_MAX_S = 86400;

/** @type {Record<Health["status"], [string, Parameters<typeof icon>[0], string]>} */
const HEAD = {
	ok: ["ok", "ok", "Everything adds up"],
	loss: ["look", "look", "Some was lost, and it is known what"],
	broken: ["serious", "serious", "It does not add up"],
	no_data: ["none", "none", "Nothing was measured"],
};

/** The table behind the picture. @param {(view: string) => void} onView */
const table = (onView) => createTable(/** @type {import("../table.js").Options<HopView & {step: number}>} */ ({
	caption: "The chain as a table",
	key: (v) => v.hop.hop,
	sort: "step",
	empty: "The server named no hop.",
	onView,
	rowClass: (v) => v.verdict === "bad" ? "severity-2" : v.verdict === "loss" ? "severity-1" : "",
	columns: [
		{id: "hop", label: "hop", kind: "text", value: (v) => v.hop.hop},
		{id: "step", label: "step", kind: "number", value: (v) => v.step},
		{id: "in", label: "in", kind: "number", value: (v) => v.hop.in, show: (v) => whole(v.hop.in, "in")},
		{id: "out", label: "out", kind: "number", value: (v) => v.hop.out, show: (v) => whole(v.hop.out, "out")},
		{id: "lost", label: "lost", kind: "number", value: (v) => v.hop.lost_total, show: (v) => whole(v.hop.lost_total, "lost_total")},
		{id: "missing", label: "missing", kind: "number", value: (v) => v.hop.missing, show: (v) => whole(v.hop.missing, "missing")},
		{id: "unit", label: "of", kind: "text", value: (v) => v.hop.unit, wide: true},
		{id: "verdict", label: "verdict", kind: "text", value: (v) => v.word},
		{id: "instances", label: "lines from", kind: "number", hint: "How many instances wrote a line of the ledger", value: (v) => v.hop.instances, wide: true},
		{id: "reasons", label: "lost by reason", kind: "text", value: (v) => v.losses.map((l) => `${l.reason} ${l.count}`).join(", "), wide: true},
	],
}));

/** @param {Health} a */
function head(a) {
	const [look, picture, title] = HEAD[a.status];
	const {agents, edges} = a;
	return h("section", {class: `card verdict-card verdict-${look}`, "data-key": "verdict", "data-status": a.status, "aria-labelledby": "part-verdict"},
		h("h2", {id: "part-verdict"}, icon(picture), title),
		h("p", {class: "lead"}, `${a.sentence.charAt(0).toUpperCase()}${a.sentence.slice(1)}.`),
		facts([
			["range", span(a.from, a.to)],
			["newest interval", a.newest_age_s === null ? "nothing stored yet" : ["ended ", h("span", {"data-field": "newest_age_s", "data-value": a.newest_age_s}, ago(a.newest_age_s))]],
			["an interval is", seconds(a.interval_s)],
			["agents reporting", [figure("count", agents.reporting, "agents.reporting"), " of ", figure("count", agents.known, "agents.known")]],
			["edge rows seen from both ends", figure("share", edges.both_share, "edges.both_share")],
		]));
}

/** @param {Health} a @param {string} origin */
function next(a, origin) {
	const steps = nextSteps(a, origin);
	return steps.length === 0 ? null : card("next", "What to do next",
		h("ol", {class: "steps"}, steps.map((s) => h("li", {"data-key": s.command}, s.text, h("code", {class: "command"}, s.command)))));
}

/** @param {Health} a */
function partial(a) {
	const silent = a.agents.silent.length;
	return silent === 0 ? null : h("div", {"data-key": "partial"}, notice("partial", {
		title: `${plural(silent, "agent")} of ${a.agents.known} ${silent === 1 ? "is" : "are"} silent: the picture is not whole`,
		reason: "What their hosts did is known from the other ends only, or not at all.",
		next: "The page Fleet says since when.",
	}));
}

/** Live, and nothing new for a while: the numbers below are old ones. @param {Health} a @param {boolean} open */
function stale(a, open) {
	const age = a.newest_age_s;
	if (!open || age === null || age <= Math.max(10, 5 * a.interval_s))
		return null;
	return h("div", {"data-key": "stale"}, notice("stale", {
		title: `Nothing new has been stored for ${ago(age).replace(" ago", "")}`,
		reason: a.agents.reporting === 0 ? "No agent reports." : "Agents report, but their rows do not arrive.",
		next: a.agents.reporting === 0 ? "Is an agent running? On its host:" : "The collector or the graph stands still; its log says more:",
		command: a.agents.reporting === 0 ? "systemctl status skyfall-agent" : "skyfall doctor",
	}));
}

/** @param {Health} a @param {number} wanted_s the range asked for */
function capped(a, wanted_s) {
	return wanted_s <= RANGE_MAX_S ? null : h("div", {"data-key": "capped"}, notice("partial", {
		title: `Only ${seconds(a.to - a.from)} of the range are balanced here`, reason: "A day is the most that is balanced at once: the last one of the range.",
	}));
}

/** @param {Health} a */
function writer(a) {
	const w = a.writer;
	return card("writer", "The store's writer", facts([
		["tried again", whole(w.retries, "writer.retries")],
		["messages nobody could read", whole(w.poison, "writer.poison")],
		["rows that came twice", whole(w.duplicates, "writer.duplicates")],
		["error", w.error ? h("strong", {class: "bad"}, w.error) : "none"],
	]));
}

/** @param {Health} a @param {HopView[]} chain @param {string} origin @param {State} state */
export function view(a, chain, origin, state) {
	return [
		head(a),
		stale(a, !state.to),
		capped(a, state.to ? state.to - state.from : RANGES[state.range]),
		partial(a),
		next(a, origin),
		card("chain", "From the kernel to the store",
			h("p", {class: "sub"}, "At every hop what came in is what went out and what was lost, each loss with its reason. The first hop where that is not so is where to look."),
			river(chain)),
		keep("table"),
		writer(a),
	];
}

/** @type {import("../types.js").Page} */
export const page = {
	id: "doctor",
	title: "Doctor",
	nav: "Doctor",
	params: {table: {type: "text", default: ""}},
	mount(root, context) {
		const body = createBody(root, "Doctor: is everything counted?");
		const hops = table((view) => context.navigate({table: view || null}, {replace: true}));
		let asked = "";
		/** Open ranges end at the newest interval that has settled: the server knows which. A day is the most it balances. */
		const range = () => {
			const {range, from, to} = context.state();
			if (from || to)
				return {from: Math.max(from, to - RANGE_MAX_S), to};
			return {from: RANGES[range] > RANGE_MAX_S ? "-24h" : `-${range}`};
		};
		const loader = createLoader({
			what: "the chain of sums",
			status: body.status,
			ask: (signal) => context.api.get("/health", range(), {signal}),
			show: (/** @type {Health} */ a) => {
				const chain = chainOf(a);
				body.show(view(a, chain, location.origin, context.state()), {table: hops.element});
				hops.update(chain.map((v, i) => ({...v, step: i + 1})));
			},
		});
		return {
			update(state, why) {
				hops.setView(state.table);
				const question = `${state.range} ${state.from} ${state.to}`;
				if (why !== "state" || question !== asked)
					void loader.run(question !== asked);
				asked = question;
			},
			unmount: loader.stop,
		};
	},
};
