/* SPDX-License-Identifier: Apache-2.0 */
/** The dialog of keys. */
import {h} from "./dom.js";

/** @type {[string, string][]} */
const COMMON = [
	["/", "to the filter"],
	["↑ ↓", "along the rows of a table"],
	["Enter", "open"],
	["Esc", "close"],
	["?", "this list"],
];

/** @param {import("./types.js").Page} page */
export function showKeys(page) {
	const list = [...page.keys ?? [], ...COMMON.filter(([key]) => !page.keys?.some(([own]) => own === key))];
	const dialog = h("dialog", {"aria-labelledby": "keys-title", onclose: () => dialog.remove()},
		h("h2", {id: "keys-title"}, `Keys: ${page.title}`),
		h("dl", {class: "keys"}, list.map(([key, what]) => [h("dt", null, key.split(" ").map((k) => [h("kbd", null, k), " "]).flat()), h("dd", null, what)]).flat()),
		h("form", {method: "dialog"}, h("button", {class: "button"}, "Close")));
	document.body.append(dialog);
	dialog.showModal();
}
