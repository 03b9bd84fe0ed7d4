/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A table that is refreshed under the reader: sorting, a filter per column, arrow keys, and rows that keep their element
 * (so focus, selection and scrolling stay) as long as their key stays. What is sorted and filtered is one string, its "view",
 * which a page keeps in the address bar: "-bytes;client:web;port:>1000".
 */
import {append, h, replace, set} from "./dom.js";
import {NOT_KNOWN, count} from "./format.js";
import {arranged, formatView, parseView} from "./table_view.js";

const SHOWN_FIRST = 200;
const SHOWN_MORE = 500;

/**
 * @template T
 * @typedef {object} Column
 * @property {string} id                       [a-z0-9_]+; stable: it is in links
 * @property {string} label
 * @property {string} [hint]                   what exactly it is, as the header's tooltip
 * @property {"text" | "number"} kind          number: right-aligned, sorted large first
 * @property {(row: T) => any} value           what is sorted, filtered and kept in data-value; null is not known and sorts last
 * @property {(row: T) => Node | string} [show]  default: the value itself; a missing value is always "not known"
 * @property {(row: T) => string} [hover]      tooltip of the cell
 * @property {boolean} [wide]                  left out on small screens
 */

/**
 * @template T
 * @typedef {object} Options
 * @property {string} caption
 * @property {Column<T>[]} columns
 * @property {(row: T) => string} key
 * @property {(row: T) => void} [onOpen]       Enter or click on a row
 * @property {(row: T) => string | null} [href] the row's link, put around its first cell
 * @property {(row: T) => string} [rowClass]   e.g. "severity-2"
 * @property {string} sort                     "-bytes" (large first) or "name"; names no column where `first` is the whole order
 * @property {(a: T, b: T) => number} [first]  comes before the sorting, e.g. severity, as long as the reader chose no other order
 * @property {string} empty                    said where no row is
 * @property {(view: string) => void} [onView] the reader changed sorting or filters
 */

/**
 * @template T
 * @typedef {object} Table
 * @property {HTMLElement} element
 * @property {(rows: T[]) => void} update
 * @property {(view: string) => void} setView  from the address bar; does not call onView
 * @property {(href: string) => void} setCsv   address of the same list as CSV; "" takes the link away
 * @property {(caption: string) => void} setCaption
 * @property {(key: string | null) => void} mark  the row whose panel is open
 * @property {() => void} focus                the first row
 */

/**
 * @template T
 * @param {Options<T>} options
 * @returns {Table<T>}
 */
