/* SPDX-License-Identifier: Apache-2.0 */
/* One host: who it is, what its agent costs, its addresses, listeners and edges. */
import {h, icon, name, num, plain} from "../dom.js";
import {ago, count, exact, micros, share, time} from "../format.js";
import {createTable} from "../table.js";
import {card, facts, figure, keep, when} from "./kit.js";
import {COST} from "./hosts_model.js";
import {listenersTable} from "./listeners.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("./answers.js").Host} Host */
/** @typedef {import("./answers.js").Edge} Edge */
/** @typedef {import("./answers.js").Host["addresses"][number]} Address */

/** @param {string} key @param {number} value */
function cost(key, value) {
	const unit = COST[key]?.[1];
	const text = unit === "pm" ? share(value / 1000) : unit === "ns" ? micros(value / 1000) : null;
	return text === null ? figure(unit === "us" || unit === "bytes" ? unit : "count", value, `cost.${key}`)
		: num(value, text, {"data-field": `cost.${key}`, title: `${exact(value)} ${unit === "pm" ? "thousandths" : "ns"}`});
}

/** @param {Host} host */
export function heard(host) {
	return h("span", {class: `state ${host.reporting ? "state-ok" : "state-serious"}`}, icon(host.reporting ? "ok" : "serious"),
		host.reporting ? "reporting" : `silent for ${ago(host.age_s).replace(" ago", "")}`);
}

/** @param {Host} host */
function lossOf(host) {
	if (!host.loss)
		return h("span", {class: "unknown"}, "not known: no word from its agent in 5 minutes");
	const lost = Object.entries(host.loss.lost).filter(([, n]) => n > 0);
	return [figure("count", host.loss.rows_in, "loss.rows_in"), " rows measured, ", figure("count", host.loss.rows_out, "loss.rows_out"), " sent, ",
		lost.length === 0 ? "nothing lost" : h("strong", {class: "bad"}, "lost: ", lost.map(([reason, n], i) => h("span", null, i ? ", " : "", figure("count", n, `loss.lost.${reason}`), ` ${reason}`)))];
}

/** @param {Host} host */
function who(host) {
	return facts([
		["state", heard(host)],
		["last heard", [when(host.last_seen), ", ", h("span", {"data-field": "age_s", "data-value": host.age_s}, ago(host.age_s))]],
		["kernel", h("span", null, name(host.kernel))],
		["mode", host.mode === "bpf" ? "bpf: every connection, from the kernel's own hooks" : `${plain(host.mode, 40)}: only what was open when it looked`],
		["agent", [`version ${plain(host.version, 40)}, sends from `, h("code", null, host.agent)]],
		["interval", `${host.interval_s} s`],
		["id", h("code", {class: "break"}, host.id)],
		...(host.net ? [/** @type {[string, Node]} */ (["net", name(host.net)])] : []),
		["its last 5 minutes", h("span", null, lossOf(host))],
	]);
}

/** @param {Host} host */
function costs(host) {
	const said = host.cost;
	if (!said)
		return h("p", {class: "unknown"}, "not known: no word from its agent in 5 minutes");
	/* always the same lines: an agent leaves out what it does not know or did not meet in an interval; its steps back are told when it takes them */
	const more = Object.keys(said).filter((key) => !(key in COST)).sort();
	const shown = Object.keys(COST).filter((key) => said[key] !== undefined || !key.startsWith("eased_"));
	return facts([...shown, ...more].map((key) => [COST[key]?.[0] ?? key.replace(/_/g, " "),
		said[key] === undefined ? num(null, "not said", {"data-field": `cost.${key}`}) : cost(key, said[key])]), "facts-numbers facts-two");
}

export function addressTable() {
	return createTable(/** @type {import("../table.js").Options<Address>} */ ({
		caption: "Addresses",
		key: (a) => `${a.netns} ${a.address}`,
		sort: "reach",
		empty: "This host has not said its addresses yet.",
		columns: [
			{id: "address", label: "address", kind: "text", value: (a) => `${a.address}/${a.prefix}`},
			{id: "reach", label: "reaches", kind: "text", hint: "Loopback and link-local addresses mean something on this host only", value: (a) => a.host_only ? "this host only" : "other hosts"},
			{id: "netns", label: "network namespace", kind: "number", value: (a) => a.netns, show: (a) => String(a.netns), wide: true},
		],
	}));
}

/** @param {Context} context */
export function hostEdgesTable(context) {
	return createTable(/** @type {import("../table.js").Options<Edge>} */ ({
		caption: "Edges with an end on this host",
		key: (e) => e.id,
		sort: "-bytes",
		empty: "No edge had an end on this host in this range.",
		href: (e) => context.href({page: "edge", id: e.id}),
		onOpen: (e) => context.navigate({page: "edge", id: e.id}),
		columns: [
			{id: "client", label: "client", kind: "text", value: (e) => e.client_service, show: (e) => name(e.client_service, 32)},
			{id: "server", label: "server", kind: "text", value: (e) => e.server_service, show: (e) => name(e.server_service, 32)},
			{id: "port", label: "port", kind: "number", value: (e) => e.port, show: (e) => String(e.port)},
			{id: "bytes", label: "bytes", kind: "number", value: (e) => e.derived.bytes, show: (e) => figure("bytes", e.derived.bytes, "bytes")},
			{id: "opened", label: "opened", kind: "number", value: (e) => e.derived.opened, show: (e) => count(e.derived.opened)},
			{id: "failed", label: "failed", kind: "number", value: (e) => e.derived.failed, show: (e) => count(e.derived.failed)},
			{id: "retransmits", label: "retransmits", kind: "number", value: (e) => e.derived.retransmit_ratio, show: (e) => share(e.derived.retransmit_ratio), wide: true},
		],
	}));
}

/** The tables of a host's part; they live as long as the page. @param {Context} context */
export const hostTables = (context) => ({addresses: addressTable(), listeners: listenersTable(context, "host"), hostedges: hostEdgesTable(context)});

/** @param {Host} host @param {Context} context */
export function hostView(host, context) {
	return h("div", {"data-key": `host-${host.id}`, "data-host": host.id, class: "stack"},
		card("host", "Agent", h("p", {class: "sub"}, h("a", {href: context.href({page: "hosts", host: null})}, "Back to the whole fleet"), " \u00b7 ",
			h("a", {href: context.href({page: "map", filter: `host=${host.hostname || host.id}`})}, "Show on the map")), who(host)),
		card("cost", "What its agent costs, as it says", h("p", {class: "sub"}, host.cost ? `Its newest interval, ${time(host.last_seen - host.interval_s)}` : null), costs(host)),
		keep("listeners"), keep("hostedges"), keep("addresses"));
}
