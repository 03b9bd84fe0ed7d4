/* SPDX-License-Identifier: Apache-2.0 */
/* Edge: why is it so? The sentence first, then what both ends saw, over time, by cause, as histograms, and by host pair. */
import {ApiError} from "../api.js";
import {h, icon, name, plain} from "../dom.js";
import {ago, plural} from "../format.js";
import {histogramPicture} from "../histogram.js";
import {createLoader} from "../load.js";
import {notice} from "../notice.js";
import {said} from "../signs.js";
import {card, choice, createBody, dated, facts, figure, keep, serviceLink, span, steer} from "./kit.js";
import {calm, observers, oneSided, silent} from "./edge_model.js";
import {PICTURES, createCharts} from "./edge_series.js";
import {failures, names, views} from "./edge_views.js";
import {pairsTable} from "./edge_pairs.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("../types.js").State} State */
/** @typedef {import("./answers.js").EdgeAnswer} EdgeAnswer */
/** @typedef {import("./answers.js").Edge} Edge */
/** @typedef {import("./answers.js").SeriesAnswer} SeriesAnswer */

const PAIRS = 500;

/** @type {[string, string][]} */
const STEPS = [["auto", "fitting"], ["1s", "1 s"], ["10s", "10 s"], ["1m", "1 min"], ["5m", "5 min"], ["1h", "1 h"]];

/** Which histogram says what; the observer that must be there. @type {[string, string, "client" | "server"][]} */
const HISTOGRAMS = [
	["client_c2s_srtt", "srtt, measured by the client", "client"],
	["server_s2c_srtt", "srtt, measured by the server", "server"],
	["client_handshake", "Handshake: SYN to established, at the client", "client"],
	["server_handshake", "Handshake: first round trip, at the server", "server"],
];

/** @type {Record<string, string>} */
const SEEN = {both: "seen from both ends", client: "seen from the client's end only", server: "seen from the server's end only", network: "seen by the network only"};

/** @param {Edge} edge */
const title = (edge) => [name(edge.client_service, 60), " \u2192 ", name(edge.server_service, 60), h("span", {class: "mute"}, ` :${edge.port} ${edge.protocol}`)];

/** @param {EdgeAnswer} a @param {State} state @param {Context} context */
function sub(a, state, context) {
	const {edge} = a;
	const zones = edge.client_zone || edge.server_zone ? `${edge.client_zone ? plain(edge.client_zone, 40) : "no zone"} \u2192 ${edge.server_zone ? plain(edge.server_zone, 40) : "no zone"}, ` : "";
	return h("p", {class: "sub lead-links", "data-key": "sub"}, zones, SEEN[edge.observed_by] ?? (edge.observed_by ? `seen by ${edge.observed_by}` : "not seen in this range"), ", ", span(a.from, a.to), " \u00b7 ",
		"client ", serviceLink(context, edge.client_service), " \u00b7 server ", serviceLink(context, edge.server_service), " \u00b7 ",
		h("a", {href: context.href({page: "map", focus: `service:${edge.server_service}`})}, "on the map"),
		Boolean(state.from || state.to) && [" \u00b7 ", h("a", {href: context.href({range: state.range})}, `back to the last ${state.range}`)]);
}

/** @param {Edge} edge */
function why(edge) {
	const signs = edge.signs ?? [];
	const worst = signs[0]?.severity ?? 0;
	return h("section", {class: `card verdict-card verdict-${worst > 1 ? "serious" : worst ? "look" : "ok"}`, "data-key": "why", "data-part": "why", "aria-labelledby": "part-why"},
		h("h2", {id: "part-why"}, "Why"),
		signs.length === 0
			? h("p", {class: "lead", "data-calm": true}, icon("ok"), calm(edge))
			: h("ul", {class: "signs"}, signs.map((sign) => h("li", {"data-key": `${sign.sign} ${sign.side}`, "data-sign": sign.sign, "data-severity": sign.severity}, said(sign)))),
		oneSided(edge) ? h("p", {class: "sub", "data-one-sided": true}, icon("info"), oneSided(edge)) : null);
}

