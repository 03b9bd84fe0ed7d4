/* SPDX-License-Identifier: Apache-2.0 */
/** The line of numbers over the map: what exists, what is wrong, how complete the picture is. */
import {h, icon, num, replace} from "../dom.js";
import {count, rate, share} from "../format.js";

/** @typedef {import("../types.js").Context} Context */

/** @type {Record<string, [string, string]>} */
const WORDS = {service: ["service", "services"], host: ["host", "hosts"], zone: ["zone", "zones"], net: ["net", "nets"]};

/** @param {Context} context */
export function createStat(context) {
	const element = h("div", {class: "stat", role: "group", "aria-label": "In numbers"});
	const now = h("span", {class: "stat-now", hidden: true});

	/** @param {string} id @param {number | null} value @param {string} shown @param {(Node | string | false)[]} rest */
	const one = (id, value, shown, ...rest) => h("span", {class: "stat-one", "data-stat": id}, h("strong", null, num(value, shown)), " ", ...rest);

	return {
		element,
		/** @param {import("./model.js").Graph} graph */
		update(graph) {
			const {completeness: c, matched: m} = graph;
			const [single, many] = WORDS[graph.group] ?? ["node", "nodes"];
			const silent = c.hosts - c.hosts_reporting;
			const missing = c.adds_up === false;
			replace(element,
				h("a", {class: `stat-one ${m.signs > 0 ? "text-2" : ""}`, "data-stat": "signs", href: context.href({only: context.state().only === "signs" ? "all" : "signs"})}, icon(m.signs > 0 ? "serious" : "ok"), " ", h("strong", null, num(m.signs, count(m.signs))), m.signs === 1 ? " edge needs a look" : " edges need a look"),
				h("span", {class: "stat-one"}, h("strong", {"data-stat": "edges"}, num(m.edges, count(m.edges))), m.edges === 1 ? " edge, " : " edges, ", h("strong", {"data-stat": "nodes"}, num(m.nodes, count(m.nodes))), ` ${m.nodes === 1 ? single : many}`),
				h("a", {class: `stat-one ${silent > 0 ? "text-1" : ""}`, "data-stat": "agents", href: context.href({page: "hosts"})}, silent > 0 && icon("look"), " ", h("strong", null, num(c.hosts_reporting, `${count(c.hosts_reporting)} of ${count(c.hosts)}`)), ` ${c.hosts === 1 ? "agent" : "agents"} reporting`),
				one("both", c.edges > 0 ? c.both / c.edges : null, c.edges > 0 ? share(c.both / c.edges).replace(/\.0+(?=\D)/, "") : "not known", "of edges seen from both ends"),
				h("a", {class: `stat-one ${c.rows_lost > 0 || missing ? "text-1" : ""}`, "data-stat": "lost", href: context.href({page: "doctor"})}, (c.rows_lost > 0 || missing) && icon("look"), " ", h("strong", null, num(c.rows_lost, count(c.rows_lost))), ` ${c.rows_lost === 1 ? "row" : "rows"} lost`, missing && ", sums do not add up"), now);
		},
		tick() {
			const newest = context.live.newest();
			const total = newest?.totals?.bytes;
			now.hidden = !context.state().live || context.state().from !== 0 || typeof total !== "number" || !newest;
			if (newest && typeof total === "number")
				replace(now, h("strong", null, num(total, rate(total / newest.interval_s))), " now");
		},
	};
}
