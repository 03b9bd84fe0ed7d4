/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The first page: what exists, what is wrong, how complete the picture is. The graph is asked for when the question changes
 * and, while live, at most every five seconds; between that the stream's numbers tick, painted at most once a second.
 */
import {h, replace, set} from "../dom.js";
import {count, plural} from "../format.js";
import {createFilterBar} from "../filter_bar.js";
import {parseFilter} from "../filter_text.js";
import {createLoader} from "../load.js";
import {COLUMNS, worstFirst} from "../map/columns.js";
import {PARAMS, createControls} from "../map/controls.js";
import {emptyNotice, staleNotice} from "../map/empty.js";
import {createPanel} from "../map/panel.js";
import {createPicture} from "../map/picture.js";
import {createStat} from "../map/stat.js";
import {notice} from "../notice.js";
import {createTable} from "../table.js";

/** @typedef {import("../map/model.js").Graph} Graph */
/** @typedef {import("../map/model.js").GraphEdge} GraphEdge */
/** @typedef {import("../map/columns.js").Row} Row */
/** @typedef {import("../types.js").Context} Context */
/** @typedef {import("../types.js").State} State */

const ARRIVED_MS = 2000; /* between two questions because of new edges */
const REPAINT_MS = 1000;

/** Parameters of /graph. @param {State} state @param {Context} context */
function question(state, context) {
	const {terms} = parseFilter(state.filter);
	return {...context.range(), ...terms, group: state.group, metric: state.metric, limit: state.limit, idle: state.idle, only: state.only, focus: state.focus, depth: state.focus ? state.depth : ""};
}

/**
 * The stream's edges summed as the graph's: one by its id, several by their two services. Other groups have no such sum.
 * @param {Context} context
 * @returns {(edge: GraphEdge) => Row["now"]}
 */
export function liveNumbers(context) {
	/** @type {Map<string, {bytes_s: number, opens_s: number}>} */
	const sums = new Map();
	const per = context.live.newest()?.interval_s ?? 0;
	const key = (/** @type {any} */ edge) => JSON.stringify([edge.client_service, edge.server_service]);
	if (per > 0 && context.state().live && context.state().from === 0)
		for (const edge of context.live.edges().values()) {
			const sum = sums.get(key(edge)) ?? {bytes_s: 0, opens_s: 0};
			sum.bytes_s += ((edge.c2s_bytes ?? 0) + (edge.s2c_bytes ?? 0)) / per;
			sum.opens_s += (edge.opened ?? 0) / per;
			sums.set(key(edge), sum);
		}
	return (edge) => {
		if (sums.size === 0)
			return null;
		const one = edge.edge ? context.live.edges().get(edge.edge) : undefined;
		if (one)
			return {bytes_s: ((one.c2s_bytes ?? 0) + (one.s2c_bytes ?? 0)) / per, opens_s: (one.opened ?? 0) / per};
		return edge.kind === "group" && edge.client_service !== undefined && context.state().group === "service" ? sums.get(key(edge)) ?? null : null;
	};
}

/** The table of edges. @param {Context} context */
function edgeTable(context) {
	return createTable(/** @type {import("../table.js").Options<Row>} */ ({
		caption: "Edges, worst first", columns: COLUMNS, key: (row) => row.edge.id, sort: "worst", first: worstFirst,
		rowClass: (row) => `severity-${row.edge.severity}`,
		href: (row) => context.href({open: `edge:${row.edge.id}`}),
		onOpen: (row) => context.navigate({open: `edge:${row.edge.id}`}),
		empty: "No edge in this range.",
		onView: (view) => context.navigate({table: view}, {replace: true}),
	}));
}