export function createTable(options) {
	/** @type {T[]} */
	let all = [];
	let limit = SHOWN_FIRST;
	let view = parseView("", options.sort);
	/** @type {string | null} */
	let marked = null;
	/** @type {Map<string, {element: HTMLTableRowElement, row: T}>} */
	const lines = new Map();
	let filtersOpen = false;

	const captionText = h("span", {class: "caption-text"}, options.caption);
	const countText = h("span", {class: "caption-count"});
	const filterButton = h("button", {type: "button", class: "button small", "aria-expanded": "false", onclick: () => showFilters(!filtersOpen, true)}, "Filter columns");
	const csv = h("a", {class: "button small", hidden: true, download: ""}, "CSV");
	const headers = options.columns.map(header);
	const inputs = options.columns.map(filterInput);
	const filterRow = h("tr", {class: "filters", hidden: true}, options.columns.map((column, i) => h("td", {class: cellClass(column)}, inputs[i])));
	const body = h("tbody", {onkeydown: onKey, onclick: onClick});
	const table = h("table", null, h("caption", {class: "visually-hidden"}, options.caption),
		h("thead", null, h("tr", null, headers), filterRow), body);
	const foot = h("div", {class: "table-foot", role: "status"});
	const element = h("section", {class: "card table-card", "aria-label": options.caption},
		h("div", {class: "table-head"}, captionText, countText, h("span", {class: "grow"}), filterButton, csv),
		h("div", {class: "table-scroll", tabindex: "-1"}, table), foot);

	/** @param {Column<T>} column */
	function cellClass(column) {
		return `${column.kind === "number" ? "right" : "left"}${column.wide ? " wide" : ""}`;
	}

	/** @param {Column<T>} column */
	function header(column) {
		const button = h("button", {type: "button", title: column.hint ?? null, onclick: () => sortBy(column)}, column.label, h("span", {class: "arrow", "aria-hidden": "true"}));
		return h("th", {scope: "col", class: cellClass(column)}, button);
	}

	/** @param {Column<T>} column */
	function filterInput(column) {
		return h("input", {
			type: "text", "aria-label": `Filter ${column.label}`, placeholder: column.kind === "number" ? ">1k" : "text, !not", maxlength: 200,
			title: column.kind === "number" ? ">1k   <=20   1k..2k   5%" : "text: contains it   !text: does not   =text: is exactly it",
			oninput: (/** @type {Event} */ e) => {
				view.filters[column.id] = /** @type {HTMLInputElement} */ (e.target).value;
				limit = SHOWN_FIRST;
				paint();
				options.onView?.(formatView(view, options.sort));
			},
		});
	}

	/** @param {Column<T>} column */
	function sortBy(column) {
		const large = column.kind === "number" ? `-${column.id}` : column.id;
		const small = column.kind === "number" ? column.id : `-${column.id}`;
		/* the third time leads back to the first order */
		view.sort = view.sort === large ? small : view.sort === small && options.sort !== large ? options.sort : large;
		paint();
		options.onView?.(formatView(view, options.sort));
	}

	/** @param {boolean} open @param {boolean} [byHand] */
	function showFilters(open, byHand) {
		filtersOpen = open;
		filterRow.hidden = !open;
		filterButton.setAttribute("aria-expanded", String(open));
		if (open && byHand)
			inputs[0].focus();
	}

	/** @param {T} row */
	function newLine(row) {
		const element = h("tr", {tabindex: "-1", "data-key": options.key(row)}, options.columns.map((column, i) => h(i === 0 ? "th" : "td", {class: cellClass(column), scope: i === 0 ? "row" : null})));
		return {element, row};
	}

	/** @param {{element: HTMLTableRowElement, row: T}} line */
	function fill(line) {
		const key = options.key(line.row);
		const wanted = `${options.rowClass?.(line.row) ?? ""}${marked === key ? " marked" : ""}${options.onOpen ? " opens" : ""}`.trim();
		if (line.element.className !== wanted)
			line.element.className = wanted;
		options.columns.forEach((column, i) => fillCell(line.element.cells[i], column, line.row, i === 0 ? options.href?.(line.row) ?? null : null));
	}

	/** @param {HTMLTableCellElement} cell @param {Column<T>} column @param {T} row @param {string | null} href */
	function fillCell(cell, column, row, href) {
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

	/** Links are changed in place: they may hold the focus. @param {HTMLElement} cell @param {Node | string} content @param {string} href */
	function fillLink(cell, content, href) {
		let link = /** @type {HTMLAnchorElement | null} */ (cell.querySelector(":scope > a"));
		if (!link)
			replace(cell, link = h("a", {tabindex: "-1"}));
		set(link, {href});
		const fresh = h("span", null, content);
		if (!(link.firstElementChild?.isEqualNode(fresh)))
			replace(link, fresh);
	}

	function paintRows(/** @type {T[]} */ rows) {
		const wanted = new Set();
		let after = /** @type {Element | null} */ (null);
		for (const row of rows) {
			const key = options.key(row);
			wanted.add(key);
			let line = lines.get(key);
			if (!line)
				lines.set(key, line = newLine(row));
			line.row = row;
			fill(line);
			const place = after ? after.nextElementSibling : body.firstElementChild;
			if (place !== line.element)
				move(line.element, place);
			after = line.element;
		}
		for (const [key, line] of lines)
			if (!wanted.has(key)) {
				line.element.remove();
				lines.delete(key);
			}
		const focusable = body.querySelector("tr[tabindex='0']");
		if (!focusable && body.firstElementChild)
			set(body.firstElementChild, {tabindex: "0"});
	}

	/** A moved row loses the focus: it gets it back. @param {HTMLElement} line @param {Element | null} before */
	function move(line, before) {
		const focused = document.activeElement;
		const had = focused instanceof HTMLElement && line.contains(focused);
		body.insertBefore(line, before);
		if (had)
			/** @type {HTMLElement} */ (focused).focus({preventScroll: true});
	}

	function paint() {
		const {rows, bad} = arranged(all, options, view);
		inputs.forEach((input, i) => {
			const id = options.columns[i].id;
			if (document.activeElement !== input)
				input.value = view.filters[id] ?? "";
			set(input, {"aria-invalid": bad.includes(id) ? "true" : null});
		});
		headers.forEach((th, i) => {
			const id = options.columns[i].id;
			set(th, {"aria-sort": view.sort === id ? "ascending" : view.sort === `-${id}` ? "descending" : null});
		});
		paintRows(rows.slice(0, limit));
		countText.textContent = rows.length === all.length ? count(all.length) : `${count(rows.length)} of ${count(all.length)}`;
		replace(foot);
		if (bad.length)
			append(foot, h("p", {class: "bad"}, `Not understood, so not used: the filter of ${bad.map((id) => options.columns.find((c) => c.id === id)?.label).join(", ")}. Numbers take >1k, <=20, 1k..2k or 5%.`));
		if (all.length === 0)
			append(foot, h("p", null, options.empty));
		else if (rows.length === 0)
			append(foot, h("p", null, "No row passes the filters of the columns. "), h("button", {type: "button", class: "button small", onclick: clearFilters}, "Clear them"));
		else if (rows.length > limit)
			append(foot, h("p", null, `The first ${count(limit)} of ${count(rows.length)} rows. `), h("button", {type: "button", class: "button small", onclick: () => { limit += SHOWN_MORE; paint(); }}, `Show ${SHOWN_MORE} more`));
	}

	function clearFilters() {
		view.filters = {};
		paint();
		options.onView?.(formatView(view, options.sort));
	}

	/** @param {Event} event */
	function lineOf(event) {
		const tr = event.target instanceof Element ? event.target.closest("tr") : null;
		return tr ? [...lines.values()].find((line) => line.element === tr) : undefined;
	}

	/** @param {MouseEvent} event */
	function onClick(event) {
		const line = lineOf(event);
		if (line && options.onOpen && !(event.target instanceof Element && event.target.closest("a, button")) && String(getSelection() ?? "") === "")
			options.onOpen(line.row);
	}

	/** @param {KeyboardEvent} event */
	function onKey(event) {
		const line = lineOf(event);
		if (!line)
			return;
		const tr = line.element;
		/** @type {Record<string, Element | null>} */
		const to = {ArrowDown: tr.nextElementSibling, ArrowUp: tr.previousElementSibling, Home: body.firstElementChild, End: body.lastElementChild};
		if (event.key in to) {
			event.preventDefault();
			rove(to[event.key]);
		} else if (event.key === "Enter" && event.target === tr) {
			event.preventDefault();
			if (options.onOpen)
				options.onOpen(line.row);
			else
				tr.querySelector("a")?.click();
		}
	}

	/** Only one row is in the tab order. @param {Element | null} tr */
	function rove(tr) {
		if (!(tr instanceof HTMLElement))
			return;
		body.querySelectorAll("tr[tabindex='0']").forEach((other) => set(other, {tabindex: "-1"}));
		set(tr, {tabindex: "0"});
		tr.focus();
	}

	return {
		element,
		update(rows) {
			all = rows;
			paint();
		},
		setView(text) {
			const next = parseView(text, options.sort);
			if (formatView(next, options.sort) === formatView(view, options.sort))
				return;
			view = next;
			if (Object.keys(view.filters).length > 0)
				showFilters(true);
			paint();
		},
		setCsv: (href) => set(csv, {href, hidden: href === ""}),
		setCaption(text) {
			captionText.textContent = text;
		},
		mark(key) {
			if (marked === key)
				return;
			marked = key;
			lines.forEach(fill);
		},
		focus: () => rove(body.firstElementChild),
	};
}
