/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The address bar is the state: `/?v=1&page=map&range=15m&...`. Parsed against tables; what is unknown is told and its
 * default used; what equals its default is not written. A link made today is refused, not misread, by another version.
 */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Param} Param */
/** @typedef {import("./types.js").ParamTable} ParamTable */
/** @typedef {import("./types.js").Params} Params */
/** @typedef {import("./types.js").Problem} Problem */

export const VERSION = "1";

/** Ranges that count back from now, with their length in seconds. @type {Record<string, number>} */
export const RANGES = {"5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800};

/** Parameters of every page; they stay when the page changes. @type {ParamTable} */
const COMMON = {
	range: {type: "enum", values: Object.keys(RANGES), default: "5m"},
	from: {type: "int", min: 0, max: 1e11, default: 0},
	to: {type: "int", min: 0, max: 1e11, default: 0},
	live: {type: "flag", default: true},
	filter: {type: "text", max: 1000, default: ""},
};

/**
 * @param {Param} param
 * @param {string} text
 * @returns {string | number | boolean | undefined}  undefined: not understood
 */
function parse(param, text) {
	switch (param.type) {
	case "enum":
		return param.values.includes(text) ? text : undefined;
	case "flag":
		return text === "1" ? true : text === "0" ? false : undefined;
	case "int": {
		const n = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN;
		return n >= param.min && n <= param.max ? n : undefined;
	}
	default:
		return text.length <= (param.max ?? 8192) ? text : undefined;
	}
}

/** @param {string | number | boolean} value */
const written = (value) => value === true ? "1" : value === false ? "0" : String(value);

/**
 * @param {string} search  "?v=1&..."
 * @param {Record<string, {params: ParamTable}>} pages
 * @param {string} first   page without `page=`
 * @returns {{state: State, problems: Problem[]}}
 */
export function parseUrl(search, pages, first) {
	const query = new URLSearchParams(search);
	/** @type {Problem[]} */
	const problems = [];
	const version = query.get("v");
	if (version !== null && version !== VERSION) {
		problems.push({key: "v", value: version, used: `${VERSION} (the whole link was left aside)`});
		return {state: defaults(pages, first), problems};
	}
	const page = query.get("page") ?? first;
	if (!Object.hasOwn(pages, page))
		problems.push({key: "page", value: page, used: first});
	const state = defaults(pages, Object.hasOwn(pages, page) ? page : first);
	const table = {...COMMON, ...pages[state.page].params};
	for (const [key, text] of query) {
		if (key === "v" || key === "page")
			continue;
		const value = Object.hasOwn(table, key) ? parse(table[key], text) : undefined;
		if (value === undefined)
			problems.push({key, value: text, used: Object.hasOwn(table, key) ? written(table[key].default) || "nothing" : "not used"});
		else
			state[key] = value;
	}
	if ((state.from !== 0 || state.to !== 0) && state.from >= state.to) {
		problems.push({key: "from, to", value: `${state.from}, ${state.to}`, used: `the last ${state.range}`});
		state.from = state.to = 0;
	}
	return {state, problems};
}

/**
 * @param {Record<string, {params: ParamTable}>} pages
 * @param {string} page
 * @returns {State}
 */
function defaults(pages, page) {
	/** @type {any} */
	const state = {page};
	for (const [key, param] of Object.entries({...COMMON, ...pages[page].params}))
		state[key] = param.default;
	return state;
}

/**
 * The link of a state: only what differs from its default, in the tables' order, so that equal states have equal links.
 * @param {State} state
 * @param {Record<string, {params: ParamTable}>} pages
 */
export function formatUrl(state, pages) {
	const query = new URLSearchParams({v: VERSION, page: state.page});
	for (const [key, param] of Object.entries({...COMMON, ...pages[state.page].params}))
		if (state[key] !== undefined && state[key] !== param.default)
			query.set(key, written(state[key]));
	return `/?${query}`;
}

/**
 * The state after a change. A change of page keeps the common parameters only; a value of null is the default;
 * a new `range` ends a fixed from/to; a value its table does not allow is our own mistake and throws.
 * @param {State} state
 * @param {Params} patch
 * @param {Record<string, {params: ParamTable}>} pages
 * @returns {State}
 */
export function patched(state, patch, pages) {
	const page = String(patch.page ?? state.page);
	const next = defaults(pages, page);
	const table = {...COMMON, ...pages[page].params};
	for (const key of Object.keys(table))
		if (page === state.page || Object.hasOwn(COMMON, key))
			next[key] = state[key];
	if (patch.range !== undefined)
		next.from = next.to = 0;
	for (const [key, value] of Object.entries(patch)) {
		if (key === "page" || value === undefined)
			continue;
		if (!Object.hasOwn(table, key))
			throw new Error(`page ${page} has no parameter ${key}`);
		const parsed = value === null ? table[key].default : parse(table[key], written(value));
		if (parsed === undefined)
			throw new Error(`parameter ${key} cannot be ${value}`);
		next[key] = parsed;
	}
	return next;
}

/**
 * @typedef {object} Store
 * @property {() => State} get
 * @property {() => Problem[]} problems  of the address the page was opened or stepped to with
 * @property {(patch: Params, how?: {replace?: boolean}) => void} patch
 * @property {(patch: Params) => string} href
 * @property {(listener: () => void) => void} subscribe  called after every change, also by back and forward
 */

/**
 * @param {Record<string, {params: ParamTable}>} pages
 * @param {string} first
 * @param {Window} [win]
 * @returns {Store}
 */
export function createState(pages, first, win = window) {
	let {state, problems} = parseUrl(win.location.search, pages, first);
	/** @type {(() => void)[]} */
	const listeners = [];
	const tell = () => listeners.forEach((listener) => listener());

	win.addEventListener("popstate", () => {
		({state, problems} = parseUrl(win.location.search, pages, first));
		tell();
	});
	return {
		get: () => state,
		problems: () => problems,
		href: (patch) => formatUrl(patched(state, patch, pages), pages),
		subscribe: (listener) => void listeners.push(listener),
		patch(patch, how = {}) {
			const next = patched(state, patch, pages);
			const link = formatUrl(next, pages);
			if (link === formatUrl(state, pages) && problems.length === 0)
				return;
			state = next;
			problems = [];
			win.history[how.replace ? "replaceState" : "pushState"](null, "", link);
			tell();
		},
	};
}
