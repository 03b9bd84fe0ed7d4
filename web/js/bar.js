/* SPDX-License-Identifier: Apache-2.0 */
/** The bar on top: pages, time range, live, theme. It says how old the newest numbers are, by the server's clock. */
import {h, icon, replace, set, text} from "./dom.js";
import {ago, clock, seconds, time} from "./format.js";
import {showKeys} from "./keys.js";
import {RANGES} from "./state.js";
import {switchTheme, theme} from "./theme.js";

/** @typedef {import("./types.js").Context} Context */

/** @type {Record<import("./types.js").LiveState, string>} */
const LIVE_WORDS = {connected: "live", connecting: "connecting …", stale: "no news", retry: "reconnecting …", off: "paused"};

/**
 * @param {HTMLElement} top
 * @param {import("./types.js").Page[]} pages
 * @param {Context} context
 */
export function createBar(top, pages, context) {
	const links = pages.filter((page) => page.nav).map((page) => ({page, link: h("a", null, page.nav)}));
	const range = h("select", {"aria-label": "Time range", onchange: () => chooseRange(range.value, context)});
	/* on a small screen the dot and the age are enough */
	const liveWord = h("span", {class: "live-word"});
	const liveAge = h("span");
	const liveText = h("span", {class: "live-text"}, liveWord, liveAge);
	const live = h("button", {type: "button", class: "button live", onclick: () => context.navigate(context.state().from === 0 ? {live: !context.state().live} : {range: context.state().range, live: true}, {replace: true})}, h("span", {class: "dot"}), liveText);
	const themeButton = h("button", {type: "button", class: "button round", onclick: () => {
		switchTheme();
		paintTheme();
	}});
	const help = h("button", {type: "button", class: "button round help", "aria-label": "Keys", title: "Keys (?)", onclick: () => showKeys(pages.find((page) => page.id === context.state().page) ?? pages[0])}, icon("key"));
	const brand = h("a", {class: "brand"}, "Skyfall");
	replace(top, h("div", {class: "bar"}, brand, h("nav", {"aria-label": "Pages"}, links.map(({link}) => link)),
		h("div", {class: "controls"}, range, live, themeButton, help)));

	function paintTheme() {
		const next = theme() === "dark" ? "light" : "dark";
		replace(themeButton, icon(next === "dark" ? "moon" : "sun"));
		set(themeButton, {"aria-label": `Switch to ${next}`, title: `Switch to ${next}`});
	}

	function paintLive() {
		const state = context.live.state();
		const newest = context.live.newest();
		const fixed = context.state().from !== 0;
		const on = context.state().live && !fixed;
		const word = fixed ? "fixed range" : on && state === "off" ? "live" : LIVE_WORDS[state];
		const age = newest ? context.now() - newest.interval - newest.interval_s : null;
		const aged = on && age !== null && (state === "connected" || state === "stale");
		text(liveWord, aged ? `${word}, ` : "");
		text(liveAge, aged ? ago(age) : word);
		live.className = `button live ${on ? state : "off"}`;
		set(live, {"aria-pressed": String(on), title: `${on ? "Click to pause" : fixed ? "Click for the newest" : "Click to go on"}${newest ? `; newest interval ${time(newest.interval)}` : ""}`});
	}

	function update() {
		const state = context.state();
		const current = pages.find((page) => page.id === state.page);
		for (const {page, link} of links)
			set(link, {href: context.href({page: page.id}), "aria-current": page.id === state.page ? "page" : page.id === current?.under ? "true" : null});
		set(brand, {href: context.href({page: pages[0].id})});
		paintRange(range, state);
		paintLive();
	}

	window.addEventListener("themechange", paintTheme);
	/* the stream is held open by the bar, so that every page can say how fresh it is */
	context.live.subscribe(paintLive);
	setInterval(paintLive, 1000);
	paintTheme();
	return {update};
}

/** @param {HTMLSelectElement} select @param {import("./types.js").State} state */
function paintRange(select, state) {
	const fixed = state.from !== 0 || state.to !== 0;
	const label = fixed ? `${time(state.from, {zone: false})} to ${state.to - state.from < 86400 ? clock(state.to) : time(state.to, {zone: false})} (${seconds(state.to - state.from)})` : "";
	const wanted = fixed ? ["fixed"] : [];
	if (select.dataset.label !== label) {
		select.dataset.label = label;
		replace(select, wanted.map(() => h("option", {value: "fixed"}, label)), Object.keys(RANGES).map((r) => h("option", {value: r}, `last ${r.replace("m", " min").replace("h", " h").replace("d", " d")}`)));
	}
	if (select.options.length === 0)
		replace(select, Object.keys(RANGES).map((r) => h("option", {value: r}, `last ${r.replace("m", " min").replace("h", " h").replace("d", " d")}`)));
	select.value = fixed ? "fixed" : state.range;
	set(select, {title: label || null});
}

/** @param {string} value @param {Context} context */
function chooseRange(value, context) {
	if (value !== "fixed")
		context.navigate({range: value});
}
