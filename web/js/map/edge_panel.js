/* SPDX-License-Identifier: Apache-2.0 */
/** One edge in the panel: its sentences, a small series, what each end saw, and where to go on. */
import {h, num, replace} from "../dom.js";
import {bytes, count, plural, rate, share} from "../format.js";
import {sparkline} from "../histogram.js";
import {createLoader} from "../load.js";
import {said} from "../signs.js";
import {bothSaw, observedText} from "./model.js";
import {VIEW_ROWS} from "./views.js";

/** @typedef {import("./model.js").GraphEdge} GraphEdge */
/** @typedef {import("./model.js").GraphNode} GraphNode */
/** @typedef {import("../types.js").Context} Context */

const POINTS = 60;
const STEPS = [1, 2, 5, 10, 30, 60, 300, 900, 3600, 7200, 14400];

/** The series that shows the worst sign; bytes where nothing stands out. @type {Record<string, {label: string, of: (d: any) => number | null, format: (n: number | null) => string}>} */
const SERIES = {
	failed: {label: "failed, share of attempts", of: (d) => d.attempts || d.failed ? d.failed / Math.max(d.attempts, d.failed) : null, format: share},
	retransmits: {label: "retransmits, share of segments", of: (d) => d.segs ? d.retransmit_ratio : null, format: share},
	slow_reader: {label: "waiting for the reader, share of the busy time", of: (d) => maximum(d.rwnd_limited_share_c2s, d.rwnd_limited_share_s2c), format: share},
	send_buffer: {label: "held by the send buffer, share of the busy time", of: (d) => maximum(d.sndbuf_limited_share_c2s, d.sndbuf_limited_share_s2c), format: share},
	bytes: {label: "both ways", of: (d) => d.bytes_per_s ?? null, format: rate},
};

/** @param {number | undefined} a @param {number | undefined} b */
const maximum = (a, b) => a === undefined && b === undefined ? null : Math.max(a ?? 0, b ?? 0);

/** @param {GraphEdge} edge */
function seriesOf(edge) {
	const sign = edge.signs[0]?.sign ?? "bytes";
	return SERIES[sign] ?? (sign === "reset" || sign === "cut_off" ? SERIES.bytes : SERIES.failed);
}

/** A step of the range that gives about POINTS points. @param {number} seconds */
const stepOf = (seconds) => STEPS.find((step) => seconds / step <= POINTS) ?? 86400;

/** @param {any} answer  /edges/{id} */
function views(answer) {
	const seen = {client: answer.views?.client ?? {}, server: answer.views?.server ?? {}};
	const known = {client: Object.keys(seen.client).length > 0, server: Object.keys(seen.server).length > 0};
	const cell = (/** @type {"client" | "server"} */ who, /** @type {typeof VIEW_ROWS[number]} */ row) => {
		const value = known[who] ? row.of(seen[who], who) : undefined;
		return h("td", {class: "right"}, value === undefined ? h("span", {class: "unknown", title: known[who] ? "this end cannot see it" : "no agent there"}, known[who] ? "–" : "not known") : num(value, row.format(value)));
	};
	return h("table", {class: "figures views"}, h("thead", null, h("tr", null, h("td"), h("th", {scope: "col", class: "right"}, "client saw"), h("th", {scope: "col", class: "right"}, "server saw"))),
		h("tbody", null, VIEW_ROWS.map((row) => h("tr", null, h("th", {scope: "row", title: row.hint}, row.label), cell("client", row), cell("server", row)))));
}

/** @param {any} answer  the series  @param {GraphEdge} edge */
function series(answer, edge) {
	const what = seriesOf(edge);
	const values = (answer.points ?? []).map((/** @type {any} */ p) => what.of(p.derived));
	const known = values.filter((/** @type {number | null} */ v) => v !== null);
	if (known.length === 0)
		return null;
	const last = known[known.length - 1];
	return h("figure", {class: "mini"}, h("figcaption", null, what.label, h("span", {class: "grow"}), num(last, what.format(last)), h("span", {class: "mute"}, ` most ${what.format(Math.max(...known))}`)),
		sparkline(values, {label: `${what.label}: last ${what.format(last)}, most ${what.format(Math.max(...known))}`}));
}

/**
 * Several ports or protocols between the same two: each is an edge of its own.
 * @param {any[]} edges
 * @param {string} chosen
 * @param {Context} context
 */
function several(edges, chosen, context) {
	return h("div", null, h("h3", null, plural(edges.length, "edge"), " between them"), h("ul", {class: "neighbours"}, edges.slice(0, 12).map((edge) => h("li", null,
		h("a", {href: context.href({page: "edge", id: edge.id})}, `${edge.protocol} :${edge.port}`), edge.id === chosen && h("span", {class: "mute"}, "shown above"), num(edge.derived.bytes, bytes(edge.derived.bytes))))));
}

