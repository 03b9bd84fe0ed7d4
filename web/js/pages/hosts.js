/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and fleet: which agents there are, whether they report, what they cost and lose; and one host in full. */
import {h, name, plain} from "../dom.js";
import {ago, count, micros, plural, share} from "../format.js";
import {createLoader} from "../load.js";
import {createTable} from "../table.js";
import {notice} from "../notice.js";
import {bar, card, createBody, figure, keep} from "./kit.js";
import {counts, rowOf} from "./hosts_model.js";
import {heard, hostTables, hostView} from "./host_part.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("./answers.js").Host} Host */
/** @typedef {import("./hosts_model.js").HostRow} HostRow */

const TITLE = "Hosts and fleet";

/** @param {Context} context @param {(view: string) => void} onView */
const fleetTable = (context, onView) => createTable(/** @type {import("../table.js").Options<HostRow>} */ ({
	caption: "Agents",
	key: (r) => r.host.id,
	sort: "host",
	first: (a, b) => Number(a.host.reporting) - Number(b.host.reporting),
	empty: "No agent has reported yet.",
	href: (r) => context.href({page: "hosts", host: r.host.id}),
	onOpen: (r) => context.navigate({page: "hosts", host: r.host.id}),
	rowClass: (r) => r.host.reporting ? r.lost ? "severity-1" : "" : "severity-2",
	onView,
	columns: [
		{id: "host", label: "host", kind: "text", value: (r) => r.host.hostname || r.host.id, show: (r) => name(r.host.hostname || r.host.id, 32), hover: (r) => r.host.id},
		{id: "state", label: "state", kind: "text", value: (r) => r.host.reporting ? "reporting" : "silent", show: (r) => heard(r.host)},
		{id: "heard", label: "last heard", kind: "number", value: (r) => r.host.age_s, show: (r) => ago(r.host.age_s), wide: true},
		{id: "kernel", label: "kernel", kind: "text", value: (r) => r.host.kernel, show: (r) => name(r.host.kernel, 28), wide: true},
		{id: "mode", label: "mode", kind: "text", value: (r) => r.host.mode, show: (r) => name(r.host.mode, 16), wide: true},
		{id: "version", label: "agent", kind: "text", value: (r) => r.host.version, show: (r) => name(r.host.version, 24), wide: true},
		{id: "cpu", label: "CPU", kind: "number", hint: "Share of one core its agent used in its newest interval", value: (r) => r.cpu, show: (r) => share(r.cpu)},
		{id: "rss", label: "memory", kind: "number", hint: "Resident memory of its agent", value: (r) => r.rss, show: (r) => figure("bytes", r.rss, "rss_bytes"), wide: true},
		{id: "kernel_ns", label: "in kernel", kind: "number", hint: "Time in the kernel's hooks in its newest interval; known where the kernel counts it (kernel.bpf_stats_enabled)", value: (r) => r.kernel, show: (r) => micros(r.kernel === null ? null : r.kernel / 1000), wide: true},
		{id: "busy", label: "host busy", kind: "number", hint: "Share of the host's CPU in use, by everybody", value: (r) => r.busy, show: (r) => share(r.busy), wide: true},
		{id: "lost", label: "rows lost", kind: "number", hint: "By its agent, in the last 5 minutes", value: (r) => r.lost, show: (r) => count(r.lost), hover: (r) => r.reasons},
	],
}));

/** @param {string} title @param {[string, number][]} by @param {number} all @param {string} field */
function tally(title, by, all, field) {
	return h("div", {class: "tally", "data-key": field}, h("h3", null, title), h("ul", null, by.slice(0, 8).map(([value, n]) =>
		h("li", {"data-key": value, "data-field": field, "data-name": value, "data-value": n}, h("span", {class: "tally-name"}, name(value, 32)), bar(n / all), h("span", {class: "num"}, count(n))))),
	by.length > 8 && h("p", {class: "sub"}, `and ${by.length - 8} more, see the table`));
}

