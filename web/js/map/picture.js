/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The picture: bands, lines, boxes, labels as SVG. Elements are kept by id over refreshes, so focus and hover stay and
 * only what changed is touched. Everything in it is also in the table under it.
 */
import {h, icon, plain, replace, s, set, text} from "../dom.js";
import {bytes, count, perSecond, plural, rate} from "../format.js";
import {brief, iconOf} from "../signs.js";
import {createCamera} from "./camera.js";
import {bothSaw, lineWidth, neighbour, observedText, portsText, shape} from "./model.js";
import {arrowText, pathText} from "./route.js";

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
const ICONS = {serious: "M-4-4 4 4M4-4-4 4", look: "M0-4.500 4.500 3.500H-4.500Z", ok: ""};

/**
 * What stands in a box under the name: where it runs and how busy it is, or the one that fits.
 * @param {GraphNode} node
 * @param {number | null} opens  a second
 * @param {number} letters  room
 */
export function secondLine(node, opens, letters = 100) {
	if (node.kind === "other")
		return plural(node.members ?? 0, "more", "more");
	const where = node.kind === "unknown" ? "no agent" : (node.hosts ?? 0) > 1 ? plural(node.hosts ?? 0, "host") : "";
	/* a handful of opens an hour say less than the bytes */
	const busy = opens !== null && opens >= 0.05 ? `${count(opens)} opens/s` : node.bytes > 0 ? bytes(node.bytes) : "";
	const choices = [where && busy && `${where}, ${busy}`, busy, where, busy.replace(" opens", ""), node.hosts === 1 ? "1 host" : "no bytes"];
	return choices.find((choice) => choice && choice.length <= letters) || "";
}

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

/** Its classes, but for those of hover and selection, which a refresh leaves. @param {SVGGElement} g @param {string} kind @param {string} id */
function setKind(g, kind, id) {
	const own = ["near", "selected"].filter((name) => g.classList.contains(name));
	set(g, {class: [kind, ...own].join(" "), "data-id": id});
}

/** @param {SVGGElement} g @param {GraphNode} node @param {number | null} opens */
function fillNode(g, node, opens) {
	const second = secondLine(node, opens, Math.floor((node.w - 20) / 6));
	const letters = Math.max(4, Math.floor((node.w - 26) / 7));
	const cut = plain(node.name, letters);
	setKind(g, `node kind-${node.kind} severity-${node.severity}`, node.id);
	set(g, {transform: `translate(${node.x - node.w / 2} ${node.y - node.h / 2})`});
	const [box, title, inner, mark] = g.children;
	set(box, {width: node.w, height: node.h});
	text(title, `${plain(node.name, 400)}, ${second}, ${plural(node.edges, "edge")}${node.severity ? ", stands out" : ""}`);
	/* a nested svg cuts what is wider than the box: letters differ in width */
	set(inner, {width: node.w - 10, height: node.h});
	text(inner.children[0], cut);
	text(inner.children[1], second);
	set(mark, {d: ICONS[iconOf(node.severity)], transform: `translate(${node.w - 9} 10) scale(0.8)`});
}

function makeNode() {
	return s("g", {role: "button", tabindex: "-1"}, s("rect", {class: "box", rx: 8}), s("title"),
		s("svg", {x: 10, y: 0, "aria-hidden": "true"}, s("text", {class: "name", x: 2, y: 19}), s("text", {class: "second", x: 2, y: 35})), s("path", {class: "mark"}));
}

function makeEdge() {
	return s("g", null, s("path", {class: "hit"}), s("path", {class: "line"}), s("path", {class: "arrow"}), s("title"));
}

