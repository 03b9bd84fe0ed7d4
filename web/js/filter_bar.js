/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The filter line: a field with completion of keys. Enter or leaving the field applies it; what does not parse is said
 * under it, and the terms before it are used. The `/` key finds it by [data-filter].
 */
import {h, replace, set, text} from "./dom.js";
import {completions, parseFilter} from "./filter_text.js";

/**
 * @param {{onApply: (line: string) => void}} how
 */
export function createFilterBar(how) {
	const bad = h("p", {class: "bad", id: "filter-bad", role: "alert", hidden: true});
	const list = h("ul", {class: "completions", id: "filter-list", role: "listbox", "aria-label": "Keys", hidden: true});
	const field = h("input", {
		class: "field", type: "text", "data-filter": "", role: "combobox", "aria-label": "Filter", "aria-expanded": "false", "aria-controls": "filter-list", "aria-autocomplete": "list",
		"aria-describedby": "filter-bad", autocomplete: "off", autocapitalize: "off", spellcheck: "false", maxlength: 1000, placeholder: "filter:  service=web  zone=shop  port=5432",
		oninput: complete, onfocus: complete, onkeydown: onKey, onblur: leave,
	});
	let applied = "";
	let chosen = -1;
	/** @type {{text: string, label: string}[]} */
	let offers = [];

	function complete() {
		offers = completions(field.value);
		chosen = -1;
		paintList();
	}

	function paintList() {
		const open = offers.length > 0 && document.activeElement === field;
		replace(list, offers.map((offer, i) => h("li", {
			role: "option", id: `filter-offer-${i}`, "aria-selected": String(i === chosen), onmousedown: (/** @type {Event} */ e) => {
				e.preventDefault();
				take(i);
			},
		}, h("code", null, offer.text.split(/\s/).pop() ?? ""), offer.label)));
		list.hidden = !open;
		set(field, {"aria-expanded": String(open), "aria-activedescendant": open && chosen >= 0 ? `filter-offer-${chosen}` : null});
	}

	/** @param {number} i */
	function take(i) {
		field.value = offers[i].text;
		field.focus();
		complete();
	}

	function close() {
		offers = [];
		paintList();
	}

	function check() {
		const {terms, error} = parseFilter(field.value);
		const kept = Object.keys(terms).length;
		text(bad, error ? `${error}. ${kept ? "The terms before it are used." : "No filter is used."}` : "");
		bad.hidden = error === "";
		set(field, {"aria-invalid": error ? "true" : null});
	}

	function apply() {
		close();
		check();
		if (field.value.trim() === applied)
			return;
		applied = field.value.trim();
		how.onApply(applied);
	}

	function leave() {
		apply();
	}

	/** @param {KeyboardEvent} event */
	function onKey(event) {
		const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
		if (step && offers.length) {
			chosen = (chosen + step + offers.length) % offers.length;
			paintList();
		} else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0 && !list.hidden)
			take(chosen);
		else if (event.key === "Enter")
			apply();
		else if (event.key === "Escape" && !list.hidden)
			close();
		else if (event.key === "Escape")
			field.blur();
		else
			return;
		event.preventDefault();
		event.stopPropagation();
	}

	return {
		element: h("div", {class: "filter-bar"}, field, list, bad),
		/** From the address bar; what is being typed is left alone. @param {string} line */
		set(line) {
			applied = line;
			if (document.activeElement !== field)
				field.value = line;
			check();
		},
	};
}
