/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A thing and its neighbours before a veil over the rest. A layer of its own: the picture under it is neither styled nor
 * painted again, which without a GPU takes longer than a frame for hundreds of lines. Copies for the eye only: what is
 * clicked, read out and focused are the originals.
 */
import {replace, s, set} from "../dom.js";

export function createFront() {
	const world = s("g");
	const svg = s("svg", {class: "map-front", "aria-hidden": "true", focusable: "false"}, world);

	/** @param {Element} element */
	function copy(element) {
		const made = /** @type {Element} */ (element.cloneNode(true));
		for (const name of ["role", "tabindex", "data-id"])
			made.removeAttribute(name);
		/* the ring around the original is under the veil */
		made.classList.toggle("ringed", element.matches(":focus-visible"));
		return made;
	}

	return {
		svg, world,
		/** @param {Element[]} elements  from the back to the front; none: no veil */
		show(elements) {
			replace(world, ...elements.map(copy));
			set(svg, {class: elements.length > 0 ? "map-front hot" : "map-front"});
		},
	};
}
