/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet as rows: pure functions of /api/v1/hosts. */

/** @typedef {import("./answers.js").Host} Host */

/**
 * @typedef {Object} HostRow
 * @property {Host} host
 * @property {number | null} cpu     share of a core over its newest interval
 * @property {number | null} kernel  ns in the kernel's hooks, the newest interval
 * @property {number | null} rss     bytes
 * @property {number | null} busy    share of the host's CPU in use
 * @property {number | null} lost    rows of the last 5 minutes
 * @property {number | null} rows
 * @property {string} reasons
 */

/** @param {Host} host @returns {HostRow} */
export function rowOf(host) {
	const cost = host.cost ?? {};
	const known = (/** @type {string} */ key) => cost[key] ?? null;
	const lost = host.loss ? Object.values(host.loss.lost).reduce((a, b) => a + b, 0) : null;
	const user = known("user_us"), busy = known("cpu_busy_pm");
	return {
		host,
		cpu: user === null ? null : user / (host.interval_s * 1e6),
		kernel: known("bpf_ns"),
		rss: known("rss_bytes"),
		busy: busy === null ? null : busy / 1000,
		lost,
		rows: host.loss ? host.loss.rows_in : null,
		reasons: Object.entries(host.loss?.lost ?? {}).filter(([, n]) => n > 0).map(([reason, n]) => `${reason} ${n}`).join(", "),
	};
}

/** How many hosts say each value, most first. @param {Host[]} hosts @param {(h: Host) => string} of @returns {[string, number][]} */
export function counts(hosts, of) {
	/** @type {Map<string, number>} */
	const by = new Map();
	for (const host of hosts)
		by.set(of(host) || "not said", (by.get(of(host) || "not said") ?? 0) + 1);
	return [...by].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

/** Numbers an agent says of itself, in the words of a reader. @type {Record<string, [string, "us" | "bytes" | "count" | "pm" | "ns"]>} */
export const COST = {
	user_us: ["CPU time of the agent, last interval", "us"],
	bpf_ns: ["time in the kernel's hooks, last interval", "ns"],
	cost_us: ["all it took of the CPU, in applications too", "us"],
	hook_ns: ["what applications ran for it", "ns"],
	hook_estimated_ns: ["of this estimated, not measured", "ns"],
	eased: ["steps back it has taken, above its budget", "count"],
	eased_walk_2: ["reads open connections every 2nd interval", "count"],
	eased_walk_4: ["reads open connections every 4th interval", "count"],
	eased_udp_off: ["does not count datagrams", "count"],
	eased_sample_4: ["measures 1 of 4 new connections", "count"],
	eased_sample_16: ["measures 1 of 16 new connections", "count"],
	eased_sample_64: ["measures 1 of 64 new connections", "count"],
	eased_bypass: ["measures no TCP connection", "count"],
	send_errors: ["datagrams it could not send", "count"],
	walk_us: ["time to look at open sockets", "us"],
	walk_piece_us: ["of this the longest piece in the kernel", "us"],
	adopt_piece_us: ["longest piece of looking at what was open at the start", "us"],
	rss_bytes: ["memory", "bytes"],
	cpu_busy_pm: ["host's CPU in use", "pm"],
	cpu_steal_pm: ["host's CPU taken by others (steal)", "pm"],
	socks_open: ["connections open", "count"],
	attempts: ["attempts, last interval", "count"],
	opened_client: ["opened as client", "count"],
	opened_server: ["opened as server", "count"],
	closed: ["closed", "count"],
	listeners: ["listeners", "count"],
	active_opens: ["connections begun, as the kernel counts", "count"],
	passive_opens: ["connections accepted, as the kernel counts", "count"],
	netns_hidden: ["network namespaces it may not see into", "count"],
	netns_full: ["network namespaces it has no room for", "count"],
	datagrams: ["datagrams sent", "count"],
};
