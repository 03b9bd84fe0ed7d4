/* SPDX-License-Identifier: Apache-2.0 */
/** The table of edges under the map: the map's own data, severity first. */
import {h, name, num} from "../dom.js";
import {bytes, count, exact, micros, perSecond, rate, share} from "../format.js";
import {tag} from "../signs.js";
import {bothSaw, observedText, portsText} from "./model.js";

/** @typedef {import("./model.js").GraphEdge} GraphEdge */

/**
 * @typedef {object} Row
 * @property {GraphEdge} edge
 * @property {string} client
 * @property {string} server
 * @property {{bytes_s: number, opens_s: number} | null} now  in the newest interval; null: not known
 */

/** "0.41 / 212 ms": one unit where both have the same. @param {number | null | undefined} low @param {number | null | undefined} high */
function pair(low, high) {
	const a = micros(low);
	const b = micros(high);
	const unit = /\u00a0.*$/.exec(b)?.[0] ?? "";
	return a.endsWith(unit) && unit ? `${a.slice(0, a.length - unit.length)} / ${b}` : `${a} / ${b}`;
}

/** @type {import("../table.js").Column<Row>[]} */
export const COLUMNS = [
	{id: "client", label: "client", kind: "text", value: (row) => row.client, show: (row) => name(row.client, 40)},
	{id: "server", label: "server", kind: "text", value: (row) => row.server, show: (row) => name(row.server, 40)},
	{id: "port", label: "port", kind: "number", value: (row) => row.edge.ports[0] ?? null, show: (row) => portsText(row.edge.ports).replace(/^:/, "") || "any", hover: (row) => `${row.edge.protocol} ${row.edge.ports.join(", ")}`},
	{id: "signs", label: "stands out", hint: "The worst sign; hover for all", kind: "text", value: (row) => row.edge.signs.map((sign) => sign.sign).join(" "), show: (row) => tag(row.edge.signs)},
	{id: "c2s", label: "c2s", hint: "Payload from client to server in the range", kind: "number", value: (row) => row.edge.derived.c2s_bytes, show: (row) => bytes(row.edge.derived.c2s_bytes), hover: (row) => `${exact(row.edge.derived.c2s_bytes)} B`},
	{id: "s2c", label: "s2c", hint: "Payload from server to client in the range", kind: "number", value: (row) => row.edge.derived.s2c_bytes, show: (row) => bytes(row.edge.derived.s2c_bytes), hover: (row) => `${exact(row.edge.derived.s2c_bytes)} B`},
	{id: "now", label: "now", hint: "Both ways, in the newest interval; not known: the edge is not among the stream's", kind: "number", wide: true, value: (row) => row.now?.bytes_s ?? null, show: (row) => rate(row.now?.bytes_s)},
	{id: "opens", label: "opens/s", hint: "Connections opened a second, mean of the range", kind: "number", wide: true, value: (row) => row.edge.derived.opened_per_s, show: (row) => perSecond(row.edge.derived.opened_per_s).replace(/\u00a0?\/s$/, "")},
	{id: "failed", label: "failed", hint: "Attempts that failed", kind: "number", value: (row) => row.edge.derived.failed, show: (row) => failed(row.edge), hover: (row) => Object.entries(row.edge.derived.failed_by ?? {}).map(([cause, n]) => `${cause}: ${exact(/** @type {number} */ (n))}`).join("\n")},
	{id: "srtt", label: "srtt p50 / p99", hint: "Smoothed round trip time", kind: "number", wide: true, value: (row) => row.edge.derived.srtt_p50_us, show: (row) => pair(row.edge.derived.srtt_p50_us, row.edge.derived.srtt_p99_us)},
	{id: "retransmits", label: "retransmits", hint: "Share of segments sent again", kind: "number", wide: true, value: (row) => row.edge.derived.segs > 0 ? row.edge.derived.retransmit_ratio : null, show: (row) => share(row.edge.derived.retransmit_ratio)},
	{id: "seen", label: "seen by", kind: "text", wide: true, value: (row) => row.edge.observed_by, show: (row) => h("span", {class: bothSaw(row.edge.observed_by) ? "mute" : null}, bothSaw(row.edge.observed_by) ? "both" : row.edge.observed_by), hover: (row) => observedText(row.edge.observed_by)},
];

/** @param {GraphEdge} edge */
function failed(edge) {
	const n = edge.derived.failed ?? 0;
	const of = Math.max(edge.derived.attempts ?? 0, n);
	return n > 0 ? num(n, `${count(n)} of ${count(of)}`, {class: "text-2"}) : "0";
}

/** Worst first, then by bytes. @param {Row} a @param {Row} b */
export const worstFirst = (a, b) => b.edge.severity - a.edge.severity || (b.edge.derived.bytes ?? 0) - (a.edge.derived.bytes ?? 0);
