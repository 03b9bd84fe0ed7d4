/* SPDX-License-Identifier: Apache-2.0 */
/* One service: who calls it, whom it calls, where it listens, on which hosts it runs. */
import {h, name} from "../dom.js";
import {micros, plural, share} from "../format.js";
import {createLoader} from "../load.js";
import {createTable} from "../table.js";
import {notice} from "../notice.js";
import {tag} from "../signs.js";
import {barred, card, createBody, facts, figure, hostLink, keep, span} from "./kit.js";
import {listenersTable} from "./listeners.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("./answers.js").Edge} Edge */
/** @typedef {import("./answers.js").Sums} Sums */
/** @typedef {import("./answers.js").ServiceAnswer} Answer */

const LIMIT = 1000;

/**
 * @param {Context} context @param {"callers" | "callees"} which @param {() => number} most
 */
const edgesTable = (context, which, most) => createTable(/** @type {import("../table.js").Options<Edge>} */ ({
	caption: which === "callers" ? "Callers: who connects to it" : "Callees: whom it connects to",
	key: (e) => e.id,
	sort: "-bytes",
	first: (a, b) => (b.signs?.[0]?.severity ?? 0) - (a.signs?.[0]?.severity ?? 0),
	empty: which === "callers" ? "Nobody connected to it in this range." : "It connected to nobody in this range.",
	href: (e) => context.href({page: "edge", id: e.id}),
	onOpen: (e) => context.navigate({page: "edge", id: e.id}),
	onView: (view) => context.navigate({[which]: view || null}, {replace: true}),
	rowClass: (e) => e.signs?.[0] ? `severity-${e.signs[0].severity}` : "",
	columns: [
		{id: "service", label: which === "callers" ? "caller" : "callee", kind: "text", value: (e) => which === "callers" ? e.client_service : e.server_service,
			show: (e) => name(which === "callers" ? e.client_service : e.server_service, 32)},
		{id: "signs", label: "stands out", hint: "The worst sign; hover for all", kind: "text", value: (e) => (e.signs ?? []).map((x) => x.sign).join(" "), show: (e) => tag(e.signs ?? [])},
		{id: "port", label: "port", kind: "number", value: (e) => e.port, show: (e) => String(e.port), hover: (e) => e.protocol},
		{id: "bytes", label: "bytes", kind: "number", value: (e) => e.derived.bytes, show: (e) => barred("bytes", e.derived.bytes, most())},
		{id: "opened", label: "opened", kind: "number", value: (e) => e.derived.opened, show: (e) => figure("count", e.derived.opened, "opened")},
		{id: "failed", label: "failed", kind: "number", value: (e) => e.derived.failed, show: (e) => figure("count", e.derived.failed, "failed")},
		{id: "retransmits", label: "retransmits", kind: "number", value: (e) => e.derived.retransmit_ratio, show: (e) => share(e.derived.retransmit_ratio), wide: true},
		{id: "srtt", label: "srtt p50", kind: "number", value: (e) => e.derived.srtt_p50_us, show: (e) => micros(e.derived.srtt_p50_us), wide: true},
		{id: "seen", label: "seen by", kind: "text", value: (e) => e.observed_by, wide: true},
	],
}));

/** One side's numbers. @param {string} title @param {Sums} sums @param {string} prefix */
function side(title, sums, prefix) {
	const d = sums.derived;
	return h("section", {class: "card part", "data-key": prefix, "data-part": prefix, "aria-labelledby": `part-${prefix}`}, h("h2", {id: `part-${prefix}`}, title),
		!d ? h("p", {class: "sub"}, "Nothing in this range.") : facts([
			["edges", figure("count", sums.edges, `${prefix}.edges`)],
			["bytes", figure("bytes", d.bytes, `${prefix}.bytes`)],
			["client to server / server to client", [figure("bytes", d.c2s_bytes, `${prefix}.c2s_bytes`), " / ", figure("bytes", d.s2c_bytes, `${prefix}.s2c_bytes`)]],
			["attempts", figure("count", d.attempts, `${prefix}.attempts`)],
			["opened", figure("count", d.opened, `${prefix}.opened`)],
			["failed", figure("count", d.failed, `${prefix}.failed`)],
			["open, on average", figure("mean", d.mean_open, `${prefix}.mean_open`)],
			["retransmits", figure("share", d.retransmit_ratio, `${prefix}.retransmit_ratio`)],
			["srtt p50 / p99", [figure("us", d.srtt_p50_us, `${prefix}.srtt_p50_us`), " / ", figure("us", d.srtt_p99_us, `${prefix}.srtt_p99_us`)]],
		], "facts-numbers"));
}

