/* SPDX-License-Identifier: Apache-2.0 */
/* Services: the top by any sum, now and in the range before. */
import {h, icon, name} from "../dom.js";
import {createFilterBar} from "../filter_bar.js";
import {parseFilter} from "../filter_text.js";
import {change, count, plural} from "../format.js";
import {createLoader} from "../load.js";
import {createTable} from "../table.js";
import {notice} from "../notice.js";
import {barred, choice, createBody, figure, keep, span, steer} from "./kit.js";
import {METRICS, metricOf, rowsOf} from "./services_model.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("../types.js").State} State */
/** @typedef {import("./services_model.js").ServiceRow} ServiceRow */
/** @typedef {import("./services_model.js").Metric} Metric */

const LIMIT = 1000;
/** Of the filter's keys those that narrow edges without naming an end: a list of all ends by name is what the page is. */
const KEYS = ["zone", "net", "port", "protocol"];

/** What of the filter the list can use, and the keys it cannot. @param {string} filter */
export function termsOf(filter) {
	const terms = Object.entries(parseFilter(filter).terms);
	return {terms: Object.fromEntries(terms.filter(([key]) => KEYS.includes(key))), unused: terms.map(([key]) => key).filter((key) => !KEYS.includes(key))};
}

/** @type {Record<ServiceRow["trend"], string>} */
const TREND = {new: "new", gone: "gone", up: "\u25b2", down: "\u25bc", same: "\u25a0", unknown: ""};

/** @param {ServiceRow} r */
function trend(r) {
	const text = change(r.value, r.before);
	const mark = r.trend === "up" || r.trend === "down";
	return h("span", {class: `trend trend-${r.trend}`}, mark && h("span", {class: "trend-mark", "aria-hidden": "true"}, TREND[r.trend], "\u00a0"), text);
}

/** @param {ServiceRow} r @param {Metric} m */
const beforeText = (r, m) => r.before === null ? "" : `${m.label} in the range before: ${r.before}`;

/**
 * A table for one metric; `most` is the largest value of what is shown.
 * @param {Context} context @param {Metric} m @param {() => number} most
 */
const table = (context, m, most) => createTable(/** @type {import("../table.js").Options<ServiceRow>} */ ({
	caption: `Services by ${m.label}`,
	key: (r) => r.service,
	sort: "-value",
	empty: "No service matches.",
	href: (r) => context.href({page: "service", service: r.service}),
	onOpen: (r) => context.navigate({page: "service", service: r.service}),
	onView: (view) => context.navigate({table: view || null}, {replace: true}),
	columns: [
		{id: "service", label: "service", kind: "text", value: (r) => r.service, show: (r) => name(r.service, 36)},
		{id: "value", label: m.label, kind: "number", hint: "As client and as server together", value: (r) => r.value, show: (r) => barred(m.unit, r.value, most())},
		{id: "change", label: "against before", kind: "number", hint: "Against the range of the same length before this one", value: (r) => r.trend === "new" ? 1e9 : r.trend === "gone" ? -1 : r.trend === "same" ? 0 : r.change, show: trend, hover: (r) => beforeText(r, m)},
		{id: "as_client", label: "as client", kind: "number", value: (r) => r.as_client, show: (r) => figure(m.unit, r.as_client, "as_client"), wide: true},
		{id: "as_server", label: "as server", kind: "number", value: (r) => r.as_server, show: (r) => figure(m.unit, r.as_server, "as_server"), wide: true},
		{id: "callers", label: "edges in", kind: "number", hint: "Edges in which it is the server", value: (r) => r.callers, show: (r) => count(r.callers), wide: true},
		{id: "callees", label: "edges out", kind: "number", hint: "Edges in which it is the client", value: (r) => r.callees, show: (r) => count(r.callees), wide: true},
		{id: "failed", label: "failed attempts", kind: "number", hint: "Of its own, as client", value: (r) => r.failed, show: failures, wide: true},
	],
}));

/** @param {ServiceRow} r */
function failures(r) {
	return r.failed ? h("span", {class: "state state-look"}, icon("look"), count(r.failed)) : h("span", null, "0");
}

