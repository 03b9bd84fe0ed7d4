/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The states that are not data: what is so, why, and the next step. Every page says them the same way.
 */
import {h, icon} from "./dom.js";
import {ApiError} from "./api.js";

/**
 * @typedef {object} Said
 * @property {string} title            what is so: "No connections in the last 5 minutes"
 * @property {string} [reason]         why, as far as it is known
 * @property {string} [next]           what to do
 * @property {string} [command]        a command line that helps, shown as code
 * @property {{label: string, run: () => void}} [action]  a button
 */

/** @typedef {"empty" | "loading" | "stale" | "partial" | "failed" | "info"} Kind */

/** @type {Record<Kind, Parameters<typeof icon>[0]>} */
const ICONS = {empty: "none", loading: "none", stale: "look", partial: "look", failed: "serious", info: "info"};

/**
 * @param {Kind} kind
 * @param {Said} said
 */
export function notice(kind, said) {
	return h("div", {class: `notice notice-${kind}`, "data-notice": kind},
		icon(ICONS[kind]),
		h("div", {class: "notice-text"},
			h("strong", null, said.title),
			(said.reason || said.next || said.command) && h("p", null, said.reason, said.reason && " ", said.next, said.command && [" ", h("code", null, said.command)])),
		said.action && h("button", {type: "button", class: "button", onclick: said.action.run}, said.action.label));
}

/**
 * A failed request as a notice. `kept`: older data is still on the screen, so it is stale and not gone.
 * @param {unknown} error
 * @param {{what: string, kept?: boolean, again_s?: number, retry?: () => void}} how  what: "the map"
 */
export function failed(error, how) {
	const known = error instanceof ApiError;
	const again = how.again_s ? `Next try in ${how.again_s} s.` : "";
	return notice(how.kept ? "stale" : "failed", {
		title: how.kept ? `Showing older numbers: ${known ? error.message : "the page made a mistake"}` : `Could not load ${how.what}: ${known ? error.message : String(error)}`,
		reason: known ? error.hint : "This is a fault of the page itself; the browser's console says more.",
		next: again,
		action: how.retry ? {label: "Try now", run: how.retry} : undefined,
	});
}