/** @param {Answer} a @param {Context} context */
function where(a, context) {
	return card("hosts", `Hosts (${a.hosts.length})`, a.hosts.length === 0
		? h("p", {class: "sub"}, "No address of it was seen in this range.")
		: h("ul", {class: "hosts-list"}, a.hosts.slice(0, 200).map((x) => h("li", {"data-key": `${x.address} ${x.scope}`}, x.host ? hostLink(context, x.host, x.hostname || x.host) : h("span", {class: "mute"}, "no agent"), " ", h("code", null, x.address)))),
	a.hosts.length > 200 && h("p", {class: "sub"}, `and ${a.hosts.length - 200} more`));
}

/** @param {Answer} a @param {Context} context */
function view(a, context) {
	const silent = a.callers.length === 0 && a.callees.length === 0;
	const full = [a.callers, a.callees].some((list) => list.length >= LIMIT);
	return [
		h("p", {class: "sub lead-links", "data-key": "links"}, span(a.from, a.to), " \u00b7 ", h("a", {href: context.href({page: "map", focus: `service:${a.service}`})}, "Show on the map, with its neighbours"), " \u00b7 ", h("a", {href: context.href({page: "services"})}, "All services")),
		silent ? h("div", {"data-key": "silent"}, notice("empty", {title: "It was silent in this range", reason: "It is known, but no edge of it has a row here.", next: "Take a longer range above."})) : null,
		full ? h("div", {"data-key": "full"}, notice("partial", {title: `Only its ${plural(LIMIT, "largest edge")} on a side are shown`, next: "The sums above count all of them."})) : null,
		h("div", {class: "pair", "data-key": "sums"}, side("As server", a.as_server, "as_server"), side("As client", a.as_client, "as_client")),
		keep("callers"), keep("callees"), keep("listeners"),
		where(a, context),
	];
}

const unnamed = () => h("div", {"data-key": "unnamed"}, notice("empty", {title: "No service is chosen", next: "Choose one on the page Services."}));

/** @type {import("../types.js").Page} */
export const page = {
	id: "service",
	title: "Service",
	under: "services",
	params: {service: {type: "text", default: ""}, callers: {type: "text", default: ""}, callees: {type: "text", default: ""}},
	mount(root, context) {
		const body = createBody(root, "Service");
		let most = 0, asked = "", shown = "";
		const callers = edgesTable(context, "callers", () => most), callees = edgesTable(context, "callees", () => most), listeners = listenersTable(context, "service");
		const loader = createLoader({
			what: "this service",
			status: body.status,
			ask: (signal) => context.api.get(`/services/${encodeURIComponent(context.state().service)}`, {...context.range(), limit: LIMIT}, {signal}),
			show: (/** @type {Answer} */ a) => {
				most = Math.max(...[...a.callers, ...a.callees].map((e) => e.derived.bytes ?? 0), 0);
				body.show(view(a, context), {callers: callers.element, callees: callees.element, listeners: listeners.element});
				const csv = {...context.range(), limit: 10000, format: "csv"};
				callers.setCsv(context.api.url("/edges", {...csv, server: a.service}));
				callees.setCsv(context.api.url("/edges", {...csv, client: a.service}));
				callers.update(a.callers);
				callees.update(a.callees);
				listeners.update(a.listeners);
			},
		});
		return {
			update(state, why) {
				callers.setView(state.callers);
				callees.setView(state.callees);
				if (state.service !== shown)
					body.clear();
				shown = state.service;
				body.heading.replaceChildren(state.service ? name(state.service, 80) : "Service");
				if (!state.service)
					return body.show([unnamed()]);
				const question = `${state.service}\n${state.range} ${state.from} ${state.to}`;
				if (question !== asked || why !== "state")
					void loader.run(question !== asked);
				asked = question;
			},
			unmount: loader.stop,
		};
	},
};