/** @param {any} answer @param {ServiceRow[]} rows @param {State} state @param {Context} context */
function head(answer, rows, state, context) {
	const compared = rows.some((r) => r.before !== null);
	const fresh = rows.filter((r) => r.trend === "new").length, gone = rows.filter((r) => r.trend === "gone").length;
	return h("div", {class: "card tools", "data-key": "tools"},
		choice(context, "Top by", "metric", METRICS.map((m) => [m.id, m.label]), state.metric),
		h("label", {class: "choice"}, h("input", {type: "checkbox", "data-param": "compare", checked: state.compare}), h("span", null, "against the range before")),
		h("p", {class: "sub"}, figure("count", answer.matched, "matched"), ` ${answer.matched === 1 ? "service" : "services"} in `, span(answer.from, answer.to),
			state.compare && rows.length > 0 && (!compared ? "; nobody was seen in the range before" : fresh || gone ? `; ${[fresh && `${fresh} new`, gone && `${gone} gone`].filter(Boolean).join(", ")}` : "; none new, none gone"), "."),
		answer.matched > rows.length && h("p", {class: "sub"}, `The first ${plural(rows.length, "service")} are shown; the CSV has up to 10 000.`));
}

/** @param {string} filter */
function unused(filter) {
	const keys = termsOf(filter).unused;
	return keys.length === 0 ? null : h("div", {"data-key": "unused"}, notice("partial", {
		title: `Not used on this page: ${keys.join(", ")}`,
		reason: "The filter here takes zone, net, port and protocol.",
		next: "A service is found by name in the first column's filter.",
	}));
}

/** @param {State} state */
const nothing = (state) => h("div", {"data-key": "nothing"}, notice("empty", Object.keys(termsOf(state.filter).terms).length > 0 ? {
	title: "No service passes the filter in this range",
	reason: `The filter is: ${state.filter}`,
	next: "Change it or take it away above.",
} : {
	title: "No service was seen in this range",
	reason: state.from || state.to ? "The range may lie before the first agent, or be older than what is kept." : "No agent reported, or nothing connected.",
	next: "Take a longer range above, or see whether agents report:",
	command: "skyfall doctor",
}));

/** @type {import("../types.js").Page} */
export const page = {
	id: "services",
	title: "Services",
	nav: "Services",
	params: {
		metric: {type: "enum", values: METRICS.map((m) => m.id), default: "bytes"},
		compare: {type: "flag", default: true},
		table: {type: "text", default: ""},
	},
	mount(root, context) {
		const body = createBody(root, "Services");
		let most = 0;
		/** @type {Record<string, import("../table.js").Table<ServiceRow>>} */
		const tables = {};
		const tableOf = (/** @type {string} */ id) => tables[id] ??= table(context, metricOf(id), () => most);
		let asked = "";
		const filter = createFilterBar({onApply: (line) => context.navigate({filter: line})});
		root.insertBefore(filter.element, body.status);
		steer(root, context);

		const params = (/** @type {State} */ state) => ({...context.range(), ...termsOf(state.filter).terms, sort: state.metric, limit: LIMIT, compare: state.compare ? "previous" : null});
		const loader = createLoader({
			what: "the services",
			status: body.status,
			ask: async (signal) => {
				const state = context.state();
				return {state, answer: await context.api.get("/services", params(state), {signal})};
			},
			show: ({state, answer}) => {
				const m = metricOf(state.metric);
				const rows = rowsOf(answer.services, m);
				most = Math.max(...rows.map((r) => r.value), 0);
				const list = tableOf(m.id);
				const key = `table-${m.id}`;
				body.show([unused(state.filter), head(answer, rows, state, context), rows.length === 0 ? nothing(state) : keep(key)], {[key]: list.element});
				list.setView(state.table);
				list.setCsv(context.api.url("/services", {...params(state), limit: 10000, format: "csv"}));
				list.update(rows);
			},
		});
		return {
			update(state, why) {
				const question = JSON.stringify([state.metric, state.compare, state.range, state.from, state.to, state.filter]);
				filter.set(state.filter);
				if (question !== asked || why !== "state")
					void loader.run(question !== asked);
				else
					tableOf(state.metric).setView(state.table);
				asked = question;
			},
			unmount: loader.stop,
		};
	},
};
