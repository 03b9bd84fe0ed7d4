/* SPDX-License-Identifier: Apache-2.0 */
/* What an edge's answer says, row by row and in words: pure functions. */
import {plain} from "../dom.js";
import {count, plural, share} from "../format.js";

/** @typedef {import("./answers.js").View} View */
/** @typedef {import("./answers.js").Edge} Edge */
/** @typedef {import("./answers.js").Derived} Derived */
/** @typedef {import("./answers.js").EdgeAnswer} EdgeAnswer */
/** @typedef {"client" | "server" | "network"} Observer */
/** @typedef {"bytes" | "count" | "mean" | "share" | "us"} Unit */

/**
 * @typedef {Object} Row
 * @property {string} id        stable name of the row
 * @property {string} label
 * @property {Unit} unit
 * @property {string} about     what the number says, for the tooltip
 * @property {boolean} compare  both observers look at the same thing: a difference is worth a mark
 * @property {(view: View, observer: Observer, seconds: number, derived: Derived) => number | null | undefined} of
 *   null: not known (nothing to divide by); undefined: this observer cannot see it
 */

/** @param {Observer} observer the direction it sends: the one it knows most about */
const sends = (observer) => observer === "client" ? "c2s" : observer === "server" ? "s2c" : null;

/** @param {string} column @returns {Row["of"]} the same column of every observer */
const same = (column) => (view) => view[column] ?? 0;

/** @param {string} column @returns {Row["of"]} what only the hosts' kernels know */
const onHost = (column) => (view, observer) => observer === "network" ? undefined : view[column] ?? 0;

/** @param {string} column @returns {Row["of"]} what only the connecting end knows */
const onClient = (column) => (view, observer) => observer === "client" ? view[column] ?? 0 : undefined;

/** @param {string} column @returns {Row["of"]} of the direction the observer sends */
const own = (column) => (view, observer) => {
	const direction = sends(observer);
	return direction ? view[`${direction}_${column}`] ?? 0 : undefined;
};

/** @param {Row["of"]} part @param {Row["of"]} whole @returns {Row["of"]} */
const ratio = (part, whole) => (view, ...rest) => {
	const a = part(view, ...rest), b = whole(view, ...rest);
	if (a === undefined || b === undefined)
		return undefined;
	return b ? (a ?? 0) / b : null;
};

/** A share the API has worked out already, so that both say the same digits. @param {keyof Derived} client @param {keyof Derived} server @returns {Row["of"]} */
const given = (client, server) => (view, observer, seconds, derived) =>
	observer === "network" ? undefined : /** @type {any} */ (derived)[observer === "client" ? client : server] ?? null;

/** @param {string} id @param {string} label @param {Unit} unit @param {Row["of"]} of @param {string} about @param {boolean} [compare] @returns {Row} */
const row = (id, label, unit, of, about, compare = false) => ({id, label, unit, of, about, compare});

/** @type {Row["of"]} */
const meanOpen = (view, observer, seconds) =>
	observer === "network" ? undefined : seconds > 0 ? (view.open_ms ?? 0) / (seconds * 1000) : null;

/** @type {Row["of"]} rows whose owner was seen making the call */
const ownerExact = (view, observer) => observer === "network" ? undefined
	: (view.rows ?? 0) - (view.owner_inherited ?? 0) - (view.owner_scan ?? 0) - (view.owner_unknown ?? 0);

