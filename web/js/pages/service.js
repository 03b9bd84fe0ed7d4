/* SPDX-License-Identifier: Apache-2.0 */
import {h} from "../dom.js";

/** @type {import("../types.js").Page} */
export const page = {
	id: "service",
	title: "Service",
	params: {},
	mount(root) {
		root.append(h("h1", null, "Service"));
		return {update() {}, unmount() {}};
	},
};