/** @param {Context} context */
export function createEdgePanel(context) {
	const sub = h("p", {class: "mute"});
	const signs = h("div", {class: "sentences"});
	const now = h("p", {class: "now"});
	const status = h("div", {class: "status", role: "status"});
	const more = h("div", {class: "panel-more"});
	const links = h("p", {class: "panel-links"});
	const element = h("div", {class: "edge-panel"}, sub, signs, now, status, more, links);
	/** @type {GraphEdge | null} */
	let edge = null;
	/** @type {string[]} */
	let ids = [];

	const loader = createLoader({
		what: "this edge", status,
		async ask(signal) {
			const range = context.range();
			let list = /** @type {any[]} */ ([]);
			/* of several the one with the worst sign */
			let id = edge?.edge ?? edge?.signs[0]?.edge ?? "";
			if (edge?.kind === "group" && edge.client_service !== undefined && edge.server_service !== undefined && context.state().group === "service") {
				list = (await context.api.get("/edges", {...range, client: edge.client_service, server: edge.server_service, limit: 100}, {signal})).edges;
				id ||= list[0]?.id ?? "";
			}
			if (!id)
				return {list, id, one: null, points: null};
			const path = `/edges/${encodeURIComponent(id)}`;
			const one = await context.api.get(path, {...range, limit: 1}, {signal});
			const points = await context.api.get(`${path}/series`, {...range, step: `${stepOf(one.to - one.from)}s`}, {signal});
			return {list, id, one, points};
		},
		show({list, id, one, points}) {
			if (!edge)
				return;
			ids = list.length ? list.map((e) => e.id) : id ? [id] : [];
			replace(more, one ? [points && series(points, edge), views(one), list.length > 1 && several(list, id, context)].filter(Boolean) : summed(edge));
			replace(links, id && h("a", {class: "button", href: context.href({page: "edge", id})}, "Edge page: why?"),
				edge.client_service !== undefined && h("a", {class: "button", href: context.href({page: "service", service: edge.client_service})}, "Client"),
				edge.server_service !== undefined && h("a", {class: "button", href: context.href({page: "service", service: edge.server_service})}, "Server"));
			tick();
		},
	});

	function tick() {
		const on = ids.map((id) => context.live.edges().get(id)).filter(Boolean);
		const interval_s = context.live.newest()?.interval_s;
		if (on.length === 0 || !interval_s || !context.state().live || context.state().from !== 0)
			return replace(now);
		const sum = (/** @type {string} */ key) => on.reduce((n, e) => n + (e[key] ?? 0), 0);
		replace(now, h("strong", null, "now "), num(sum("c2s_bytes") + sum("s2c_bytes"), rate((sum("c2s_bytes") + sum("s2c_bytes")) / interval_s)), ", ",
			num(sum("opened"), `${count(sum("opened") / interval_s)} opens/s`), ", ", num(sum("failed"), `${count(sum("failed") / interval_s)} failed/s`, {class: sum("failed") > 0 ? "text-2" : ""}));
	}

	return {
		element, tick,
		stop: () => loader.stop(),
		/** @param {GraphEdge} next @param {Map<string, GraphNode>} nodes */
		update(next, nodes) {
			const fresh = edge === null;
			edge = next;
			const zones = [nodes.get(next.source)?.zone, nodes.get(next.target)?.zone].map((zone) => zone || "no zone");
			replace(sub, zones[0] === zones[1] ? (zones[0] === "no zone" ? "" : `within ${zones[0]}, `) : `${zones[0]} → ${zones[1]}, `, h("span", {class: bothSaw(next.observed_by) ? null : "one-sided-text"}, observedText(next.observed_by)), `, ${next.protocol}`);
			replace(signs, next.signs.length ? next.signs.map(said) : h("p", {class: "sentence severity-0"}, "Nothing stands out: no attempt fails, nobody waits for a slow reader, next to no retransmits."));
			void loader.run(fresh);
		},
	};
}

/** Where no single edge of the store is behind the line. @param {GraphEdge} edge */
function summed(edge) {
	const d = edge.derived;
	const rows = /** @type {[string, number | undefined, (n: any) => string][]} */ ([["client to server", d.c2s_bytes, bytes], ["server to client", d.s2c_bytes, bytes], ["opened", d.opened, count], ["failed", d.failed, count], ["edges behind it", edge.edges, count]]);
	return h("table", {class: "figures"}, h("tbody", null, rows.map(([label, value, format]) => h("tr", null, h("th", {scope: "row"}, label), h("td", {class: "right"}, num(value, format(value)))))));
}
