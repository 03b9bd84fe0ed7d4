/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page says what it looks like as a fresh tree; morph() makes the old tree equal to it and touches only what differs.
 * Focus, scroll, text being typed and opened details stay because the elements stay.
 *
 * 1. Children are matched by data-key where both have one, else by place and tag.
 * 2. data-keep="name": what is inside belongs to somebody else (a table, a chart); it is matched by its name and left alone.
 * 3. Listeners are not carried over: pages listen at their root (kit.js, on()).
 * 4. Whether <details> is open is the reader's affair.
 */

/** @param {Node} n */
function keyOf(n) {
	return n instanceof Element ? n.getAttribute("data-keep") ?? n.getAttribute("data-key") : null;
}

/** @param {Node} a @param {Node} b */
function alike(a, b) {
	return a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

/** @param {Element} have @param {Element} want */
function attributes(have, want) {
	for (const {name} of [...have.attributes])
		if (!want.hasAttribute(name) && !(name === "open" && have.nodeName === "DETAILS"))
			have.removeAttribute(name);
	for (const {name, value} of [...want.attributes])
		if (have.getAttribute(name) !== value && !(name === "open" && have.nodeName === "DETAILS"))
			have.setAttribute(name, value);
}

/** What a reader changed is a property, not an attribute. @param {Element} have @param {Element} want */
function choices(have, want) {
	if (have instanceof HTMLSelectElement && want instanceof HTMLSelectElement && have.value !== want.value)
		have.value = want.value;
	if (have instanceof HTMLInputElement && want instanceof HTMLInputElement) {
		if (have.checked !== want.checked)
			have.checked = want.checked;
		if (have !== document.activeElement && have.value !== want.value)
			have.value = want.value;
	}
}

/** @param {Node} have @param {Node} want */
function one(have, want) {
	if (!(have instanceof Element) || !(want instanceof Element)) {
		if (have.nodeValue !== want.nodeValue)
			have.nodeValue = want.nodeValue;
		return;
	}
	if (have.hasAttribute("data-keep"))
		return;
	attributes(have, want);
	children(have, [...want.childNodes]);
	choices(have, want);
}

/** The old child that stands for `want`, not before `from`. @param {Element} parent @param {Node | null} from @param {Node} want */
function find(parent, from, want) {
	if (keyOf(want) === null)
		return from && alike(from, want) ? from : null;
	for (let n = from; n; n = n.nextSibling)
		if (alike(n, want))
			return n;
	return null;
}

/**
 * Makes the children of `have` look like `want`.
 * @param {Element} have
 * @param {Node[]} want
 */
export function children(have, want) {
	/** @type {Node | null} */
	let at = have.firstChild;
	for (const w of want) {
		const old = find(have, at, w);
		if (!old) {
			have.insertBefore(w, at);
			continue;
		}
		one(old, w);
		if (old === at)
			at = at.nextSibling;
		else
			have.insertBefore(old, at);
	}
	while (at) {
		const next = at.nextSibling;
		have.removeChild(at);
		at = next;
	}
}
