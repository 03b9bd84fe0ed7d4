/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A table that is refreshed under the reader: sorting, a filter per column, arrow keys, and rows that keep their element
 * (so focus, selection and scrolling stay) as long as their key stays. What is sorted and filtered is one string, its "view",
 * which a page keeps in the address bar: "-bytes;client:web;port:>1000".
 */
import {append, h, replace, set} from "./dom.js";
import {count} from "./format.js";
import {cellClass, fillCell} from "./table_cell.js";
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
 * @property {(rows: T[]) => void} update      a row that is the same object as before is not filled again
 * @property {(view: string) => void} setView  from the address bar; does not call onView
 * @property {(href: string) => void} setCsv   address of the same list as CSV; "" takes the link away
 * @property {(caption: string) => void} setCaption
 * @property {(key: string | null) => void} mark  the row whose panel is open
 * @property {() => void} focus                the first row
 */

/** @template T */
class TableView {
	/** @param {Options<T>} options */
	constructor(options) {
		this.options = options;
		/** @type {T[]} */
		this.all = [];
		this.limit = SHOWN_FIRST;
		this.view = parseView("", options.sort);
		/** @type {string | null} */
		this.marked = null;
		/** @type {Map<string, {element: HTMLTableRowElement, row: T}>} */
		this.lines = new Map();
		this.filtersOpen = false;
		this.captionText = h("span", {class: "caption-text"}, options.caption);
		this.countText = h("span", {class: "caption-count"});
		this.filterButton = h("button", {type: "button", class: "button small", "aria-expanded": "false", onclick: () => this.showFilters(!this.filtersOpen, true)}, "Filter columns");
		this.csv = h("a", {class: "button small", hidden: true, download: ""}, "CSV");
		this.headers = options.columns.map((column) => this.header(column));
		this.inputs = options.columns.map((column) => this.filterInput(column));
		this.filterRow = h("tr", {class: "filters", hidden: true}, options.columns.map((column, i) => h("td", {class: cellClass(column)}, this.inputs[i])));
		this.body = h("tbody", {onkeydown: (/** @type {KeyboardEvent} */ e) => this.onKey(e), onclick: (/** @type {MouseEvent} */ e) => this.onClick(e)});
		this.foot = h("div", {class: "table-foot", role: "status"});
		const table = h("table", null, h("caption", {class: "visually-hidden"}, options.caption), h("thead", null, h("tr", null, this.headers), this.filterRow), this.body);
		this.element = h("section", {class: "card table-card", "aria-label": options.caption},
			h("div", {class: "table-head"}, this.captionText, this.countText, h("span", {class: "grow"}), this.filterButton, this.csv),
			h("div", {class: "table-scroll", tabindex: "-1"}, table), this.foot);
	}

	/** @param {Column<T>} column */
	header(column) {
		const button = h("button", {type: "button", title: column.hint ?? null, onclick: () => this.sortBy(column)}, column.label, h("span", {class: "arrow", "aria-hidden": "true"}));
		return h("th", {scope: "col", class: cellClass(column)}, button);
	}

	/** @param {Column<T>} column */
	filterInput(column) {
		const number = column.kind === "number";
		return h("input", {
			type: "text", "aria-label": `Filter ${column.label}`, placeholder: number ? ">1k" : "text, !not", maxlength: 200,
			title: number ? ">1k   <=20   1k..2k   5%" : "text: contains it   !text: does not   =text: is exactly it",
			oninput: (/** @type {Event} */ e) => {
				this.view.filters[column.id] = /** @type {HTMLInputElement} */ (e.target).value;
				this.limit = SHOWN_FIRST;
				this.paint();
				this.tell();
			},
		});
	}

	tell() {
		this.options.onView?.(formatView(this.view, this.options.sort));
	}

	/** @param {Column<T>} column */
	sortBy(column) {
		const large = column.kind === "number" ? `-${column.id}` : column.id;
		const small = column.kind === "number" ? column.id : `-${column.id}`;
		const first = this.options.sort;
		/* the third time leads back to the first order */
		this.view.sort = this.view.sort === large ? small : this.view.sort === small && first !== large ? first : large;
		this.paint();
		this.tell();
	}

	/** @param {boolean} open @param {boolean} [byHand] */
	showFilters(open, byHand) {
		this.filtersOpen = open;
		this.filterRow.hidden = !open;
		this.filterButton.setAttribute("aria-expanded", String(open));
		if (open && byHand)
			this.inputs[0].focus();
	}

	/** @param {T} row */
	newLine(row) {
		const cells = this.options.columns.map((column, i) => h(i === 0 ? "th" : "td", {class: cellClass(column), scope: i === 0 ? "row" : null}));
		return {element: h("tr", {tabindex: "-1", "data-key": this.options.key(row)}, cells), row};
	}

	/** @param {{element: HTMLTableRowElement, row: T}} line */
	fill(line) {
		const {options} = this;
		const wanted = `${options.rowClass?.(line.row) ?? ""}${this.marked === options.key(line.row) ? " marked" : ""}${options.onOpen ? " opens" : ""}`.trim();
		if (line.element.className !== wanted)
			line.element.className = wanted;
		options.columns.forEach((column, i) => fillCell(line.element.cells[i], column, line.row, i === 0 ? options.href?.(line.row) ?? null : null));
	}