/** @param {Edge} edge */
function numbers(edge) {
	const d = edge.derived;
	return card("numbers", "In numbers", facts([
		["client to server", figure("bytes", d.c2s_bytes, "c2s_bytes")],
		["server to client", figure("bytes", d.s2c_bytes, "s2c_bytes")],
		["attempts / failed", [figure("count", d.attempts, "attempts"), " / ", figure("count", d.failed, "failed")]],
		["opened", figure("count", d.opened, "opened")],
		["open, on average", figure("mean", d.mean_open, "mean_open")],
		["retransmits", figure("share", d.retransmit_ratio, "retransmit_ratio")],
		["srtt p50 / p99", [figure("us", d.srtt_p50_us, "srtt_p50_us"), " / ", figure("us", d.srtt_p99_us, "srtt_p99_us")]],
		["handshake p50 / p99", [figure("us", d.handshake_p50_us, "handshake_p50_us"), " / ", figure("us", d.handshake_p99_us, "handshake_p99_us")]],
		["first row in this range", edge.first ? dated(edge.first) : "none"],
		["newest row", edge.last ? dated(edge.last) : "none"],
	], "facts-numbers"));
}

/** What dragging does, for the keyboard. @param {EdgeAnswer} a @param {Context} context */
function steps(a, context) {
	const {from, to} = a, span = to - from, half = Math.max(2, Math.ceil(span / 2));
	const link = (/** @type {string} */ label, /** @type {number} */ f, /** @type {number} */ t) => h("a", {class: "button small", "data-key": label, href: context.href({from: Math.max(0, f), to: t})}, label);
	return h("span", {class: "steps-time"}, link("earlier", from - half, to - half), link("later", from + half, to + half), link("closer", to - half, to), link("wider", from - span, to));
}

/** @param {EdgeAnswer} a @param {State} state @param {SeriesAnswer | null} series @param {string} refused @param {Context} context */
function overTime(a, state, series, refused, context) {
	const csv = context.api.url(`/edges/${a.edge.id}/series`, {...context.range(), step: state.step === "auto" ? null : state.step, format: "csv"});
	return card("series", "Over time",
		h("div", {class: "tools-line"}, choice(context, "A point is", "step", STEPS, state.step), h("span", {class: "sub"}, series ? `${plural(series.step, "second")} a point; drag over a picture to look closer. A gap: no row.` : refused),
			steps(a, context), h("span", {class: "grow"}), h("a", {class: "button small", href: csv, download: ""}, "CSV")),
		series && h("div", {class: "charts"}, PICTURES.map((p) => keep(`chart-${p.id}`))));
}

/** @param {EdgeAnswer} a */
function histograms(a) {
	const seen = observers(a.edge);
	const shown = HISTOGRAMS.filter(([, , observer]) => seen.includes(observer));
	return card("histograms", "How long it took", shown.length === 0 ? h("p", {class: "sub"}, "No end was watched: not known.")
		: h("div", {class: "charts"}, shown.map(([column, label]) => {
			const x = a.histograms[column];
			return h("div", {"data-key": column, "data-histogram": column}, histogramPicture(x, a.bucket_floors_us, label),
				x && h("p", {class: "sub"}, "p50 ", figure("us", x.p50_us, `${column}.p50_us`), ", p90 ", figure("us", x.p90_us, `${column}.p90_us`), ", p99 ", figure("us", x.p99_us, `${column}.p99_us`), " of ", figure("count", x.count, `${column}.count`), x.count === 1 ? " sample" : " samples"));
		})));
}