/** @type {{title: string, note: string, rows: Row[]}[]} */
export const GROUPS = [
	{
		title: "What moved",
		note: "both ends count it: they should agree",
		rows: [
			row("c2s_bytes", "client to server", "bytes", same("c2s_bytes"), "payload bytes, each counted once", true),
			row("s2c_bytes", "server to client", "bytes", same("s2c_bytes"), "payload bytes, each counted once", true),
			row("c2s_segs", "segments to server", "count", same("c2s_segs"), "segments with payload, retransmits included", true),
			row("s2c_segs", "segments to client", "count", same("s2c_segs"), "segments with payload, retransmits included", true),
		],
	},
	{
		title: "Connections",
		note: "who connects is the client",
		rows: [
			row("attempts", "attempts", "count", onClient("attempts"), "connections begun"),
			row("opened", "opened", "count", onHost("opened"), "connections established", true),
			row("closed", "closed", "count", onHost("closed"), "established connections that ended", true),
			row("mean_open", "open, on average", "mean", meanOpen, "mean number of connections open over the range", true),
			row("reset_sent", "ended by its own reset", "count", onHost("reset_sent"), "established connections this end reset"),
			row("reset_received", "ended by the other's reset", "count", onHost("reset_received"), "established connections the other end reset"),
			row("timed_out", "ended by a timeout", "count", onHost("timed_out"), "established connections that went silent"),
		],
	},
	{
		title: "What it sent, and how it went",
		note: "each end about its own direction",
		rows: [
			row("retransmit_ratio", "retransmits, share", "share", ratio(own("retransmitted"), own("segs")), "segments sent again, of all segments it sent"),
			row("retransmitted", "retransmits", "count", own("retransmitted"), "segments sent again"),
			row("lost", "lost", "count", own("lost"), "segments the sender's kernel judged lost"),
			row("dsack", "spurious retransmits (DSACK)", "count", own("dsack"), "sent again needlessly: duplicates the receiver reported"),
			row("delivered_ce", "congestion marks (ECN)", "count", own("delivered_ce"), "segments acknowledged with congestion experienced"),
			row("undelivered", "never acknowledged", "bytes", own("undelivered"), "bytes sent and not acknowledged when the connection ended"),
			row("busy_us", "busy sending", "us", own("busy_us"), "time with data to send, over all connections"),
			row("rwnd_share", "limited by the receive window", "share", given("rwnd_limited_share_c2s", "rwnd_limited_share_s2c"), "of that time, how much the receiver's window held it back: the other end reads slowly"),
			row("sndbuf_share", "limited by the send buffer", "share", given("sndbuf_limited_share_c2s", "sndbuf_limited_share_s2c"), "of that time, how much the send buffer held it back"),
			row("jitter_mean", "jitter", "us", ratio(own("jitter_us"), own("rtt_samples")), "mean deviation of the round trip time (mdev)"),
			row("queue_mean", "queueing delay", "us", ratio(own("queue_us"), own("rtt_samples")), "mean of srtt less the smallest round trip seen"),
			row("cwnd_mean", "congestion window", "mean", ratio(own("cwnd_segs"), own("rtt_samples")), "mean window in segments"),
		],
	},
	{
		title: "Whose turn it was",
		note: "sampled while data moved",
		rows: [
			row("turn_self", "its turn (thinking)", "share", given("client_turn_share", "server_turn_share"), "samples in which this end had received last"),
			row("turn_peer", "the other's turn (waiting)", "share", ratio(onHost("turn_peer"), onHost("turn_samples")), "samples in which this end had sent last"),
			row("turn_samples", "samples", "count", onHost("turn_samples"), "how many samples these shares rest on"),
		],
	},
	{
		title: "How the owner is known",
		note: "each end about its own process, of its rows",
		rows: [
			row("owner_exact", "exact", "share", ratio(ownerExact, onHost("rows")), "the process that made the call: connect or accept"),
			row("owner_inherited", "inherited", "share", ratio(onHost("owner_inherited"), onHost("rows")), "that of the listener: nobody was seen accepting"),
			row("owner_scan", "by a scan", "share", ratio(onHost("owner_scan"), onHost("rows")), "who held the socket when descriptors were looked through"),
			row("owner_unknown", "unknown", "share", ratio(onHost("owner_unknown"), onHost("rows")), "no process and no unit is known"),
		],
	},
];

/** Who measured. @param {Edge} edge @returns {Observer[]} */
export function observers(edge) {
	const words = edge.observed_by.split("+");
	const seen = new Set(words.flatMap((word) => (word === "both" ? ["client", "server"] : [word])));
	return /** @type {Observer[]} */ (["client", "server", "network"]).filter((o) => seen.has(o));
}

