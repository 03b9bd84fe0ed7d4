/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Numbers and times as text: three significant digits, the unit beside. Every function takes null or undefined and
 * then says NOT_KNOWN: a missing number never looks like 0.
 */

export const NOT_KNOWN = "not known";

/** @typedef {number | null | undefined} Maybe */

/**
 * Three significant digits, without an exponent.
 * @param {number} n
 */
function digits(n) {
	if (n === 0)
		return "0";
	/* 9.996 is 10.0, not 10.00 */
	const size = Math.floor(Math.log10(Math.abs(Number(n.toPrecision(3)))));
	if (size < -3)
		return n < 0 ? "> -0.001" : "< 0.001";
	return size >= 3 ? String(Math.round(n)) : n.toFixed(Math.max(0, 2 - size));
}

/**
 * Whole numbers up to 9 999 as they are (grouped by thin spaces), larger ones with a prefix.
 * @param {Maybe} n
 * @param {string} [unit]
 * @param {number} [base]
 */
function scaled(n, unit = "", base = 1000) {
	if (n === null || n === undefined || !Number.isFinite(n))
		return NOT_KNOWN;
	const prefixes = ["", "k", "M", "G", "T", "P", "E"];
	let value = n;
	let i = 0;
	/* 999.6 would be printed as 1000 */
	while (Math.abs(value) >= 999.5 && i < prefixes.length - 1) {
		value /= base;
		i++;
	}
	const whole = Number.isInteger(value) && i === 0 ? String(value) : digits(value);
	const after = `${prefixes[i]}${unit}`;
	return after ? `${whole}\u00a0${after}` : whole;
}

/** 12 400 -> "12.4 k"; up to 9 999 exact. @param {Maybe} n */
export function count(n) {
	if (typeof n === "number" && Number.isInteger(n) && Math.abs(n) >= 1000 && Math.abs(n) < 10000)
		return `${Math.trunc(n / 1000)}\u202f${String(Math.abs(n) % 1000).padStart(3, "0")}`;
	return scaled(n);
}

/** All digits in groups of three: for tooltips and where every one counts. @param {Maybe} n */
export function exact(n) {
	return n === null || n === undefined || !Number.isFinite(n) ? NOT_KNOWN : String(n).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, "\u202f");
}

/** @param {Maybe} n */
export const bytes = (n) => scaled(n, "B");

/** Bytes a second as bits a second, as networks are spoken of. @param {Maybe} bytesPerSecond */
export const rate = (bytesPerSecond) => scaled(bytesPerSecond === null || bytesPerSecond === undefined ? bytesPerSecond : bytesPerSecond * 8, "b/s");

/** @param {Maybe} n */
export const perSecond = (n) => scaled(n, "/s");

/** 0.021 -> "2.10 %". @param {Maybe} x */
export function share(x) {
	if (x === null || x === undefined || !Number.isFinite(x))
		return NOT_KNOWN;
	const p = x * 100;
	if (p !== 0 && Math.abs(p) < 0.01)
		return "<\u00a00.01\u00a0%";
	/* 99.97 % is not all */
	if (p < 100 && p > 99.9)
		return ">\u00a099.9\u00a0%";
	return `${digits(p)}\u00a0%`;
}

/** @param {Maybe} us */
export function micros(us) {
	if (us === null || us === undefined || !Number.isFinite(us))
		return NOT_KNOWN;
	if (Math.abs(us) < 999.5)
		return `${digits(us)}\u00a0µs`;
	if (Math.abs(us) < 999500)
		return `${digits(us / 1000)}\u00a0ms`;
	return seconds(us / 1e6);
}

/** Without zeros behind the point: times are mostly round. @param {number} n */
const short = (n) => digits(n).replace(/\.(\d*?)0+$/, (_, kept) => kept ? `.${kept}` : "");

/** @param {Maybe} sec */
export function seconds(sec) {
	if (sec === null || sec === undefined || !Number.isFinite(sec))
		return NOT_KNOWN;
	const units = /** @type {[number, string][]} */ ([[86400, "d"], [3600, "h"], [60, "min"]]);
	for (const [size, unit] of units)
		if (Math.abs(sec) >= size * 2)
			return `${short(sec / size)}\u00a0${unit}`;
	return `${short(sec)}\u00a0s`;
}

/** "4 s ago"; what lies ahead (clocks differ) is "now". @param {Maybe} sec */
export const ago = (sec) => sec === null || sec === undefined || !Number.isFinite(sec) ? NOT_KNOWN : sec < 1 ? "now" : `${seconds(Math.round(sec))} ago`;

/** The browser's own zone, e.g. "Europe/Paris". */
export const zoneName = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

/**
 * "2026-11-23 09:04:31 Europe/Paris".
 * @param {Maybe} at  s since 1970
 * @param {{zone?: boolean}} [how]  zone: false leaves the zone's name out
 */
export function time(at, how = {}) {
	if (at === null || at === undefined || !Number.isFinite(at) || Math.abs(at) > 8e12)
		return NOT_KNOWN;
	const d = new Date(at * 1000);
	const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
	const text = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
	return how.zone === false ? text : `${text} ${zoneName()}`;
}

/** Only the clock: "09:04:31". @param {Maybe} at */
export const clock = (at) => time(at, {zone: false}).slice(11) || NOT_KNOWN;

/**
 * Change against an earlier number: "+12 %", "new", "gone", "same".
 * @param {Maybe} now
 * @param {Maybe} before
 */
export function change(now, before) {
	if (now === null || now === undefined || before === null || before === undefined || !Number.isFinite(now - before))
		return NOT_KNOWN;
	if (before === 0)
		return now === 0 ? "same" : "new";
	if (now === 0)
		return "gone";
	const part = now / before - 1;
	if (Math.abs(part) < 0.005)
		return "same";
	return part >= 9.995 ? `${digits(now / before)}\u00a0×` : `${part > 0 ? "+" : "\u2212"}${digits(Math.abs(part) * 100)}\u00a0%`;
}

/** One word with its number: plural(1, "edge") "1 edge", plural(3, "edge") "3 edges". @param {number} n @param {string} word @param {string} [many] */
export const plural = (n, word, many) => `${count(n)} ${n === 1 ? word : many ?? word + "s"}`;
