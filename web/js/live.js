/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The stream of changes, one for the whole tab: opened while somebody listens, `live` is on and the tab is visible.
 * A browser reconnects a broken stream by itself (with Last-Event-ID); where the server refused it (503), we do, with
 * growing pauses. "stale" is a stream that is open and says nothing: heartbeats are comments, which a page cannot see,
 * so what counts is the age of the last event.
 */

/** @typedef {import("./types.js").LiveState} LiveState */

/**
 * @typedef {object} LiveEvent
 * @property {"state" | "snapshot" | "delta"} type  state: only `state` changed
 * @property {any} [data]       the message as sent: {interval, interval_s, edges | add, update, remove, totals}
 *
 * @typedef {object} Live
 * @property {(listener: (event: LiveEvent) => void) => () => void} subscribe  returns what ends it
 * @property {() => LiveState} state
 * @property {() => {interval: number, interval_s: number, totals: any} | null} newest  of the last message; interval: start, s since 1970
 * @property {() => Map<string, any>} edges  the stream's edges by id as of the last message
 * @property {(on: boolean) => void} turn
 */

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 30000;
const STALE_MIN_MS = 10000;

/**
 * The edges after a message; a delta changes the given map.
 * @param {Map<string, any>} edges
 * @param {string} type
 * @param {any} data
 * @returns {Map<string, any>}
 */
export function applied(edges, type, data) {
	if (type === "snapshot")
		return new Map((data.edges ?? []).map((/** @type {any} */ e) => [e.id, e]));
	for (const edge of [...data.add ?? [], ...data.update ?? []])
		edges.set(edge.id, {...edges.get(edge.id), ...edge});
	for (const id of data.remove ?? [])
		edges.delete(id);
	return edges;
}

/**
 * @param {string} url
 * @returns {Live}
 */
export function createLive(url) {
	/** @type {Set<(event: LiveEvent) => void>} */
	const listeners = new Set();
	/** @type {EventSource | null} */
	let source = null;
	/** @type {LiveState} */
	let state = "off";
	/** @type {{interval: number, interval_s: number, totals: any} | null} */
	let newest = null;
	/** @type {Map<string, any>} */
	let edges = new Map();
	let wanted = true;
	let pause = RETRY_FIRST_MS;
	let retryTimer = 0;
	let staleTimer = 0;

	/** @param {LiveEvent} event */
	const tell = (event) => listeners.forEach((listener) => listener(event));

	/** @param {LiveState} next */
	function become(next) {
		if (state === next)
			return;
		state = next;
		tell({type: "state"});
	}

	function watch() {
		clearTimeout(staleTimer);
		staleTimer = window.setTimeout(() => become("stale"), Math.max(STALE_MIN_MS, 3000 * (newest?.interval_s ?? 0)));
	}

	/** @param {"snapshot" | "delta"} type @param {MessageEvent} message */
	function receive(type, message) {
		let data;
		try {
			data = JSON.parse(message.data);
		} catch {
			return restart();
		}
		pause = RETRY_FIRST_MS;
		edges = applied(edges, type, data);
		newest = {interval: data.interval, interval_s: data.interval_s, totals: data.totals ?? {}};
		watch();
		become("connected");
		tell({type, data});
	}

	function close() {
		clearTimeout(retryTimer);
		clearTimeout(staleTimer);
		source?.close();
		source = null;
	}

	function restart() {
		close();
		become("retry");
		retryTimer = window.setTimeout(open, pause);
		pause = Math.min(pause * 2, RETRY_MAX_MS);
	}

	function open() {
		close();
		become("connecting");
		source = new EventSource(url);
		source.addEventListener("snapshot", (m) => receive("snapshot", m));
		source.addEventListener("delta", (m) => receive("delta", m));
		source.addEventListener("reset", restart);
		source.addEventListener("error", () => {
			/* CONNECTING: the browser tries again itself */
			if (source?.readyState === EventSource.CLOSED)
				restart();
			else
				become("retry");
		});
		watch();
	}

	function settle() {
		const should = wanted && listeners.size > 0 && document.visibilityState === "visible";
		if (should && !source && state !== "retry")
			open();
		if (!should) {
			close();
			become("off");
		}
	}

	document.addEventListener("visibilitychange", settle);
	return {
		state: () => state,
		newest: () => newest,
		edges: () => edges,
		turn(on) {
			wanted = on;
			settle();
		},
		subscribe(listener) {
			listeners.add(listener);
			settle();
			return () => {
				listeners.delete(listener);
				settle();
			};
		},
	};
}
