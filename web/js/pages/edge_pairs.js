/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts are behind an edge, pair by pair. */
import {h, name, plain} from "../dom.js";
import {micros, share} from "../format.js";
import {createTable} from "../table.js";
import {figure} from "./kit.js";

/** @typedef {import("./answers.js").Pair} Pair */

/** @param {Pair} p @param {"client" | "server"} side */
const end = (p, side) => p.other ? "all others" : p[`${side}_hostname`] ? `${plain(p[`${side}_hostname`] ?? "", 60)} ${p[side]}` : p[side];

/** @param {Pair} p @param {"client" | "server"} side */
const address = (p, side) => p.other ? h("em", null, "all others") : h("span", null, p[`${side}_hostname`] ? name(p[`${side}_hostname`] ?? "", 40) : h("span", {class: "mute"}, "no agent"), " ", h("code", null, p[side]));

/** @param {(view: string) => void} onView */
export const pairsTable = (onView) => createTable(/** @type {import("../table.js").Options<Pair>} */ ({
	caption: "Host pairs",
	key: (p) => `${p.client} ${p.server} ${p.other}`,
	sort: "-bytes",
	empty: "No host pair is stored for this range: pairs are kept for a shorter time than edges.",
	onView,
	columns: [
		{id: "client", label: "client host", kind: "text", value: (p) => end(p, "client"), show: (p) => address(p, "client")},
		{id: "server", label: "server host", kind: "text", value: (p) => end(p, "server"), show: (p) => address(p, "server")},
		{id: "bytes", label: "bytes", kind: "number", value: (p) => p.derived.bytes, show: (p) => figure("bytes", p.derived.bytes, "bytes")},
		{id: "opened", label: "opened", kind: "number", value: (p) => p.derived.opened, show: (p) => figure("count", p.derived.opened, "opened")},
		{id: "failed", label: "failed", kind: "number", value: (p) => p.derived.failed, show: (p) => figure("count", p.derived.failed, "failed")},
		{id: "retransmits", label: "retransmits", kind: "number", value: (p) => p.derived.retransmit_ratio, show: (p) => share(p.derived.retransmit_ratio)},
		{id: "p50", label: "srtt p50", kind: "number", value: (p) => p.derived.srtt_p50_us, show: (p) => micros(p.derived.srtt_p50_us)},
		{id: "p99", label: "p99", kind: "number", value: (p) => p.derived.srtt_p99_us, show: (p) => micros(p.derived.srtt_p99_us), wide: true},
		{id: "seen", label: "seen by", kind: "text", value: (p) => p.observed_by, wide: true},
	],
}));
