/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One thing a page shows, loaded again and again: a newer request ends the older, a failed one keeps what is on the screen
 * and says so, is tried again with growing pauses, and "loading" is shown only where there is nothing yet.
 */
import {ApiError} from "./api.js";
import {failed, notice} from "./notice.js";
import {replace} from "./dom.js";

const RETRY_FIRST_S = 2;
const RETRY_MAX_S = 30;
const SLOW_MS = 300;

/**
 * @template T
 * @typedef {object} Load
 * @property {string} what                     "the map", "this edge": for the sentences
 * @property {HTMLElement} status              where the states are said; emptied when data came. Give it role="status"
 * @property {(signal: AbortSignal) => Promise<T>} ask
 * @property {(answer: T) => void} show        may throw: it is then said, not swallowed
 */

/**
 * @template T
 * @typedef {object} Loader
 * @property {(fresh?: boolean) => Promise<void>} run  asks now; fresh: what is shown belongs to another question, so say "loading"
 * @property {() => void} stop                  ends the request and the retries
 * @property {() => boolean} busy
 * @property {() => boolean} waiting  it failed and will ask again by itself: a tick need not
 */

/**
 * @template T
 * @param {Load<T>} load
 * @returns {Loader<T>}
 */
export function createLoader(load) {
	/** @type {AbortController | null} */
	let current = null;
	let shown = false;
	let pause = RETRY_FIRST_S;
	let timer = 0;

	/** @param {unknown} error */
	function fail(error) {
		const retry = !(error instanceof ApiError) || error.retry;
		replace(load.status, failed(error, {what: load.what, kept: shown, again_s: retry ? pause : 0, retry: () => void run()}));
		if (!(error instanceof ApiError))
			console.error(error);
		if (retry)
			timer = window.setTimeout(() => void run(), pause * 1000);
		pause = Math.min(pause * 2, RETRY_MAX_S);
	}

	async function run(fresh = false) {
		clearTimeout(timer);
		timer = 0;
		current?.abort();
		const mine = current = new AbortController();
		if (fresh)
			shown = false;
		/* nothing flickers where the answer comes at once */
		const slow = window.setTimeout(() => {
			if (!shown && current === mine)
				replace(load.status, notice("loading", {title: `Loading ${load.what} …`}));
		}, SLOW_MS);
		try {
			const answer = await load.ask(mine.signal);
			if (current !== mine)
				return;
			replace(load.status);
			load.show(answer);
			shown = true;
			pause = RETRY_FIRST_S;
		} catch (error) {
			if (current === mine && !(error instanceof ApiError && error.kind === "aborted"))
				fail(error);
		} finally {
			clearTimeout(slow);
			if (current === mine)
				current = null;
		}
	}

	return {
		run,
		busy: () => current !== null,
		waiting: () => timer !== 0,
		stop() {
			clearTimeout(timer);
			timer = 0;
			current?.abort();
			current = null;
		},
	};
}
