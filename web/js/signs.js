/* SPDX-License-Identifier: Apache-2.0 */
/** Signs in words: an icon, a word and a colour together, never a colour alone. The sentences are the server's. */
import {h, icon} from "./dom.js";
import {share} from "./format.js";

/** @typedef {import("./types.js").Sign} Sign */

/** @type {Record<string, string>} */
const WORDS = {
	refused: "refused", timed_out: "no answer", unreachable: "unreachable", no_local_port: "no local port", abandoned: "given up", no_route: "no route",
	failed_other: "failed", reset: "reset", cut_off: "cut off", retransmits: "retransmits", slow_reader: "slow reader", send_buffer: "send buffer",
};

/** A sign this page does not know yet is named as the server names it. @param {Sign} sign */
export const word = (sign) => WORDS[sign.sign] ?? sign.sign.replaceAll("_", " ");

/** "refused 100 %": from ten percent on without a point. @param {Sign} sign */
export const brief = (sign) => `${word(sign)} ${sign.share >= 0.1 && sign.share <= 0.99 ? `${Math.round(sign.share * 100)}\u00a0%` : share(sign.share).replace(/\.0+(?=\D)/, "")}`;

/** The server's sentence, begun and ended as one. @param {Sign} sign */
export const sentence = (sign) => `${sign.text.charAt(0).toUpperCase()}${sign.text.slice(1)}${/[.!?]$/.test(sign.text) ? "" : "."}`;

/** @param {number} severity @returns {"serious" | "look" | "ok"} */
export const iconOf = (severity) => severity >= 2 ? "serious" : severity === 1 ? "look" : "ok";

/**
 * The worst sign as a tag, and how many more there are; without signs: "nothing stands out", greyed.
 * @param {Sign[]} signs  worst first
 */
export function tag(signs) {
	if (signs.length === 0)
		return h("span", {class: "tag severity-0"}, "–", h("span", {class: "visually-hidden"}, "nothing stands out"));
	const more = signs.length > 1 ? ` +${signs.length - 1}` : "";
	return h("span", {class: `tag severity-${signs[0].severity}`, title: signs.map(sentence).join("\n")}, icon(iconOf(signs[0].severity)), brief(signs[0]) + more);
}

/**
 * A sign as a sentence with its colour and icon.
 * @param {Sign} sign
 */
export function said(sign) {
	return h("p", {class: `sentence severity-${sign.severity}`}, h("span", {class: `tag severity-${sign.severity}`}, icon(iconOf(sign.severity)), capital(word(sign))), h("br"), sentence(sign));
}

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