class MapPage {
	/** @param {HTMLElement} root @param {Context} context */
	constructor(root, context) {
		this.context = context;
		/** @type {Graph | null} */
		this.graph = null;
		this.asked = "";
		this.shown = "";
		this.painted = 0;
		this.timer = 0;
		/** @type {{links: string, rows: Map<string, Row>}} */
		this.kept = {links: "", rows: new Map()};
		/* edges the stream has brought, and when one not met before was last asked for */
		this.met = new Set(context.live.edges().keys());
		this.asked_ms = -ARRIVED_MS;
		this.due = 0;
		this.status = h("div", {class: "status", role: "status"});
		this.stale = h("div", {class: "status", role: "status"});
		this.filter = createFilterBar({onApply: (line) => context.navigate({filter: line})});
		this.controls = createControls(context);
		this.stat = createStat(context);
		this.picture = createPicture({
			openNode: (id) => context.navigate({open: `node:${id}`}),
			openEdge: (id) => context.navigate({open: `edge:${id}`}),
			focusNode: (id) => id === "other:" ? context.navigate({limit: Math.min(5000, context.state().limit * 3)}) : context.navigate({focus: id}),
		});
		this.panel = createPanel(context);
		this.table = edgeTable(context);
		this.partial = h("div", {class: "status", role: "status"});
		this.empty = h("div", {class: "map-empty", hidden: true});
		this.note = h("p", {class: "map-note mute"});
		this.fold = h("button", {type: "button", class: "button fold", onclick: () => context.navigate({map: context.state().map === "shown" ? "folded" : "shown"}, {replace: true})});
		this.card = h("section", {class: "card map-card", "aria-label": "Map"}, this.picture.element, this.empty, this.note);
		this.note.hidden = true;
		this.grid = h("div", {class: "map-grid"}, this.card, this.panel.element);
		root.append(h("h1", {class: "visually-hidden"}, "Map"), h("div", {class: "map-top"}, this.filter.element, this.controls.element), this.controls.crumbs, this.stat.element, this.stale, this.partial, this.status, this.fold, this.grid, this.table.element);
		/* nothing is shown before the first answer: no empty frames */
		this.framed = [this.fold, this.grid, this.table.element];
		this.framed.forEach((part) => set(part, {hidden: true}));
		this.loader = createLoader(/** @type {import("../load.js").Load<Graph>} */ ({
			what: "the map", status: this.status,
			ask: (signal) => context.api.get("/graph", question(context.state(), context), {signal}),
			show: (graph) => this.show(graph),
		}));
		this.unsubscribe = context.live.subscribe((event) => {
			/* the stream is back before the next try: so is the server */
			if (event.type === "state" && context.live.state() === "connected" && this.loader.waiting())
				void this.loader.run();
			this.arrived(event);
			this.soon();
		});
		this.clock = window.setInterval(() => this.soon(), REPAINT_MS);
	}

	/** @param {State} state @param {string} why */
	update(state, why) {
		const asked = JSON.stringify(question(state, this.context));
		const changed = asked !== this.asked;
		this.asked = asked;
		this.filter.set(state.filter);
		this.controls.update(state);
		this.table.setView(state.table);
		this.grid.classList.toggle("folded", state.map === "folded");
		this.fold.textContent = state.map === "folded" ? "Show the map" : "Hide the map";
		this.fold.setAttribute("aria-expanded", String(state.map !== "folded"));
		this.select(state);
		if (changed || why === "retry" || (why === "tick" && !this.loader.waiting()))
			void this.loader.run(changed);
		else if (this.graph)
			this.panel.update(this.graph, state.open);
	}

	/** Marks what is open in picture and table. @param {State} state */
	select(state) {
		const id = state.open.replace(/^(node|edge):/, "");
		this.picture.select(state.open ? id : null);
		this.table.mark(state.open.startsWith("edge:") ? id : null);
	}

	/** @param {Graph} graph */
	show(graph) {
		const state = this.context.state();
		const fresh = this.asked !== this.shown;
		this.shown = this.asked;
		this.graph = graph;
		this.framed.forEach((part) => set(part, {hidden: false}));
		const none = graph.nodes.length === 0;
		this.empty.hidden = !none;
		this.picture.element.hidden = none;
		if (none)
			replace(this.empty, emptyNotice(graph, this.context));
		this.picture.update(graph, fresh);
		this.stat.update(graph);
		this.panel.update(graph, state.open);
		this.select(state);
		const {other, completeness} = graph;
		replace(this.partial, completeness.not_read > 0 && notice("partial", {title: `${count(completeness.not_read)} edges are not in the picture`, reason: "There are more than are read for one answer; the smallest are left out.", next: "A filter or a shorter range brings them in."}));
		this.note.textContent = other.nodes > 0 ? `The ${plural(graph.nodes.length - 1, "largest box", "largest boxes")} of ${graph.matched.nodes}; “other” sums ${plural(other.nodes, "more", "more")} with ${plural(other.edges, "edge")}. Double click it for more of them.` : "";
		this.note.hidden = other.nodes === 0;
		this.table.setCsv(this.context.api.url("/graph", {...question(state, this.context), format: "csv"}));
		/* the picture first: the table is as much work again */
		if (fresh)
			requestAnimationFrame(() => setTimeout(() => this.paint()));
		else
			this.paint();
		if (fresh)
			this.context.announce(`${plural(graph.matched.edges, "edge")}, ${plural(graph.matched.signs, "needs", "need")} a look`);
	}