	/** @param {T[]} rows @param {boolean} keep  the very same row says the very same */
	paintRows(rows, keep) {
		const wanted = new Set();
		let after = /** @type {Element | null} */ (null);
		for (const row of rows) {
			const key = this.options.key(row);
			wanted.add(key);
			const known = this.lines.get(key);
			const line = known ?? this.newLine(row);
			if (!known)
				this.lines.set(key, line);
			if (!known || !keep || line.row !== row) {
				line.row = row;
				this.fill(line);
			}
			const place = after ? after.nextElementSibling : this.body.firstElementChild;
			if (place !== line.element)
				this.move(line.element, place);
			after = line.element;
		}
		for (const [key, line] of this.lines)
			if (!wanted.has(key)) {
				line.element.remove();
				this.lines.delete(key);
			}
		if (!this.body.querySelector("tr[tabindex='0']") && this.body.firstElementChild)
			set(this.body.firstElementChild, {tabindex: "0"});
	}

	/** A moved row loses the focus: it gets it back. @param {HTMLElement} line @param {Element | null} before */
	move(line, before) {
		const focused = document.activeElement;
		const had = focused instanceof HTMLElement && line.contains(focused);
		this.body.insertBefore(line, before);
		if (had)
			/** @type {HTMLElement} */ (focused).focus({preventScroll: true});
	}

	/** @param {boolean} [keep]  lines of rows that are still the same object are left as they are */
	paint(keep = false) {
		const {rows, bad} = arranged(this.all, this.options, this.view);
		this.options.columns.forEach(({id}, i) => {
			if (document.activeElement !== this.inputs[i])
				this.inputs[i].value = this.view.filters[id] ?? "";
			set(this.inputs[i], {"aria-invalid": bad.includes(id) ? "true" : null});
			set(this.headers[i], {"aria-sort": this.view.sort === id ? "ascending" : this.view.sort === `-${id}` ? "descending" : null});
		});
		this.paintRows(rows.slice(0, this.limit), keep);
		this.countText.textContent = rows.length === this.all.length ? count(this.all.length) : `${count(rows.length)} of ${count(this.all.length)}`;
		this.paintFoot(rows.length, bad);
	}

	/** Painted again only when it says something else: a button in it may have the focus. @param {number} passing @param {string[]} bad */
	paintFoot(passing, bad) {
		const said = JSON.stringify([passing, bad, this.all.length === 0, this.limit]);
		if (this.foot.dataset.said === said)
			return;
		this.foot.dataset.said = said;
		replace(this.foot);
		const button = (/** @type {string} */ label, /** @type {() => void} */ run) => h("button", {type: "button", class: "button small", onclick: run}, label);
		if (bad.length > 0)
			append(this.foot, h("p", {class: "bad"}, `Not understood, so not used: the filter of ${bad.map((id) => this.options.columns.find((c) => c.id === id)?.label).join(", ")}. Numbers take >1k, <=20, 1k..2k or 5%.`));
		if (this.all.length === 0)
			append(this.foot, h("p", null, this.options.empty));
		else if (passing === 0)
			append(this.foot, h("p", null, "No row passes the filters of the columns. "), button("Clear them", () => this.clearFilters()));
		else if (passing > this.limit)
			append(this.foot, h("p", null, `The first ${count(this.limit)} of ${count(passing)} rows. `), button(`Show ${SHOWN_MORE} more`, () => this.showMore()));
	}

	showMore() {
		this.limit += SHOWN_MORE;
		this.paint();
	}

	clearFilters() {
		this.view.filters = {};
		this.paint();
		this.tell();
	}

	/** @param {Event} event */
	lineOf(event) {
		const tr = event.target instanceof Element ? event.target.closest("tr") : null;
		return tr ? this.lines.get(tr.dataset.key ?? "") : undefined;
	}

	/** @param {MouseEvent} event */
	onClick(event) {
		const line = this.lineOf(event);
		if (line && this.options.onOpen && !(event.target instanceof Element && event.target.closest("a, button")) && String(getSelection() ?? "") === "")
			this.options.onOpen(line.row);
	}

	/** @param {KeyboardEvent} event */
	onKey(event) {
		const line = this.lineOf(event);
		if (!line)
			return;
		const tr = line.element;
		/** @type {Record<string, Element | null>} */
		const to = {ArrowDown: tr.nextElementSibling, ArrowUp: tr.previousElementSibling, Home: this.body.firstElementChild, End: this.body.lastElementChild};
		if (event.key in to) {
			event.preventDefault();
			this.rove(to[event.key]);
		} else if (event.key === "Enter" && event.target === tr) {
			event.preventDefault();
			if (this.options.onOpen)
				this.options.onOpen(line.row);
			else
				tr.querySelector("a")?.click();
		}
	}

	/** Only one row is in the tab order. @param {Element | null} tr */
	rove(tr) {
		if (!(tr instanceof HTMLElement))
			return;
		this.body.querySelectorAll("tr[tabindex='0']").forEach((other) => set(other, {tabindex: "-1"}));
		set(tr, {tabindex: "0"});
		tr.focus();
	}

	/** @param {T[]} rows */
	update(rows) {
		this.all = rows;
		this.paint(true);
	}

	/** @param {string} text */
	setView(text) {
		const next = parseView(text, this.options.sort);
		if (formatView(next, this.options.sort) === formatView(this.view, this.options.sort))
			return;
		this.view = next;
		if (Object.keys(this.view.filters).length > 0)
			this.showFilters(true);
		this.paint();
	}

	/** @param {string} href */
	setCsv(href) {
		set(this.csv, {href, hidden: href === ""});
	}

	/** @param {string} caption */
	setCaption(caption) {
		this.captionText.textContent = caption;
	}

	/** @param {string | null} key */
	mark(key) {
		if (this.marked === key)
			return;
		this.marked = key;
		this.lines.forEach((line) => this.fill(line));
	}

	focus() {
		this.rove(this.body.firstElementChild);
	}
}

/**
 * @template T
 * @param {Options<T>} options
 * @returns {Table<T>}
 */
export const createTable = (options) => new TableView(options);
