/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Start of the page: the registry of pages, and what changes which of them is shown. The bar on top is in bar.js,
 * the dialog of keys in keys.js.
 */
import {createApi} from "./api.js";
import {createBar} from "./bar.js";
import {h, replace} from "./dom.js";
import {showKeys} from "./keys.js";
import {createLive} from "./live.js";
import {notice} from "./notice.js";
import {createState} from "./state.js";
import {applyTheme} from "./theme.js";
import {page as map} from "./pages/map.js";
import {page as services} from "./pages/services.js";
import {page as service} from "./pages/service.js";
import {page as edge} from "./pages/edge.js";
import {page as hosts} from "./pages/hosts.js";
import {page as doctor} from "./pages/doctor.js";

/** @typedef {import("./types.js").Page} Page */
/** @typedef {import("./types.js").Mounted} Mounted */
/** @typedef {import("./types.js").Context} Context */

/** In the order of the navigation. @type {Page[]} */
const LIST = [map, services, service, edge, hosts, doctor];

const TICK_S = 5;

/** @param {string} id */
function part(id) {
	const node = document.getElementById(id);
	if (!node)
		throw new Error(`index.html has no #${id}`);
	return node;
}

function start() {
	applyTheme();
	/** @type {Record<string, Page>} */
	const pages = Object.fromEntries(LIST.map((page) => [page.id, page]));
	const store = createState(pages, map.id);
	const api = createApi();
	const live = createLive("/api/v1/stream");
	const said = part("said");

	/** @type {Context} */
	const context = {
		state: store.get, api, live, navigate: store.patch, href: store.href, now: api.now,
		range: () => {
			const {from, to, range} = store.get();
			return from || to ? {from, to} : {from: `-${range}`, to: "now"};
		},
		announce: (text) => {
			said.textContent = text;
		},
	};
	const bar = createBar(part("top"), LIST, context);
	const show = createShow(part("main"), pages, context, store.problems);

	live.turn(store.get().live);
	store.subscribe(() => {
		live.turn(store.get().live);
		bar.update();
		show.update("state");
	});
	document.addEventListener("click", followLink);
	document.addEventListener("keydown", (event) => onKey(event, show, pages, context));
	bar.update();
	show.update("mount");
}

/**
 * Mounts the page of the state, keeps it up to date and takes it away.
 * @param {HTMLElement} main
 * @param {Record<string, Page>} pages
 * @param {Context} context
 * @param {() => import("./types.js").Problem[]} problems
 */
function createShow(main, pages, context, problems) {
	const notices = h("div", {class: "frame-notices", role: "status"});
	let root = h("div");
	/** @type {Mounted | null} */
	let mounted = null;
	let shown = "";
	let timer = 0;
	main.append(notices);

	function tick() {
		clearTimeout(timer);
		const every = pages[shown].refresh_s ?? TICK_S;
		if (every === 0)
			return;
		timer = window.setTimeout(() => {
			const {live, from} = context.state();
			/* a fixed range does not change by waiting */
			if (live && from === 0 && document.visibilityState === "visible")
				mounted?.update(context.state(), "tick");
			tick();
		}, every * 1000);
	}

	function mount() {
		mounted?.unmount();
		root.remove();
		const first = shown === "";
		shown = context.state().page;
		const page = pages[shown];
		root = h("div", {class: `page page-${shown}`});
		main.append(root);
		document.title = `${page.title} · Skyfall`;
		mounted = page.mount(root, context);
		if (!first) {
			window.scrollTo(0, 0);
			main.focus({preventScroll: true});
			context.announce(page.title);
		}
		mounted.update(context.state(), "mount");
		tick();
	}

	return {
		/** @param {"mount" | "state"} why */
		update(why) {
			const list = problems();
			replace(notices, list.length > 0 && notice("partial", {
				title: "Part of the address was not understood",
				reason: list.slice(0, 5).map((p) => `${p.key.slice(0, 40)}=${p.value.slice(0, 80)}: used is ${p.used}`).join("; ") + (list.length > 5 ? `; and ${list.length - 5} more` : ""),
				next: "The link may be of another version, or cut short.",
				action: {label: "Dismiss", run: () => replace(notices)},
			}));
			if (context.state().page !== shown)
				mount();
			else if (why === "state")
				mounted?.update(context.state(), "state");
		},
		/** @param {KeyboardEvent} event */
		key: (event) => mounted?.key?.(event) ?? false,
	};
}

/** Links within the page change the state; with Ctrl and the like the browser opens them as ever. @param {MouseEvent} event */
function followLink(event) {
	const link = event.target instanceof Element ? event.target.closest("a") : null;
	if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
		return;
	const href = link.getAttribute("href") ?? "";
	if (!href.startsWith("/?") || link.target)
		return;
	event.preventDefault();
	if (location.pathname + location.search !== href) {
		history.pushState(null, "", href);
		window.dispatchEvent(new PopStateEvent("popstate"));
	}
}

/**
 * Keys that no field took: the frame's own, then the page's.
 * @param {KeyboardEvent} event
 * @param {{key: (event: KeyboardEvent) => boolean}} show
 * @param {Record<string, Page>} pages
 * @param {Context} context
 */
function onKey(event, show, pages, context) {
	const target = event.target;
	const typing = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
	if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing || document.querySelector("dialog[open]"))
		return;
	if (event.key === "?") {
		event.preventDefault();
		showKeys(pages[context.state().page]);
	} else if (event.key === "/") {
		const field = /** @type {HTMLElement | null} */ (document.querySelector("[data-filter]"));
		if (field) {
			event.preventDefault();
			field.focus();
		}
	} else if (show.key(event))
		event.preventDefault();
}

start();
