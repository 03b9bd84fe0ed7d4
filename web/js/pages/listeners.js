/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens where: of one service or of one host. */
import {h, icon, name} from "../dom.js";
import {count} from "../format.js";
import {createTable} from "../table.js";
import {figure} from "./kit.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("./answers.js").Listener} Listener */

/** @param {Listener} l */
const state = (l) => h("span", {class: `state ${l.alive ? "state-ok" : "state-none"}`}, icon(l.alive ? "ok" : "none"), l.alive ? "listening" : "closed");

/** A full queue is what makes a kernel drop connections. @param {Listener} l */
const queue = (l) => h("span", {"data-field": "queue", "data-value": l.queue, class: l.queue_max > 0 && l.queue >= l.queue_max / 2 ? "bad" : null}, `${count(l.queue)} of ${count(l.queue_max)}`);

/** A text that may be empty: then there is none, which is known. @param {string} text @param {number} max */
const orNone = (text, max) => text ? name(text, max) : h("span", {class: "mute"}, "none");

/** @type {import("../table.js").Column<Listener>[]} */
const COLUMNS = [
	{id: "service", label: "service", kind: "text", value: (l) => l.service, show: (l) => name(l.service, 32)},
	{id: "port", label: "port", kind: "number", value: (l) => l.port, show: (l) => `${l.port}`},
	{id: "process", label: "process", kind: "text", value: (l) => l.process, show: (l) => orNone(l.process, 24)},
	{id: "unit", label: "unit", kind: "text", value: (l) => l.container || l.unit, show: (l) => orNone(l.container || l.unit, 32), wide: true},
	{id: "queue", label: "queue", kind: "number", hint: "Connections waiting to be accepted, of how many at most", value: (l) => l.queue, show: queue},
	{id: "drops", label: "drops", kind: "number", hint: "Connections dropped since it was first seen", value: (l) => l.drops, show: (l) => figure("count", l.drops, "drops")},
	{id: "state", label: "state", kind: "text", value: (l) => l.alive ? "listening" : "closed", show: state},
	{id: "address", label: "address", kind: "text", value: (l) => `${l.protocol} ${l.address}`, wide: true},
	{id: "host", label: "host", kind: "text", value: (l) => l.hostname ?? l.host, show: (l) => name(l.hostname ?? l.host, 24), wide: true},
];

/** @param {Context} context @param {"service" | "host"} of whose listeners: that column is left out */
export function listenersTable(context, of) {
	return createTable(/** @type {import("../table.js").Options<Listener>} */ ({
		caption: "Listeners",
		key: (l) => `${l.host} ${l.netns} ${l.protocol} ${l.address} ${l.port}`,
		sort: "port",
		first: (a, b) => Number(b.alive) - Number(a.alive),
		empty: "No agent reported a listener here: it has no agent, or it never listened while one ran.",
		href: (l) => of === "host" && l.service ? context.href({page: "service", service: l.service}) : null,
		columns: COLUMNS.filter((column) => column.id !== of),
	}));
}
