/* SPDX-License-Identifier: Apache-2.0 */
/* What the pages of lists and details share: exact numbers in their dress, small pictures, and a body that is refreshed in place. */
import {append, h, name, num, replace, s} from "../dom.js";
import {bytes, clock, count, exact, micros, rate, seconds, share, time} from "../format.js";
import {children} from "./morph.js";

/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("../dom.js").Child} Child */
/** @typedef {"bytes" | "rate" | "count" | "mean" | "share" | "us" | "seconds"} Unit */

/** @type {Record<Unit, (n: number | null | undefined) => string>} */
const SHOW = {bytes, rate, count, mean: count, share, us: micros, seconds};

/** @param {Unit} unit @param {number | null | undefined} value */
export const shown = (unit, value) => SHOW[unit](value);

/** A whole number says all its digits on hover. @param {Unit} unit @param {number | null | undefined} value */
export function digits(unit, value) {
	if (value === null || value === undefined)
		return null;
	return unit === "share" || unit === "mean" ? String(value) : `${exact(value)}${unit === "us" ? "\u00a0µs" : unit === "bytes" ? "\u00a0B" : ""}`;
}

/**
 * A number of the API: formatted, with the exact one in data-value and its name in data-field.
 * @param {Unit} unit @param {number | null | undefined} value @param {string} [field]
 */
export const figure = (unit, value, field) => num(value, shown(unit, value), {"data-field": field ?? null, title: digits(unit, value)});

/** The clock's time, the whole one on hover. @param {number} at */
export const when = (at) => h("time", {datetime: new Date(at * 1000).toISOString(), title: time(at), "data-value": at}, clock(at));

/** @param {number} at with its date */
export const dated = (at) => h("time", {datetime: new Date(at * 1000).toISOString(), title: time(at), "data-value": at}, time(at, {zone: false}));

/** A bar of a table's cell: the number stands beside it. @param {number} part 0..1 @param {string} [look] */
export function bar(part, look = "") {
	const width = Number.isFinite(part) ? Math.max(0, Math.min(1, part)) * 100 : 0;
	return s("svg", {class: `bar ${look}`.trim(), viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false"},
		s("rect", {class: "bar-of", width: 100, height: 6}),
		s("rect", {class: "bar-is", width: width.toFixed(2), height: 6}));
}

/** A number and its bar. @param {Unit} unit @param {number} value @param {number} most */
export const barred = (unit, value, most) => h("span", {class: "barred"}, bar(most > 0 ? (value ?? 0) / most : 0), h("span", null, shown(unit, value)));

/**
 * A part of a page under its own heading.
 * @param {string} id @param {string} title @param {(Child | Child[])[]} inside
 */
export function card(id, title, ...inside) {
	return h("section", {class: "card part", "data-key": id, "data-part": id, "aria-labelledby": `part-${id}`},
		h("h2", {id: `part-${id}`}, title), ...inside);
}

/** Facts as term and value. @param {[string, Child | Child[]][]} pairs @param {string} [look] */
export function facts(pairs, look = "") {
	return h("dl", {class: `facts ${look}`.trim()}, pairs.map(([term, value]) => h("div", {"data-key": term}, h("dt", null, term), h("dd", null, value))));
}

/** One link of a few that exclude each other. @param {Context} context @param {string} label @param {string} param @param {[string, string][]} choices @param {string} chosen */
export function choice(context, label, param, choices, chosen) {
	return h("label", {class: "choice"}, h("span", null, label),
		h("select", {"data-param": param}, choices.map(([value, text]) => h("option", {value, selected: value === chosen}, text))));
}

/** Selects and switches that say which parameter of the address they set. @param {HTMLElement} root @param {Context} context */
export function steer(root, context) {
	root.addEventListener("change", (event) => {
		const field = event.target;
		if (!(field instanceof HTMLSelectElement || field instanceof HTMLInputElement) || !field.dataset.param)
			return;
		context.navigate({[field.dataset.param]: field instanceof HTMLInputElement && field.type === "checkbox" ? field.checked : field.value});
	});
}

/** @param {Context} context @param {string} service */
export const serviceLink = (context, service) => h("a", {href: context.href({page: "service", service})}, name(service, 40));

/** @param {Context} context @param {string} id @param {string} label */
export const hostLink = (context, id, label) => h("a", {href: context.href({page: "hosts", host: id})}, name(label, 40));

/** A range in words. @param {number} from @param {number} to */
export function span(from, to) {
	return h("span", {class: "span"}, dated(from), " to ", new Date(from * 1000).toDateString() === new Date(to * 1000).toDateString() ? when(to) : dated(to), ` (${seconds(to - from)})`);
}

/**
 * The heading and the body of a page: what show() is given takes the place of what was there, in place. Elements with data-keep are
 * filled once with what lives by itself (tables, charts).
 * @param {HTMLElement} root @param {string} title
 */
export function createBody(root, title) {
	const heading = h("h1", null, title);
	const status = h("div", {class: "page-status", role: "status"});
	const body = h("div", {class: "page-body"});
	append(root, heading, status, body);
	return {
		heading,
		status,
		body,
		/** @param {(Node | null)[]} nodes @param {Record<string, Element>} [kept] */
		show(nodes, kept = {}) {
			children(body, /** @type {Node[]} */ (nodes.filter((n) => n !== null)));
			for (const [key, element] of Object.entries(kept)) {
				const place = body.querySelector(`[data-keep="${key}"]`);
				if (place && element.parentNode !== place)
					replace(place, element);
			}
		},
		clear: () => replace(body),
	};
}

/** Where a table or a chart will live. @param {string} key */
export const keep = (key) => h("div", {"data-keep": key, class: "kept"});