/**
 * @typedef {Object} Cell
 * @property {"known" | "unknown" | "unseen" | "nobody"} state unseen: this observer cannot see it; nobody: there was no such observer
 * @property {number | null} value
 *
 * @param {Row} rowOf
 * @param {EdgeAnswer} answer
 * @param {Observer} observer
 * @returns {Cell}
 */
export function cellOf(rowOf, answer, observer) {
	if (!observers(answer.edge).includes(observer))
		return {state: "nobody", value: null};
	const value = rowOf.of(answer.views[observer] ?? {}, observer, answer.to - answer.from, answer.edge.derived);
	if (value === undefined)
		return {state: "unseen", value: null};
	return value === null ? {state: "unknown", value} : {state: "known", value};
}

/**
 * How far two ends that should agree are apart: null where they agree or cannot be compared.
 * @param {Row} rowOf @param {Cell} client @param {Cell} server
 */
export function difference(rowOf, client, server) {
	if (!rowOf.compare || client.value === null || server.value === null || client.value === server.value)
		return null;
	const most = Math.max(client.value, server.value);
	const part = Math.abs(client.value - server.value) / most;
	/* two clocks never measure a time alike to the millisecond */
	if (rowOf.unit === "mean" && part < 0.001)
		return null;
	return {part, more: client.value > server.value ? "client" : "server", large: part >= 0.01};
}

/** Did anything happen in the range? @param {Edge} edge */
export function silent(edge) {
	const d = edge.derived;
	return !d.bytes && !d.attempts && !d.opened && !d.closed && !d.failed && !d.mean_open && !d.segs;
}

/** The calm sentence of an edge without signs. @param {Edge} edge */
export function calm(edge) {
	const d = edge.derived;
	const said = [];
	if (d.attempts || d.failed)
		/* one that failed may have begun before the range */
		said.push(d.failed ? `${count(d.failed)} of ${plural(Math.max(d.attempts ?? 0, d.failed), "attempt")} failed` : `none of ${plural(d.attempts, "attempt")} failed`);
	if (d.segs && d.retransmit_ratio !== undefined)
		said.push(d.retransmitted ? `${share(d.retransmit_ratio)} of the segments were retransmitted` : "no segment was retransmitted");
	const slow = Math.max(d.rwnd_limited_share_c2s ?? -1, d.rwnd_limited_share_s2c ?? -1);
	if (slow >= 0 && slow < 0.2)
		said.push(slow === 0 ? "nobody waited for a slow reader" : `waiting for a reader took ${share(slow)} of the time there was data to send`);
	return said.length ? `Nothing stands out: ${said.join(", ")}.` : "Nothing stands out.";
}

/** What is missing where only one end was watched; null where both were. @param {Edge} edge */
export function oneSided(edge) {
	const seen = observers(edge);
	if (seen.includes("client") && seen.includes("server"))
		return null;
	const missing = seen.includes("client") ? "server" : seen.includes("server") ? "client" : null;
	if (!missing)
		return seen.includes("network")
			? "Seen by the network only: bytes and segments are estimates from samples, and no end said how it went."
			: null;
	const who = missing === "server" ? edge.server_service : edge.client_service;
	const other = missing === "server" ? "client" : "server";
	return `Only the ${other}'s end was watched: what ${plain(who, 40)} saw is not known. An agent on its host would tell.`;
}

/** Which rule gave a name. @type {Record<string, string>} */
const RUNGS = {
	agent: "the agent on its host saw the process",
	listener: "an agent reported a listener on that address and port",
	host: "an agent reported the host that has the address",
	inventory: "the inventory file names the address",
	none: "no rule knew the address: it is named after its network",
};

/** @param {string[]} rungs */
export function rungText(rungs) {
	return rungs.length ? rungs.map((r) => RUNGS[r] ?? r).join("; ") : "nothing was named in this range";
}

/** Flags in words. @type {Record<string, string>} */
export const FLAGS = {
	joined_in_progress: "some connections were open before they were first measured: their earlier bytes are not in here",
	sampled: "some numbers are estimates from samples",
	clock: "a host's clock was off: some rows may lie in a neighbouring interval",
	nat_unsplit: "an address was translated on the way and could not be told apart",
	split: "several processes shared these connections",
	no_role: "for some connections it is not known who connected",
};
