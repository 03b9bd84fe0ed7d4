/* SPDX-License-Identifier: Apache-2.0 */
import {h} from "../dom.js";

/** @type {import("../types.js").Page} */
export const page = {
	id: "map",
	title: "Map",
	nav: "Map",
	params: {},
	mount(root) {
		root.append(h("h1", null, "Map"));
		return {update() {}, unmount() {}};
	},
};
