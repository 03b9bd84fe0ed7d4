/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A table's view as a string ("-bytes;client:web;port:>1000") and what it does to rows. Pure functions.
 */
import {columnTest} from "./filter_text.js";

/** @template T @typedef {import("./table.js").Options<T>} Options */
/** @template T @typedef {import("./table.js").Column<T>} Column */

/** @param {string} view @param {string} fallback */
export function parseView(view, fallback) {
	const [sort, ...rest] = view.split(";");
	/** @type {Record<string, string>} */
	const filters = {};
	for (const part of rest) {
		const colon = part.indexOf(":");
		if (colon > 0)
			filters[part.slice(0, colon)] = part.slice(colon + 1).replace(/%(?:25|3b)/gi, decodeURIComponent);
	}
	return {sort: sort || fallback, filters};
}

/** @param {{sort: string, filters: Record<string, string>}} view @param {string} fallback */
export function formatView(view, fallback) {
	const parts = Object.entries(view.filters).filter(([, typed]) => typed.trim() !== "")
		.map(([id, typed]) => `${id}:${typed.replace(/[%;]/g, (c) => encodeURIComponent(c))}`);
	const sort = view.sort === fallback ? "" : view.sort;
	return [sort, ...parts].join(";");
}

/**
 * @template T
 * @param {Column<T>} column
 * @param {boolean} down
 * @returns {(a: T, b: T) => number}
 */
function comparer(column, down) {
	return (a, b) => {
		const x = column.value(a);
		const y = column.value(b);
		if (x === null || x === undefined || y === null || y === undefined)
			return Number(x === null || x === undefined) - Number(y === null || y === undefined);
		const order = column.kind === "number" ? x - y : x < y ? -1 : x > y ? 1 : 0;
		return down ? -order : order;
	};
}

/**
 * Rows as the view wants them, and which filters were not understood.
 * @template T
 * @param {T[]} rows
 * @param {Options<T>} options
 * @param {{sort: string, filters: Record<string, string>}} view
 */
export function arranged(rows, options, view) {
	/** @type {string[]} */
	const bad = [];
	let kept = rows;
	for (const column of options.columns) {
		const test = columnTest(view.filters[column.id] ?? "", column.kind);
		if (!test)
			bad.push(column.id);
		else if ((view.filters[column.id] ?? "").trim() !== "")
			kept = kept.filter((row) => test(column.value(row)));
	}
	const down = view.sort.startsWith("-");
	const column = options.columns.find((c) => c.id === view.sort.replace("-", ""));
	const by = column ? comparer(column, down) : () => 0;
	const first = view.sort === options.sort ? options.first : undefined;
	const order = (/** @type {T} */ a, /** @type {T} */ b) => (first?.(a, b) || by(a, b)) || (options.key(a) < options.key(b) ? -1 : 1);
	return {rows: [...kept].sort(order), bad};
}
