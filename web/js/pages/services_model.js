/* SPDX-License-Identifier: Apache-2.0 */
/* Services by any sum, now and before: pure functions of /api/v1/services. */

/** @typedef {import("./answers.js").Service} Service */
/** @typedef {import("./answers.js").Sums} Sums */
/** @typedef {import("./answers.js").Derived} Derived */

/**
 * @typedef {Object} Metric
 * @property {string} id     the API's name to sort by
 * @property {string} label
 * @property {"bytes" | "count" | "mean"} unit
 * @property {(d: Derived) => number | undefined} of
 */

/** @param {string} id @param {string} label @param {"bytes" | "count" | "mean"} unit @param {keyof Derived} [key] @returns {Metric} */
const metric = (id, label, unit, key) => ({id, label, unit, of: (d) => /** @type {any} */ (d)[key ?? id]});

/** @type {Metric[]} */
export const METRICS = [
	metric("bytes", "bytes", "bytes"),
	metric("c2s_bytes", "bytes client to server", "bytes"),
	metric("s2c_bytes", "bytes server to client", "bytes"),
	metric("opened", "connections opened", "count"),
	metric("attempts", "attempts", "count"),
	metric("failed", "failed attempts", "count"),
	metric("closed", "connections closed", "count"),
	metric("resets", "resets", "count"),
	metric("retransmitted", "retransmits", "count"),
	metric("segs", "segments", "count"),
	metric("open_ms", "connections open (mean)", "mean", "mean_open"),
];

/** @param {string} id */
export const metricOf = (id) => METRICS.find((m) => m.id === id) ?? METRICS[0];

/** @param {Metric} m @param {Sums | undefined} sums 0 for a side that has no edges */
export function sideOf(m, sums) {
	return sums?.derived ? m.of(sums.derived) ?? 0 : 0;
}

/**
 * @typedef {Object} ServiceRow
 * @property {string} service
 * @property {number} value      both sides together
 * @property {number} as_client
 * @property {number} as_server
 * @property {number | null} before  null: not asked for
 * @property {number} callers    edges in which it is the server
 * @property {number} callees
 * @property {number} failed     attempts, as client
 * @property {"new" | "gone" | "up" | "down" | "same" | "unknown"} trend
 * @property {number | null} change  value / before - 1, where there is a before
 */

/** @param {number} value @param {number | null} before @returns {ServiceRow["trend"]} */
export function trendOf(value, before) {
	if (before === null)
		return "unknown";
	if (before === 0)
		return value === 0 ? "same" : "new";
	if (value === 0)
		return "gone";
	const part = value / before - 1;
	return Math.abs(part) < 0.005 ? "same" : part > 0 ? "up" : "down";
}

/** @param {Service} s @param {Metric} m @returns {ServiceRow} */
export function rowOf(s, m) {
	const as_client = sideOf(m, s.as_client), as_server = sideOf(m, s.as_server);
	const value = as_client + as_server;
	const before = s.previous ? sideOf(m, s.previous.as_client) + sideOf(m, s.previous.as_server) : null;
	return {
		service: s.service,
		value,
		as_client,
		as_server,
		before,
		callers: s.as_server.edges,
		callees: s.as_client.edges,
		failed: s.as_client.derived?.failed ?? 0,
		trend: trendOf(value, before),
		change: before ? value / before - 1 : null,
	};
}

/**
 * Where the range before knows nobody there is nothing to compare with: before everything, nothing is new.
 * @param {Service[]} services @param {Metric} m
 */
export function rowsOf(services, m) {
	const known = services.some((s) => s.previous && s.previous.as_client.edges + s.previous.as_server.edges > 0);
	return services.map((s) => rowOf(known ? s : {...s, previous: null}, m));
}