	/** An edge never met before is asked for soon, not at the next tick. @param {import("../live.js").LiveEvent} event */
	arrived(event) {
		if (event.type === "snapshot")
			this.met = new Set(this.context.live.edges().keys());
		const known = this.met.size;
		for (const edge of event.type === "delta" ? event.data.add ?? [] : [])
			this.met.add(edge.id);
		if (this.met.size === known || event.type === "snapshot" || this.due || this.context.state().from !== 0)
			return;
		this.due = window.setTimeout(() => {
			this.due = 0;
			this.asked_ms = performance.now();
			if (!this.loader.waiting())
				void this.loader.run();
		}, Math.max(0, this.asked_ms + ARRIVED_MS - performance.now()));
	}

	/** Live numbers: at most one repaint a second. */
	soon() {
		if (this.timer || document.visibilityState !== "visible")
			return;
		this.timer = window.setTimeout(() => {
			this.timer = 0;
			requestAnimationFrame(() => this.paint());
		}, Math.max(0, this.painted + REPAINT_MS - performance.now()));
	}

	paint() {
		this.painted = performance.now();
		const stale = this.status.hasChildNodes() ? null : staleNotice(this.context);
		if (stale?.textContent !== (this.stale.textContent || undefined))
			replace(this.stale, stale);
		if (!this.graph)
			return;
		this.table.update(this.rows(this.graph));
		this.stat.tick();
		this.panel.tick();
	}

	/** The table's rows: the ones it has where they say the same. @param {Graph} graph @returns {Row[]} */
	rows(graph) {
		const names = new Map(graph.nodes.map((node) => [node.id, node.name]));
		const now = liveNumbers(this.context);
		/* their links lead to all of the state but what is open */
		const links = this.context.href({open: null});
		const old = this.kept.links === links ? this.kept.rows : new Map();
		const rows = graph.edges.map((edge) => {
			const row = {edge, client: names.get(edge.source) ?? "", server: names.get(edge.target) ?? "", now: now(edge)};
			const same = old.get(edge.id);
			return same && same.edge === edge && same.now?.bytes_s === row.now?.bytes_s && same.now?.opens_s === row.now?.opens_s ? same : row;
		});
		this.kept = {links, rows: new Map(rows.map((row) => [row.edge.id, row]))};
		return rows;
	}

	/** @param {KeyboardEvent} event */
	key(event) {
		const {state, navigate} = this.context;
		if (event.key === "Escape" && state().open)
			navigate({open: null});
		else if (event.key === "Escape" && state().focus)
			navigate({focus: null, depth: null});
		else if (event.key === "m")
			this.picture.focus();
		else if (event.key === "t")
			this.table.focus();
		else if (event.key === "p")
			navigate({only: state().only === "signs" ? "all" : "signs"});
		else if (event.key === "+" || event.key === "=")
			this.picture.camera.zoom(1.3);
		else if (event.key === "-")
			this.picture.camera.zoom(1 / 1.3);
		else if (event.key === "0")
			this.picture.camera.fit(true);
		else
			return false;
		return true;
	}

	unmount() {
		clearInterval(this.clock);
		clearTimeout(this.timer);
		clearTimeout(this.due);
		this.unsubscribe();
		this.loader.stop();
		this.panel.stop();
		this.picture.camera.stop();
	}
}

/** @type {import("../types.js").Page} */
export const page = {
	id: "map",
	title: "Map",
	nav: "Map",
	params: PARAMS,
	refresh_s: 5,
	keys: [["m", "to the map"], ["t", "to the table of edges"], ["← →", "on the map: to who calls, to who is called"], ["↑ ↓", "on the map: within the column; in the table: along the rows"], ["f", "on a box: only what is around it"], ["p", "only problems"], ["+ - 0", "zoom in, out, fit"], ["Esc", "close the panel, then leave the focus"]],
	mount(root, context) {
		const map = new MapPage(root, context);
		return {
			update: (state, why) => map.update(state, why),
			unmount: () => map.unmount(),
			key: (event) => map.key(event),
		};
	},
};
