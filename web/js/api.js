/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The API over fetch: time-outs, errors with a hint, and the difference between the server's clock and this one.
 * A browser's clock may be an hour off: `now()` is the server's, from generated_at or the Date header of its answers.
 */

/** @typedef {import("./types.js").Params} Params */

const TIMEOUT_MS = 15000;

/** What went wrong with a request. `retry`: asking again may help. `hint`: what to do, for the reader. */
export class ApiError extends Error {
	/**
	 * @param {"network" | "timeout" | "aborted" | "refused" | "missing" | "server" | "answer"} kind
	 * @param {string} message
	 * @param {string} hint
	 * @param {number} [status]
	 */
	constructor(kind, message, hint, status = 0) {
		super(message);
		this.kind = kind;
		this.hint = hint;
		this.status = status;
		this.retry = kind === "network" || kind === "timeout" || kind === "server";
	}
}

/**
 * @param {string} path  below /api/v1, e.g. "/edges" or `/edges/${encodeURIComponent(id)}`
 * @param {Params} [params]
 */
export function apiUrl(path, params = {}) {
	const query = new URLSearchParams();
	for (const [key, value] of Object.entries(params))
		if (value !== null && value !== undefined && value !== "")
			query.set(key, String(value));
	const text = query.toString();
	return `/api/v1${path}${text ? "?" + text : ""}`;
}

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function failure(response) {
	let message = `the server answered ${response.status}`;
	let hint = "";
	try {
		const said = await response.json();
		message = typeof said.error === "string" ? said.error : message;
		hint = typeof said.hint === "string" ? said.hint : hint;
	} catch {
		/* a proxy's page or nothing: the status says enough */
	}
	const kind = response.status === 404 ? "missing" : response.status < 500 && response.status !== 429 ? "refused" : "server";
	return new ApiError(kind, message, hint || (kind === "server" ? "It is asked again by itself; the server's log says more." : ""), response.status);
}

/**
 * @typedef {object} Api
 * @property {(path: string, params?: Params, how?: {signal?: AbortSignal, timeout_ms?: number}) => Promise<any>} get  JSON of /api/v1<path>; throws ApiError
 * @property {(path: string, params?: Params) => string} url  the same as an address, e.g. with format: "csv" for a link
 * @property {() => number} now         server's time, s since 1970
 * @property {() => number} offset_s    server's clock less the browser's; 0 until the first answer
 */

/**
 * @param {{fetch?: typeof fetch, clock_ms?: () => number}} [parts]  for tests
 * @returns {Api}
 */
export function createApi(parts = {}) {
	const ask = parts.fetch ?? ((url, init) => fetch(url, init));
	const clock_ms = parts.clock_ms ?? (() => Date.now());
	let offset_ms = 0;

	/** The answer was made somewhere between sending and receiving: the middle is off by half the way at most. @param {number} server_ms @param {number} sent @param {number} resolution_ms */
	function learn(server_ms, sent, resolution_ms) {
		const seen = server_ms - (sent + clock_ms()) / 2;
		/* Date has whole seconds: do not let it shake a better value */
		if (Number.isFinite(seen) && Math.abs(seen - offset_ms) > resolution_ms)
			offset_ms = seen;
	}

	/** @param {Response} response @param {number} sent */
	async function read(response, sent) {
		const date = Date.parse(response.headers.get("date") ?? "");
		if (Number.isFinite(date))
			learn(date + 500, sent, 1500);
		if (!response.ok)
			throw await failure(response);
		try {
			const answer = await response.json();
			if (typeof answer?.generated_at === "number" && answer.generated_at > 1e12)
				learn(answer.generated_at, sent, 100);
			return answer;
		} catch (error) {
			if (error instanceof Error && error.name === "AbortError")
				throw error;
			throw new ApiError("answer", "the answer is not JSON", "Is another program or a proxy on this port?", response.status);
		}
	}

	return {
		url: apiUrl,
		now: () => (clock_ms() + offset_ms) / 1000,
		offset_s: () => offset_ms / 1000,
		async get(path, params, how = {}) {
			const stop = new AbortController();
			const timer = setTimeout(() => stop.abort("timeout"), how.timeout_ms ?? TIMEOUT_MS);
			const onAbort = () => stop.abort("aborted");
			how.signal?.addEventListener("abort", onAbort);
			if (how.signal?.aborted)
				onAbort();
			const sent = clock_ms();
			try {
				return await read(await ask(apiUrl(path, params), {signal: stop.signal, headers: {Accept: "application/json"}}), sent);
			} catch (error) {
				if (error instanceof ApiError)
					throw error;
				if (stop.signal.aborted && stop.signal.reason === "timeout")
					throw new ApiError("timeout", "the server did not answer in time", "Is it busy? A shorter range is answered faster.");
				if (stop.signal.aborted)
					throw new ApiError("aborted", "no longer needed", "");
				throw new ApiError("network", "the server cannot be reached", "Is skyfall still running? It is asked again by itself.");
			} finally {
				clearTimeout(timer);
				how.signal?.removeEventListener("abort", onAbort);
			}
		},
	};
}
