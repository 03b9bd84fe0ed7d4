/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends side by side, failures by cause, and where the names came from. */
import {h, icon, num, plain} from "../dom.js";
import {share} from "../format.js";
import {bar, card, facts, figure} from "./kit.js";
import {FLAGS, GROUPS, cellOf, difference, observers, rungText} from "./edge_model.js";

/** @typedef {import("./answers.js").EdgeAnswer} EdgeAnswer */
/** @typedef {import("./answers.js").Edge} Edge */
/** @typedef {import("./edge_model.js").Row} Row */
/** @typedef {import("./edge_model.js").Observer} Observer */

/** @param {Row} row @param {EdgeAnswer} answer @param {Observer} observer */
function cell(row, answer, observer) {
	const {state, value} = cellOf(row, answer, observer);
	const field = `${observer}.${row.id}`;
	if (state === "nobody")
		return h("td", {class: "right"}, num(null, answer.edge.observed_by ? "not watched" : "no row", {"data-field": field}));
	if (state === "unseen")
		return h("td", {class: "right"}, num(null, "\u2013", {"data-field": field, title: `The ${observer} cannot see this`}));
	return h("td", {class: "right"}, figure(row.unit, value, field));
}

/** Beside the row's name where two ends that should agree do not. @param {Row} row @param {EdgeAnswer} answer */
function differs(row, answer) {
	const d = difference(row, cellOf(row, answer, "client"), cellOf(row, answer, "server"));
	return d && h("span", {class: `differs state ${d.large ? "state-look" : "state-none"}`, "data-differs": row.id, "data-value": d.part},
		icon(d.large ? "look" : "info"), `the ${d.more} saw ${share(d.part)} more`);
}

/** @param {EdgeAnswer} answer */
export function views(answer) {
	const network = observers(answer.edge).includes("network");
	/** @type {Observer[]} */
	const who = network ? ["client", "server", "network"] : ["client", "server"];
	return card("views", "Both views",
		h("div", {class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Both views as a table"}, h("table", {class: "views"},
			h("caption", {class: "visually-hidden"}, "What each end saw, side by side"),
			h("thead", null, h("tr", null, h("th", {scope: "col", class: "left"}, "what"), who.map((o) => h("th", {scope: "col", class: "right"}, `${o} saw`)))),
			GROUPS.map((group) => h("tbody", {"data-key": group.title},
				h("tr", {class: "group"}, h("th", {scope: "rowgroup", colspan: who.length + 1, class: "left"}, group.title, h("span", {class: "mute"}, `, ${group.note}`))),
				group.rows.map((row) => h("tr", {"data-key": row.id, "data-row": row.id}, h("th", {scope: "row", class: "left", title: row.about}, row.label, differs(row, answer)), who.map((o) => cell(row, answer, o)))))))));
}

/** @type {Record<string, string>} */
const CAUSES = {
	refused: "refused: nothing listens there",
	timeout: "never answered: dropped on the way, or the host is down",
	unreachable: "the network answered 'unreachable'",
	no_port: "no free local port was left",
	abandoned: "given up by the client before an answer",
	no_route: "the client's host knows no way there",
	other: "another error",
};

/** @param {Edge} edge */
export function failures(edge) {
	const {attempts, failed, failed_by} = edge.derived;
	const causes = Object.entries(failed_by ?? {}).sort((a, b) => b[1] - a[1]);
	const of = Math.max(attempts, failed);
	if (attempts === undefined)
		return card("failures", "Failures by cause", h("p", {class: "sub"}, "Not known: a datagram is not answered by the network."));
	return card("failures", "Failures by cause", causes.length === 0
		? h("p", {class: "sub"}, attempts ? ["None of ", figure("count", attempts, "attempts"), attempts === 1 ? " attempt failed." : " attempts failed."] : "No attempt in this range.")
		: h("table", {class: "failures"}, h("caption", {class: "left"}, figure("count", failed, "failed"), " of ", figure("count", attempts, "attempts"), " attempts failed"),
			h("thead", null, h("tr", null, h("th", {scope: "col", class: "left"}, "cause"), h("th", {scope: "col", class: "right"}, "attempts"), h("th", {scope: "col", class: "right"}, "share"), h("td", {class: "wide"}))),
			h("tbody", null, causes.map(([cause, n]) => h("tr", {"data-key": cause}, h("th", {scope: "row", class: "left"}, CAUSES[cause] ?? cause),
				h("td", {class: "right"}, figure("count", n, `failed_by.${cause}`)), h("td", {class: "right"}, share(n / of)), h("td", {class: "wide"}, bar(n / of, "bar-serious")))))));
}

/** @param {Edge} edge */
export function names(edge) {
	return card("names", "How it was named", facts([
		["client", [h("strong", null, edge.rungs.client.join(", ") || "none"), ": ", rungText(edge.rungs.client)]],
		["server", [h("strong", null, edge.rungs.server.join(", ") || "none"), ": ", rungText(edge.rungs.server)]],
		...(edge.via ? [/** @type {[string, string]} */ (["dialled", `${plain(edge.via, 80)}: the address the client dialled; it was led elsewhere on the way`])] : []),
		["to keep in mind", edge.flags.length === 0 ? "nothing special" : h("ul", null, edge.flags.map((flag) => h("li", {"data-key": flag}, h("code", null, flag), `: ${FLAGS[flag] ?? ""}`)))],
		["edge", h("code", null, edge.id)],
	]));
}