/** @param {EdgeAnswer} a @param {Context} context */
function quiet(a, context) {
	const {edge} = a, age = context.now() - edge.last;
	if (silent(edge))
		return h("div", {"data-key": "quiet"}, notice("empty", {title: "Nothing happened on this edge in this range", reason: "It is known from another time.", next: "Take a longer range above."}));
	const {from, to} = context.state();
	return from || to || !edge.last || age < 60 ? null
		: h("div", {"data-key": "quiet"}, notice("stale", {title: `Its newest row is ${ago(age)} old`.replace(" ago old", " old"), reason: "It has been silent since, or its agents have.", next: "Fleet says which agents report."}));
}

/** @param {EdgeAnswer} a @param {SeriesAnswer | null} series @param {string} refused @param {State} state @param {Context} context */
function view(a, series, refused, state, context) {
	if (silent(a.edge))
		return [sub(a, state, context), quiet(a, context), overTime(a, state, series, refused, context), names(a.edge)];
	return [
		sub(a, state, context),
		quiet(a, context),
		why(a.edge),
		h("div", {class: "columns", "data-key": "columns"}, h("div", {class: "stack"}, views(a)), h("div", {class: "stack"}, numbers(a.edge), failures(a.edge), names(a.edge)),
			h("div", {class: "stack over"}, overTime(a, state, series, refused, context), histograms(a))),
		keep("pairs"),
		a.pairs_matched > a.pairs.length ? h("p", {class: "sub", "data-key": "more"}, `The ${a.pairs.length} largest of ${a.pairs_matched} pairs.`) : null,
	];
}

/** Another step than the store's intervals allow is the reader's choice, not a broken page. @param {Promise<any>} asked @returns {Promise<{series: SeriesAnswer | null, refused: string}>} */
async function seriesOr(asked) {
	try {
		return {series: await asked, refused: ""};
	} catch (error) {
		if (error instanceof ApiError && error.kind === "refused")
			return {series: null, refused: `${error.message}: ${error.hint}`};
		throw error;
	}
}

/** @type {import("../types.js").Page} */
export const page = {
	id: "edge",
	title: "Edge",
	under: "map",
	params: {id: {type: "text", max: 64, default: ""}, step: {type: "enum", values: STEPS.map(([id]) => id), default: "auto"}, pairs: {type: "text", default: ""}},
	mount(root, context) {
		const body = createBody(root, "Edge");
		const pairs = pairsTable((v) => context.navigate({pairs: v || null}, {replace: true}));
		const charts = createCharts((from, to) => context.navigate({from, to: Math.max(to, from + 2)}));
		let asked = "", shown = "";
		steer(root, context);
		const loader = createLoader({
			what: "this edge",
			status: body.status,
			ask: async (signal) => {
				const state = context.state();
				const path = `/edges/${encodeURIComponent(state.id)}`, range = context.range();
				const [answer, {series, refused}] = await Promise.all([
					context.api.get(path, {...range, limit: PAIRS}, {signal}),
					seriesOr(context.api.get(`${path}/series`, {...range, step: state.step === "auto" ? null : state.step}, {signal})),
				]);
				return {state, answer, series, refused};
			},
			show: ({state, answer, series, refused}) => {
				body.heading.replaceChildren(...title(answer.edge));
				body.show(view(answer, series, refused, state, context), {...charts.elements, pairs: pairs.element});
				if (series)
					charts.update(series);
				pairs.update(answer.pairs);
			},
		});
		return {
			update(state, why) {
				pairs.setView(state.pairs);
				if (state.id !== shown) {
					body.clear();
					body.heading.textContent = "Edge";
				}
				shown = state.id;
				if (!state.id)
					return body.show([h("div", {"data-key": "none"}, notice("empty", {title: "No edge is chosen", next: "Choose one on the map or in its table."}))]);
				const question = `${state.id} ${state.step} ${state.range} ${state.from} ${state.to}`;
				if (question !== asked || why !== "state")
					void loader.run(question !== asked);
				asked = question;
			},
			unmount() {
				loader.stop();
				charts.destroy();
			},
		};
	},
};
