/* SPDX-License-Identifier: Apache-2.0 */
/** What the two ends saw, row by row. undefined: this end cannot see it. Sums are the API's `views`. */
import {bytes, count, share} from "../format.js";

/** @typedef {"client" | "server"} End */
/** @typedef {Record<string, number>} View */

/** The direction an end sends in: only the sender knows retransmits, busy and waiting time. @type {Record<End, string>} */
const SENDS = {client: "c2s", server: "s2c"};

/** @param {View} view @param {End} end @param {string} part @param {string} whole */
function ratio(view, end, part, whole) {
	const of = view[`${SENDS[end]}_${whole}`] ?? 0;
	return of > 0 ? (view[`${SENDS[end]}_${part}`] ?? 0) / of : undefined;
}

/** @type {{label: string, hint: string, of: (view: View, end: End) => number | undefined, format: (n: number) => string}[]} */
export const VIEW_ROWS = [
	{label: "c2s bytes", hint: "payload from client to server", of: (view) => view.c2s_bytes ?? 0, format: bytes},
	{label: "s2c bytes", hint: "payload from server to client", of: (view) => view.s2c_bytes ?? 0, format: bytes},
	{label: "opened", hint: "connections that came to be", of: (view) => view.opened ?? 0, format: count},
	{label: "failed", hint: "attempts that failed; only the client knows", of: (view, end) => end === "server" ? undefined : Object.keys(view).filter((key) => key.startsWith("failed_")).reduce((n, key) => n + view[key], 0), format: count},
	{label: "retransmits", hint: "share of the segments this end sent that it sent again", of: (view, end) => ratio(view, end, "retransmitted", "segs"), format: share},
	{label: "waited for the reader", hint: "share of this end's time with data to send in which the other end's window was full", of: (view, end) => ratio(view, end, "rwnd_limited_us", "busy_us"), format: share},
	{label: "its turn", hint: "share of samples in which this end had received last: it was thinking", of: (view) => view.turn_samples > 0 ? (view.turn_self ?? 0) / view.turn_samples : undefined, format: share},
];
