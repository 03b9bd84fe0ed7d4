/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain as a river from the kernel down to the store: each hop's piece is as wide above as what came in and as wide
 * below as what went out; what was lost leaves to the right. The same numbers stand beside each piece as text.
 */
import {h, icon, num, s} from "../dom.js";
import {exact} from "../format.js";
import {when} from "./kit.js";

/** @typedef {import("./doctor_model.js").HopView} HopView */
/** @typedef {import("./doctor_model.js").Verdict} Verdict */

const TRUNK = 56; /* of 100 */
const LEAST = 3; /* what is not nothing is seen */

/** @type {Record<Verdict, Parameters<typeof icon>[0]>} */
export const VERDICT_ICON = {ok: "ok", loss: "look", bad: "serious", none: "none"};

/** @param {number} n @param {number} most */
function width(n, most) {
	return n > 0 && most > 0 ? Math.max(LEAST, TRUNK * Math.min(1, n / most)) : 0;
}

/** @param {HopView} v @param {number} most of the same unit, over the chain */
function piece(v, most) {
	const above = width(v.hop.in, most), below = width(v.hop.out, most);
	const left = 4, leaks = [];
	const lost = width(v.hop.lost_total, most), missing = width(Math.abs(v.hop.missing), most);
	if (lost)
		leaks.push(s("path", {class: "river-lost", d: `M${left + below - 1} 38 Q${left + TRUNK} 40 100 46 V${46 + lost / 2} Q${left + TRUNK} ${44 + lost / 2} ${left + below - 1} 60Z`}));
	if (missing)
		leaks.push(s("path", {class: "river-missing", d: `M${left + below - 1} 64 Q${left + TRUNK} 66 100 72 V${72 + missing / 2} Q${left + TRUNK} ${70 + missing / 2} ${left + below - 1} 86Z`}));
	return s("svg", {class: "river", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false"},
		s("path", {class: "river-bed", d: `M${left} 0H${left + TRUNK}V100H${left}Z`}),
		s("path", {class: "river-water", d: `M${left} 0H${left + above}C${left + above} 40 ${left + below} 40 ${left + below} 100H${left}Z`}),
		leaks);
}

/** All digits: these numbers are compared, not admired. @param {number} n @param {string} field */
export const whole = (n, field) => num(n, exact(n).replace("-", "\u2212"), {"data-field": field});

/** @param {HopView} v */
function losses(v) {
	return v.losses.length > 0 && h("ul", {class: "hop-losses"}, v.losses.map((l) =>
		h("li", {"data-key": l.reason}, whole(l.count, `lost.${l.reason}`), " ", h("code", null, l.reason), l.text && `: ${l.text}`)));
}

/** @param {HopView} v */
function intervals(v) {
	const list = v.hop.intervals;
	return list.length > 0 && h("details", {class: "hop-intervals"},
		h("summary", null, `In which intervals (${list.length}${list.length >= 20 ? " or more" : ""})`),
		h("ul", null, list.map((i) => h("li", {"data-key": String(i.interval)}, when(i.interval), ": ", whole(i.missing, "missing"), i.missing < 0 ? " too many" : " missing"))));
}

/** @param {HopView} v @param {number} most */
function step(v, most) {
	const {hop} = v;
	return h("li", {class: `hop hop-${v.verdict}`, "data-key": hop.hop, "data-hop": hop.hop, "data-first-bad": v.first || null},
		piece(v, most),
		h("div", {class: "hop-text"},
			h("div", null, h("h3", null, hop.hop, v.first && h("span", {class: "tag tag-serious"}, "first that does not add up")),
				h("p", {class: "hop-sums"},
					whole(hop.in, "in"), ` ${hop.unit} ${v.does[0]} `, h("span", {class: "to", "aria-hidden": "true"}, "\u2192"), " ", whole(hop.out, "out"), ` ${v.does[1]}`)),
			h("div", null, h("p", {class: "hop-verdict"}, icon(VERDICT_ICON[v.verdict]), h("span", null, h("strong", null, v.word), ". ", v.text)),
				losses(v),
				intervals(v))));
}

/** @param {HopView[]} chain */
export function river(chain) {
	/** @type {Record<string, number>} */
	const most = {};
	for (const {hop} of chain)
		most[hop.unit] = Math.max(most[hop.unit] ?? 0, hop.in, hop.out);
	return h("ol", {class: "chain"}, chain.map((v) => step(v, most[v.hop.unit])));
}
