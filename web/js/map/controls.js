/* SPDX-License-Identifier: Apache-2.0 */
/** What the map is asked for: grouping, metric, how many boxes, idle, only problems, and the way out of a focus. */
import {h, name, replace, set} from "../dom.js";

/** @typedef {import("../types.js").Context} Context */

/** Parameters of the map in the address bar. @type {import("../types.js").ParamTable} */
export const PARAMS = {
	group: {type: "enum", values: ["service", "host", "zone", "net"], default: "service"},
	metric: {type: "enum", values: ["bytes", "opened", "attempts", "failed", "resets", "retransmitted", "open_ms"], default: "bytes"},
	limit: {type: "int", min: 1, max: 5000, default: 150},
	idle: {type: "enum", values: ["hide", "show"], default: "hide"},
	only: {type: "enum", values: ["all", "signs"], default: "all"},
	focus: {type: "text", default: ""},
	depth: {type: "int", min: 1, max: 10, default: 1},
	open: {type: "text", max: 20000, default: ""},
	table: {type: "text", max: 2000, default: ""},
	map: {type: "enum", values: ["folded", "shown"], default: "folded"},
};

/** @type {Record<string, string>} */
const METRIC_WORDS = {bytes: "bytes", opened: "connections opened", attempts: "attempts", failed: "failed attempts", resets: "resets", retransmitted: "retransmits", open_ms: "time open"};
const LIMITS = [20, 50, 150, 500];

/**
 * @param {string} label
 * @param {[string, string][]} options
 * @param {(value: string) => void} choose
 */
function select(label, options, choose) {
	const node = h("select", {"aria-label": label, title: label, onchange: () => choose(node.value)}, options.map(([value, shown]) => h("option", {value}, shown)));
	return node;
}

/** @param {Context} context */
export function createControls(context) {
	const group = select("Group by", PARAMS.group.type === "enum" ? PARAMS.group.values.map((value) => [value, `by ${value}`]) : [], (value) => context.navigate({group: value, focus: null, open: null}));
	const metric = select("Largest by", Object.entries(METRIC_WORDS).map(([value, shown]) => [value, `largest by ${shown}`]), (value) => context.navigate({metric: value}));
	const limit = select("At most so many boxes; the rest is one box", LIMITS.map((n) => [String(n), `at most ${n}`]), (value) => context.navigate({limit: value}));
	const only = h("button", {type: "button", class: "button", onclick: () => context.navigate({only: context.state().only === "signs" ? "all" : "signs"})}, "only problems");
	const idle = h("button", {type: "button", class: "button", title: "Edges without a byte, an attempt or an open connection in the range", onclick: () => context.navigate({idle: context.state().idle === "show" ? "hide" : "show"})}, "show idle");
	const element = h("div", {class: "controls map-controls", role: "group", "aria-label": "Map"}, group, only, idle, metric, limit);
	const crumbs = h("nav", {class: "crumbs", "aria-label": "Focus", hidden: true});
	const depth = select("Hops", Array.from({length: 10}, (_, i) => [String(i + 1), i === 0 ? "1 hop" : `${i + 1} hops`]), (value) => context.navigate({depth: value}));

	return {
		element, crumbs,
		/** @param {import("../types.js").State} state */
		update(state) {
			group.value = state.group;
			metric.value = state.metric;
			const known = [...limit.options].some((option) => option.value === String(state.limit));
			if (!known)
				limit.append(h("option", {value: state.limit}, `at most ${state.limit}`));
			limit.value = String(state.limit);
			depth.value = String(state.depth);
			set(only, {"aria-pressed": String(state.only === "signs")});
			set(idle, {"aria-pressed": String(state.idle === "show")});
			crumbs.hidden = state.focus === "";
			if (state.focus && crumbs.dataset.focus !== state.focus) {
				const [, kind, id] = /^([a-z]+):(.*)$/s.exec(state.focus) ?? ["", "", state.focus];
				replace(crumbs, h("a", {href: context.href({focus: null, depth: null})}, "Everything"), h("span", {class: "mute"}, "›"), h("span", null, `only around ${kind} `, h("strong", null, name(id, 40))), depth,
					h("a", {class: "button small", href: context.href({focus: null, depth: null})}, "Leave (Esc)"));
				crumbs.dataset.focus = state.focus;
			}
			crumbs.querySelectorAll("a").forEach((a) => set(a, {href: context.href({focus: null, depth: null})}));
		},
	};
}
