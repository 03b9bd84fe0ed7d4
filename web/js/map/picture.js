/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The picture: bands, lines, boxes, labels as SVG. Elements are kept by id over refreshes, so focus and hover stay and
 * only what changed is touched. Everything in it is also in the table under it.
 */
import {h, icon, plain, s, set, text} from "../dom.js";
import {brief} from "../signs.js";
import {createCamera} from "./camera.js";
import {fillEdge, fillLabel, fillNode, makeEdge, makeLabel, makeNode} from "./elements.js";
import {createFront} from "./front.js";
import {neighbour, shape} from "./model.js";

/** @typedef {import("./model.js").Graph} Graph */
/** @typedef {import("./model.js").GraphNode} GraphNode */
/** @typedef {import("./model.js").GraphEdge} GraphEdge */

/**
 * @typedef {object} Actions
 * @property {(id: string) => void} openNode
 * @property {(id: string) => void} openEdge
 * @property {(id: string) => void} focusNode
 */

const HOVER_MS = 60;

/** Rates of connections opened to each node. @param {Graph} graph @returns {Map<string, number>} */
function opensTo(graph) {
	const found = new Map();
	for (const edge of graph.edges)
		found.set(edge.target, (found.get(edge.target) ?? 0) + (edge.derived.opened_per_s ?? 0));
	return found;
}

/**
 * Children of `parent` by key: kept, made or removed, in the order of `items`.
 * @template T
 * @template {Element} E
 * @param {Element} parent
 * @param {Map<string, E>} kept
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => E} make
 * @param {(element: E, item: T) => void} fill
 */
function reconcile(parent, kept, items, key, make, fill) {
	const wanted = new Set(items.map(key));
	for (const [id, element] of kept)
		if (!wanted.has(id)) {
			element.remove();
			kept.delete(id);
		}
	for (const item of items) {
		const id = key(item);
		let element = kept.get(id);
		if (!element) {
			kept.set(id, element = make(item));
			parent.append(element);
		}
		fill(element, item);
	}
}

/** @param {Graph} graph @param {{kind: string, id: string}} what */
function touched(graph, what) {
	const ids = new Set([what.id]);
	for (const edge of graph.edges)
		if (what.kind === "node" ? edge.source === what.id || edge.target === what.id : edge.id === what.id)
			[edge.id, edge.source, edge.target].forEach((id) => ids.add(id));
	return ids;
}

/** @param {GraphEdge} edge */
const labelText = (edge) => edge.signs.length ? brief(edge.signs[0]) + (edge.signs.length > 1 ? ` +${edge.signs.length - 1}` : "") : "";

/**
 * @param {Actions} actions
 */
