/* SPDX-License-Identifier: Apache-2.0 */
import {h} from "../dom.js";

/** @type {import("../types.js").Page} */
export const page = {
	id: "edge",
	title: "Edge",
	params: {},
	mount(root) {
		root.append(h("h1", null, "Edge"));
		return {update() {}, unmount() {}};
	},
};
