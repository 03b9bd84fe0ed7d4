/* SPDX-License-Identifier: Apache-2.0 */
import {h} from "../dom.js";

/** @type {import("../types.js").Page} */
export const page = {
	id: "services",
	title: "Services",
	nav: "Services",
	params: {},
	mount(root) {
		root.append(h("h1", null, "Services"));
		return {update() {}, unmount() {}};
	},
};