/** @param {Host[]} hosts */
function summary(hosts) {
	const reporting = hosts.filter((x) => x.reporting).length;
	const partly = hosts.filter((x) => x.mode !== "bpf").length;
	return card("fleet", "Fleet",
		h("p", {class: "lead"}, figure("count", reporting, "reporting"), " of ", figure("count", hosts.length, "known"), ` ${hosts.length === 1 ? "agent" : "agents"} reporting`,
			reporting === hosts.length ? "." : `, ${hosts.length - reporting} silent.`,
			partly > 0 && ` ${plural(partly, "agent")} without the kernel's hooks: there only connections that were open at a look are measured.`),
		h("div", {class: "tallies"}, tally("mode", counts(hosts, (x) => x.mode), hosts.length, "mode"),
			tally("kernel", counts(hosts, (x) => x.kernel), hosts.length, "kernel"),
			tally("agent version", counts(hosts, (x) => x.version), hosts.length, "version")));
}

/** @param {Host[]} hosts */
function silentNotice(hosts) {
	const silent = hosts.filter((x) => !x.reporting);
	if (silent.length === 0)
		return null;
	const least = Math.min(...silent.map((x) => x.age_s));
	return h("div", {"data-key": "silent"}, notice("partial", {
		title: silent.length === hosts.length ? `No agent has reported for ${ago(least).replace(" ago", "")}` : `${plural(silent.length, "agent")} silent: ${silent.slice(0, 3).map((x) => plain(x.hostname || x.id, 40)).join(", ")}${silent.length > 3 ? " ..." : ""}`,
		reason: "What happened on such a host since then is known from the other ends only, or not at all.",
		next: "On that host:",
		command: "skyfall-agent --features",
	}));
}

const nobody = () => h("div", {"data-key": "nobody"}, notice("empty", {
	title: "No agent has reported yet",
	reason: "Hosts appear here by themselves once an agent sends.",
	next: "On a host to be watched:",
	command: `skyfall-agent --collector ${location.hostname}:6343`,
}));

/** @param {string} host @param {Context} context */
const missing = (host, context) => h("div", {"data-key": "missing", class: "stack"}, notice("empty", {
	title: "No agent has this name or id", reason: `Asked for: ${plain(host, 80)}.`, next: "It may never have reported here, or under another name.",
}), h("p", null, h("a", {href: context.href({page: "hosts", host: null})}, "The whole fleet")));

/** @type {import("../types.js").Page} */
export const page = {
	id: "hosts",
	title: TITLE,
	nav: "Fleet",
	params: {host: {type: "text", max: 300, default: ""}, table: {type: "text", default: ""}},
	mount(root, context) {
		const body = createBody(root, TITLE);
		const fleet = fleetTable(context, (view) => context.navigate({table: view || null}, {replace: true}));
		const one = hostTables(context);
		let asked = "";
		const loader = createLoader({
			what: "the fleet",
			status: body.status,
			ask: async (signal) => {
				const {host} = context.state();
				const hosts = /** @type {Host[]} */ ((await context.api.get("/hosts", {}, {signal})).hosts);
				const found = host ? hosts.find((x) => x.id === host) ?? hosts.find((x) => x.hostname === host) : undefined;
				const edges = found && found.addresses.length ? (await context.api.get("/edges", {...context.range(), host: found.id, limit: 1000}, {signal})).edges : [];
				return {host, hosts, found, edges};
			},
			show: ({host, hosts, found, edges}) => {
				body.heading.textContent = found ? plain(found.hostname || found.id, 80) : TITLE;
				if (!host)
					return showFleet(hosts);
				body.show([found ? hostView(found, context) : missing(host, context)],
					{listeners: one.listeners.element, addresses: one.addresses.element, hostedges: one.hostedges.element});
				one.listeners.update(found?.listeners ?? []);
				one.addresses.update(found?.addresses ?? []);
				one.hostedges.setCsv(found ? context.api.url("/edges", {...context.range(), host: found.id, limit: 10000, format: "csv"}) : "");
				one.hostedges.update(edges);
			},
		});

		/** @param {Host[]} hosts */
		function showFleet(hosts) {
			body.show(hosts.length === 0 ? [nobody()] : [silentNotice(hosts), summary(hosts), keep("fleet")], {fleet: fleet.element});
			fleet.setCsv(context.api.url("/hosts", {format: "csv"}));
			fleet.update(hosts.map(rowOf));
		}

		return {
			update(state, why) {
				fleet.setView(state.table);
				const question = `${state.host}\n${state.range} ${state.from} ${state.to}`;
				if (why !== "state" || question !== asked)
					void loader.run(question !== asked);
				asked = question;
			},
			unmount: loader.stop,
		};
	},
};
