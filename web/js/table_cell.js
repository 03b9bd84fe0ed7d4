/* SPDX-License-Identifier: Apache-2.0 */
/** One cell of a table: filled again at every refresh, touched only where it differs. */
import {h, replace, set} from "./dom.js";
import {NOT_KNOWN} from "./format.js";

/** @param {import("./table.js").Column<any>} column */
export const cellClass = (column) => `${column.kind === "number" ? "right" : "left"}${column.wide ? " wide" : ""}`;

/** Changed in place: it may hold the focus. @param {HTMLElement} cell @param {Node | string} content @param {string} href */
function fillLink(cell, content, href) {
	let link = /** @type {HTMLAnchorElement | null} */ (cell.querySelector(":scope > a"));
	if (!link)
		replace(cell, link = h("a", {tabindex: "-1"}));
	set(link, {href});
	const fresh = h("span", null, content);
	if (!(link.firstElementChild?.isEqualNode(fresh)))
		replace(link, fresh);
}

/**
 * @template T
 * @param {HTMLTableCellElement} cell
 * @param {import("./table.js").Column<T>} column
 * @param {T} row
 * @param {string | null} href
 */
export function fillCell(cell, column, row, href) {
	const value = column.value(row);
	const known = value !== null && value !== undefined;
	const content = known ? column.show?.(row) ?? String(value) : NOT_KNOWN;
	set(cell, {"data-value": known ? String(value) : "", title: column.hover?.(row) ?? null});
	cell.classList.toggle("unknown", !known);
	if (href !== null)
		fillLink(cell, content, href);
	else if (typeof content === "string") {
		if (cell.textContent !== content || cell.childElementCount > 0)
			cell.textContent = content;
	} else if (!(cell.firstElementChild?.isEqualNode(content) && cell.childNodes.length === 1))
		replace(cell, content);
}
