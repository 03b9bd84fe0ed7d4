/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The two small languages people type. The filter line: terms `key=value` (value in quotes where it has spaces), each at most
 * once, exactly what the API can answer. A column's filter: `text`, `!text`, `=text`, and for numbers `>2M`, `<=0.5`, `1k..2k`.
 */

/** Keys of the filter line: the API's own parameters, with what they mean. @type {Record<string, string>} */
export const KEYS = {
	service: "service at either end",
	client: "service of the client",
	server: "service of the server",
	zone: "zone at either end",
	net: "address space",
	port: "service port",
	protocol: "tcp, udp or a number",
	host: "host name, id, address or CIDR at either end",
};

/**
 * @param {string} line
 * @returns {{terms: Record<string, string>, error: string}}  error: a sentence; the terms before it are kept
 */
export function parseFilter(line) {
	/** @type {Record<string, string>} */
	const terms = {};
	const bad = (/** @type {string} */ error) => ({terms, error});
	const word = /\s*(?:([^\s="<>]*)(!?=|[<>]=?)?(?:"((?:[^"\\]|\\.)*)"|(\S*)))/y;
	while (word.lastIndex < line.length) {
		const rest = line.slice(word.lastIndex).trim();
		if (rest === "")
			break;
		const m = word.exec(line);
		if (!m || m[0].trim() === "")
			return bad(`"${rest}" is not a term: write key=value`);
		const [, key, operator, quoted, bare] = m;
		if (operator !== "=" || key.endsWith("!"))
			return bad(operator || key.endsWith("!") ? `"${m[0].trim()}": only key=value is understood so far` : `"${m[0].trim()}" has no key: did you mean service=${key || bare || quoted}?`);
		if (!Object.hasOwn(KEYS, key))
			return bad(`"${key}" is not a key: ${Object.keys(KEYS).join(", ")}`);
		if (Object.hasOwn(terms, key))
			return bad(`"${key}" is there twice: each key once`);
		const value = quoted !== undefined ? quoted.replace(/\\(.)/g, "$1") : bare;
		if (key === "port" && !(/^\d{1,5}$/.test(value) && Number(value) <= 65535))
			return bad(`port is a number from 0 to 65535, not "${value}"`);
		if (value === "" && key !== "net")
			return bad(`"${key}=" has no value`);
		terms[key] = value;
	}
	return {terms, error: ""};
}

/**
 * @param {string} key
 * @param {string} value
 */
export const term = (key, value) => /[\s"=]/.test(value) || value === "" ? `${key}="${value.replace(/["\\]/g, "\\$&")}"` : `${key}=${value}`;

/**
 * What could be typed at the end of the line.
 * @param {string} line
 * @returns {{text: string, label: string}[]}  text: the whole line then
 */
export function completions(line) {
	const start = line.search(/\S*$/);
	const typed = line.slice(start);
	if (typed.includes("="))
		return [];
	const used = parseFilter(line.slice(0, start)).terms;
	return Object.entries(KEYS).filter(([key]) => key.startsWith(typed) && !Object.hasOwn(used, key))
		.map(([key, label]) => ({text: `${line.slice(0, start)}${key}=`, label}));
}

const SIZES = /** @type {Record<string, number>} */ ({"": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, "%": 0.01});

/** "2.5M" -> 2500000; NaN: not a number. @param {string} typed */
function size(typed) {
	const m = /^\s*(-?\d+(?:\.\d+)?)\s*([kmgt%]?)\s*$/i.exec(typed);
	return m ? Number(m[1]) * SIZES[m[2].toLowerCase()] : NaN;
}

/**
 * @param {string} typed
 * @returns {((value: number | null | undefined) => boolean) | null}  null: not understood
 */
function numberTest(typed) {
	const range = typed.split("..");
	if (range.length === 2) {
		const [low, high] = range.map(size);
		return Number.isNaN(low + high) ? null : (v) => v !== null && v !== undefined && v >= low && v <= high;
	}
	const m = /^(>=|<=|>|<|=|)(.+)$/.exec(typed);
	const n = m ? size(m[2]) : NaN;
	if (!m || Number.isNaN(n))
		return null;
	/** @type {Record<string, (v: number) => boolean>} */
	const tests = {">": (v) => v > n, "<": (v) => v < n, ">=": (v) => v >= n, "<=": (v) => v <= n, "=": (v) => v === n, "": (v) => v === n};
	return (v) => v !== null && v !== undefined && tests[m[1]](v);
}

/**
 * A column's filter as a test of one cell's value.
 * @param {string} typed
 * @param {"text" | "number"} kind
 * @returns {((value: any) => boolean) | null}  null: not understood
 */
export function columnTest(typed, kind) {
	const wanted = typed.trim();
	if (wanted === "")
		return () => true;
	if (kind === "number")
		return numberTest(wanted);
	const low = wanted.toLowerCase();
	const text = (/** @type {any} */ v) => String(v ?? "").toLowerCase();
	if (low.startsWith("="))
		return (v) => text(v) === low.slice(1);
	if (low.startsWith("!"))
		return (v) => !text(v).includes(low.slice(1));
	return (v) => text(v).includes(low);
}
