/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Elements from data. All text goes in as text nodes: nothing here parses HTML, so a name can never become markup.
 * The content security policy forbids inline scripts and style attributes: use classes, SVG attributes, or `element.style.x = ...`.
 */

const SVG = "http://www.w3.org/2000/svg";
const NAME_MAX = 64;

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, any>} Attrs */

/**
 * Sets attributes: `on<event>` with a function listens, true is a bare attribute, null/undefined/false is left out,
 * `value`, `checked`, `disabled`, `selected`, `open` and `hidden` are set as properties.
 * @param {Element} node
 * @param {Attrs | null} attrs
 */
export function set(node, attrs) {
	for (const [key, value] of Object.entries(attrs ?? {})) {
		if (key.startsWith("on") && typeof value === "function")
			node.addEventListener(key.slice(2), value);
		else if (["value", "checked", "disabled", "selected", "open", "hidden"].includes(key) && key in node)
			/** @type {any} */ (node)[key] = value ?? "";
		else if (value === null || value === undefined || value === false)
			node.removeAttribute(key);
		else if (node.getAttribute(key) !== (value === true ? "" : String(value)))
			/* only what differs: every change has the browser look at the element again */
			node.setAttribute(key, value === true ? "" : String(value));
	}
}

/**
 * @param {Node} node
 * @param {(Child | Child[])[]} children
 */
export function append(node, ...children) {
	for (const child of children.flat())
		if (child !== null && child !== undefined && child !== false)
			node.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
}

/**
 * An HTML element: `h("p", {class: "x"}, "text", h("b", null, "bold"))`.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attrs | null} [attrs]
 * @param {(Child | Child[])[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attrs, ...children) {
	const node = document.createElement(tag);
	append(node, ...children);
	set(node, attrs ?? null);
	return node;
}

/**
 * An SVG element.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attrs | null} [attrs]
 * @param {(Child | Child[])[]} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function s(tag, attrs, ...children) {
	const node = /** @type {SVGElementTagNameMap[T]} */ (document.createElementNS(SVG, tag));
	append(node, ...children);
	set(node, attrs ?? null);
	return node;
}

/**
 * Puts new children in the place of all old ones.
 * @param {Node} node
 * @param {(Child | Child[])[]} children
 */
export function replace(node, ...children) {
	node.textContent = "";
	append(node, ...children);
}

/**
 * Sets text only where it differs: a refresh that changes nothing leaves a selection alone.
 * @param {Node} node
 * @param {string} text
 */
export function text(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

/**
 * Names come from other hosts: of any length, empty, with line ends or with marks that turn the writing direction.
 * Returns what one line can show: control and direction marks as a visible replacement, cut in the middle to `max`.
 * @param {string} name
 * @param {number} [max]
 */
export function plain(name, max = NAME_MAX) {
	const shown = String(name ?? "").replace(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
	if (shown === "")
		return "(no name)";
	const letters = [...shown];
	if (letters.length <= max)
		return shown;
	const head = Math.ceil((max - 1) * 0.7);
	return letters.slice(0, head).join("") + "\u2026" + letters.slice(letters.length - (max - 1 - head)).join("");
}

/**
 * A foreign name as an element of its own direction; the whole name is the tooltip where it was cut.
 * @param {string} whole
 * @param {number} [max]
 */
export function name(whole, max = NAME_MAX) {
	const shown = plain(whole, max);
	return h("bdi", {class: whole === "" ? "name unknown" : "name", title: shown === whole ? null : plain(whole, 400)}, shown);
}

/**
 * A number with its exact value beside the formatted text: `data-value` is what tests and copying read; "" is "not known".
 * @param {number | null | undefined} value
 * @param {string} shown  the formatted text
 * @param {Attrs} [attrs]
 */
export function num(value, shown, attrs = {}) {
	const known = value !== null && value !== undefined;
	return h("span", {...attrs, class: `num ${known ? "" : "unknown"} ${attrs.class ?? ""}`.trim(), "data-value": known ? String(value) : ""}, shown);
}

/**
 * Small pictures drawn by us, beside a word: nothing is said by colour or shape alone.
 * @param {"serious" | "look" | "ok" | "info" | "none" | "sun" | "moon" | "plus" | "minus" | "fit" | "close" | "key"} which
 */
export function icon(which) {
	/** @type {Record<string, string>} */
	const paths = {
		serious: "M4 4 12 12M12 4 4 12",
		look: "M8 2.5 14 13.5H2Z",
		ok: "M3 8.5 6.5 12 13 4.5",
		info: "M8 7v5M8 4v1",
		none: "M3 8h10",
		sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6 13 13M3 13l1.4-1.4M11.6 4.4 13 3",
		moon: "M12.5 10A5.5 5.5 0 0 1 6 3.5a5.5 5.5 0 1 0 6.500 6.500Z",
		plus: "M8 3v10M3 8h10",
		minus: "M3 8h10",
		fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
		close: "M4 4 12 12M12 4 4 12",
		key: "M8 11v1M6 6a2 2 0 1 1 3 1.700C8.300 8.200 8 8.600 8 9.500",
	};
	return s("svg", {class: `icon icon-${which}`, viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true", focusable: "false"},
		s("path", {d: paths[which]}));
}