/** @param {SVGGElement} g @param {{edge: GraphEdge, way: import("./route.js").Way}} line @param {Map<string, GraphNode>} nodes */
function fillEdge(g, {edge, way}, nodes) {
	const path = pathText(way);
	setKind(g, `edge severity-${edge.severity} ${bothSaw(edge.observed_by) ? "both" : "one-sided"}`, edge.id);
	set(g.children[0], {d: path});
	set(g.children[1], {d: path, "stroke-width": lineWidth(edge.derived.bytes ?? 0)});
	set(g.children[2], {d: arrowText(way)});
	text(g.children[3], edgeTitle(edge, nodes));
}

/** @param {GraphEdge} edge @param {Map<string, GraphNode>} nodes */
function edgeTitle(edge, nodes) {
	const ends = `${plain(nodes.get(edge.source)?.name ?? "", 80)} → ${plain(nodes.get(edge.target)?.name ?? "", 80)} ${portsText(edge.ports, 8)}`;
	const signs = edge.signs.map((sign) => sign.text).join("\n");
	return `${ends}\n${bytes(edge.derived.bytes)}, ${rate(edge.derived.bytes_per_s)}, ${perSecond(edge.derived.opened_per_s)} opened\n${observedText(edge.observed_by)}${signs ? "\n" + signs : ""}`;
}

/** @param {SVGGElement} g @param {{edge: GraphEdge, text: string, x: number, y: number, w: number, h: number, from: import("./route.js").Point}} label */
function fillLabel(g, label) {
	const left = label.x - label.w / 2;
	const top = label.y - label.h / 2;
	setKind(g, `label severity-${label.edge.severity}`, label.edge.id);
	set(g, {transform: `translate(${left.toFixed(1)} ${top.toFixed(1)})`});
	/* a label beside its line is tied to it */
	set(g.children[0], {x1: label.w / 2, y1: label.h / 2, x2: (label.from.x - left).toFixed(1), y2: (label.from.y - top).toFixed(1)});
	set(g.children[1], {width: label.w.toFixed(1), height: label.h});
	set(g.children[2], {d: ICONS[iconOf(label.edge.severity)]});
	text(g.children[3], label.text);
}

function makeLabel() {
	return s("g", null, s("line"), s("rect", {rx: 8.5}), s("path", {class: "mark", transform: "translate(11.5 8.5) scale(0.8)"}), s("text", {x: 19, y: 12.5}));
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
	const camera = createCamera(svg, world);
	const kept = {bands: new Map(), edges: new Map(), labels: new Map(), nodes: new Map()};
	/** @type {Graph | null} */
	let graph = null;
	/** @type {string | null} */
	let selected = null;
	let roving = "";
	/** @type {string | null} */
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
		if ((what?.id ?? null) === hot)
			return;
		hot = what?.id ?? null;
		svg.classList.toggle("hot", what !== null);
		svg.querySelectorAll(".near").forEach((element) => element.classList.remove("near"));
		for (const id of what && graph ? touched(graph, what) : [])
			for (const map of [kept.edges, kept.labels, kept.nodes])
				map.get(id)?.classList.add("near");
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
		element: h("div", {class: "map-place"}, svg, buttons),
		camera,
		/** @param {Graph} next @param {boolean} fresh  it answers another question than the last: fit it anew */
		update(next, fresh) {
			graph = next;
			const opens = opensTo(next);
			const shaped = shape(next, labelText);
			const lines = [...shaped.lines].reverse();
			reconcile(bands, kept.bands, next.bands, (band) => band.name, () => s("g", null, s("rect", {rx: 10}), s("text", {x: 12, y: 18})), (g, band) => {
				set(g, {transform: `translate(${band.x} ${band.y})`});
				set(g.children[0], {width: band.w, height: band.h});
				text(g.children[1], band.name === "" ? (next.bands.length > 1 ? "no zone" : "") : plain(band.name, Math.max(6, Math.floor(band.w / 8))));
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
		clear() {
			for (const place of [bands, edges, labels, nodes])
				replace(place);
			Object.values(kept).forEach((map) => map.clear());
			graph = null;
		},
	};
}