export function createPicture(actions) {
	const bands = s("g", {class: "bands"});
	const edges = s("g", {class: "edges"});
	const labels = s("g", {class: "labels"});
	const nodes = s("g", {class: "nodes"});
	const world = s("g", null, bands, edges, nodes, labels);
	const svg = s("svg", {class: "map", role: "group", "aria-label": "Service map. Arrow keys move along neighbours, Enter opens. The same data is in the table of edges."}, world);
	const front = createFront();
	const camera = createCamera(svg, [world, front.world]);
	const kept = {bands: new Map(), edges: new Map(), labels: new Map(), nodes: new Map()};
	/** @type {Graph | null} */
	let graph = null;
	/** @type {string | null} */
	let selected = null;
	let roving = "";
	/** @type {{kind: string, id: string} | null} */
	let hot = null;
	let hoverTimer = 0;

	const button = (/** @type {"plus" | "minus" | "fit"} */ which, /** @type {string} */ label, /** @type {() => void} */ run) =>
		h("button", {type: "button", class: "button round", "aria-label": label, title: label, onclick: run}, icon(which));
	const buttons = h("div", {class: "map-buttons"}, button("plus", "Zoom in (+)", () => camera.zoom(1.3)), button("minus", "Zoom out (−)", () => camera.zoom(1 / 1.3)), button("fit", "Fit (0)", () => camera.fit(true)));

	/** @param {Event} event @returns {{kind: "node" | "edge", id: string} | null} */
	function hit(event) {
		const g = event.target instanceof Element ? event.target.closest("g[data-id]") : null;
		return g ? {kind: g.classList.contains("node") ? "node" : "edge", id: g.getAttribute("data-id") ?? ""} : null;
	}

	/** Dims all but a thing and its neighbours. @param {{kind: string, id: string} | null} what */
	function highlight(what) {
		clearTimeout(hoverTimer);
		if ((what?.id ?? null) === (hot?.id ?? null))
			return;
		hot = what;
		paintFront();
	}

	function paintFront() {
		const ids = hot && graph ? touched(graph, hot) : new Set();
		front.show([kept.edges, kept.nodes, kept.labels].flatMap((map) => [...map].filter(([id]) => ids.has(id)).map(([, element]) => element)));
	}

	/** Only where the pointer rests: not on the way across, not while the picture moves under it. @param {Event} event */
	function hover(event) {
		clearTimeout(hoverTimer);
		const what = hit(event);
		hoverTimer = window.setTimeout(() => !camera.moving() && highlight(what), HOVER_MS);
	}

	/** @param {string} id */
	function rove(id) {
		roving = id;
		for (const [key, element] of kept.nodes)
			set(element, {tabindex: key === id ? "0" : "-1"});
	}

	/** @param {string} id */
	function step(id) {
		const node = graph?.nodes.find((one) => one.id === id);
		if (!node)
			return;
		rove(id);
		kept.nodes.get(id).focus({preventScroll: true});
		camera.reveal(node.x, node.y);
	}

	/** What is opened elsewhere comes into sight. @param {string} id */
	function reveal(id) {
		const edge = graph?.edges.find((one) => one.id === id);
		for (const node of graph?.nodes ?? [])
			if (node.id === id || (edge && (node.id === edge.source || node.id === edge.target)))
				camera.reveal(node.x, node.y);
	}

	function paintSelected() {
		for (const map of [kept.edges, kept.labels, kept.nodes])
			for (const [id, element] of map)
				element.classList.toggle("selected", id === selected);
		if (hot)
			paintFront();
	}

	svg.addEventListener("pointerover", hover);
	svg.addEventListener("pointerleave", () => highlight(null));
	svg.addEventListener("focusin", (event) => {
		const what = hit(event);
		if (what)
			rove(what.id);
		/* a click gives focus too, but only keys need the neighbours shown */
		if (event.target instanceof Element && event.target.matches(":focus-visible"))
			highlight(what);
	});
	svg.addEventListener("focusout", () => highlight(null));
	svg.addEventListener("click", (event) => {
		const what = hit(event);
		if (what)
			(what.kind === "node" ? actions.openNode : actions.openEdge)(what.id);
	});
	svg.addEventListener("dblclick", (event) => {
		const what = hit(event);
		if (what?.kind === "node")
			actions.focusNode(what.id);
	});
	svg.addEventListener("keydown", (event) => {
		const what = hit(event);
		if (!graph || what?.kind !== "node" || event.ctrlKey || event.metaKey || event.altKey)
			return;
		if (event.key === "Enter" || event.key === " ")
			actions.openNode(what.id);
		else if (event.key === "f")
			actions.focusNode(what.id);
		else if (event.key.startsWith("Arrow"))
			step(neighbour(graph, what.id, event.key) ?? what.id);
		else
			return;
		event.preventDefault();
		event.stopPropagation();
	});

	return {
		element: h("div", {class: "map-place"}, svg, front.svg, buttons),
		camera,
		/** @param {Graph} next @param {boolean} fresh  it answers another question than the last: fit it anew */
		update(next, fresh) {
			graph = next;
			const opens = opensTo(next);
			const shaped = shape(next, labelText);
			const lines = [...shaped.lines].reverse();
			reconcile(bands, kept.bands, next.bands, (band) => band.other ? "other:" : `zone:${band.name}`, () => s("g", null, s("rect", {rx: 10}), s("text", {x: 12, y: 18})), (g, band) => {
				set(g, {transform: `translate(${band.x} ${band.y})`});
				set(g.children[0], {width: band.w, height: band.h});
				text(g.children[1], band.other ? "" : band.name === "" ? (next.bands.length > 1 ? "no zone" : "") : plain(band.name, Math.max(6, Math.floor(band.w / 8))));
				g.classList.toggle("unnamed", band.name === "");
			});
			reconcile(edges, kept.edges, lines, (line) => line.edge.id, makeEdge, (g, line) => fillEdge(g, line, shaped.nodes));
			reconcile(nodes, kept.nodes, next.nodes, (node) => node.id, makeNode, (g, node) => fillNode(g, node, opens.get(node.id) ?? null));
			reconcile(labels, kept.labels, shaped.lines.filter((line) => line.text !== ""), (line) => line.edge.id, makeLabel,
				(g, line) => fillLabel(g, {...line, .../** @type {any} */ (shaped.labels.get(line.edge.id))}));
			if (!kept.nodes.has(roving) && next.nodes.length > 0)
				roving = next.nodes[0].id;
			rove(roving);
			paintSelected();
			camera.resize(next.width, next.height, fresh);
		},
		/** @param {string | null} id  of a node or an edge */
		select(id) {
			if (id !== null && id !== selected)
				reveal(id);
			selected = id;
			paintSelected();
		},
		focus: () => step(roving),
	};
}
