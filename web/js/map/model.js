/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a graph's answer looks like as lines and boxes. Pure functions: positions are the server's, curves are ours.
 */

/**
 * @typedef {object} GraphNode
 * @property {string} id
 * @property {string} name
 * @property {string} kind  service, host, zone, net, unknown, other
 * @property {string} [zone]
 * @property {number} layer
 * @property {number} x  centre
 * @property {number} y
 * @property {number} w
 * @property {number} h
 * @property {number} bytes
 * @property {number} in_bytes
 * @property {number} out_bytes
 * @property {number} edges
 * @property {number} [hosts]
 * @property {number} [members]
 * @property {number} severity
 *
 * @typedef {object} GraphEdge
 * @property {string} id
 * @property {string} source
 * @property {string} target
 * @property {string} kind
 * @property {string} [edge]  the store's edge when exactly one is behind it
 * @property {string} [client_service]
 * @property {string} [server_service]
 * @property {number[]} ports
 * @property {string} protocol
 * @property {number} edges
 * @property {string} observed_by
 * @property {import("../types.js").Derived} derived
 * @property {import("../types.js").Sign[]} signs
 * @property {number} severity
 *
 * @typedef {{name: string, x: number, y: number, w: number, h: number}} Band
 * @typedef {{from: number, to: number, group: string, metric: string, completeness: any, matched: any, nodes: GraphNode[], edges: GraphEdge[], bands: Band[], width: number, height: number, other: {nodes: number, edges: number, bytes: number}}} Graph
 *
 * @typedef {{x: number, y: number}} Point
 * @typedef {[Point, Point, Point, Point]} Curve  a cubic Bezier: start, two handles, end
 */

export const ARROW = 9;
const SPREAD = 30;
const LABEL_H = 20;

/** Width of a line: logarithm of its bytes, the same for the same bytes in every picture. @param {number} bytes */
export const lineWidth = (bytes) => Math.round((1.4 + Math.min(9, Math.max(0, Math.log10(bytes + 1) - 3)) * 0.55) * 100) / 100;

/** Both hosts' agents saw it. @param {string} observed */
export const bothSaw = (observed) => /\bboth\b/.test(observed) || (/client/.test(observed) && /server/.test(observed));

/** In words. @param {string} observed */
export function observedText(observed) {
	if (bothSaw(observed))
		return "seen from both ends";
	return observed ? `seen by the ${observed.replaceAll("+", " and the ")} only` : "not known who saw it";
}

/** ":5432", ":80 :443 +3", "" for port 0 alone. @param {number[]} ports @param {number} [most] */
export function portsText(ports, most = 2) {
	const known = ports.filter((port) => port > 0);
	const more = known.length > most ? ` +${known.length - most}` : "";
	return known.slice(0, most).map((port) => `:${port}`).join(" ") + more;
}

/**
 * Where each line leaves and enters its boxes: spread along the side, in the order of the other ends, so that lines
 * cross as little as they can and each keeps its place as long as its neighbours stay.
 * @param {GraphEdge[]} edges
 * @param {Map<string, GraphNode>} nodes
 * @returns {Map<string, {out: number, in: number}>}  offsets from the box's centre, px
 */
function offsets(edges, nodes) {
	/** @type {Map<string, {edge: GraphEdge, end: "out" | "in", y: number}[]>} */
	const sides = new Map();
	for (const edge of edges) {
		const a = nodes.get(edge.source);
		const b = nodes.get(edge.target);
		if (!a || !b || a === b)
			continue;
		const forward = b.x > a.x + 1;
		const key = (/** @type {string} */ id, /** @type {boolean} */ right) => `${right ? "r" : "l"}${id}`;
		const level = Math.abs(a.x - b.x) <= 1;
		for (const [id, right, end, y] of /** @type {[string, boolean, "out" | "in", number][]} */ ([[a.id, forward || level, "out", b.y], [b.id, !forward, "in", a.y]]))
			sides.set(key(id, right), [...sides.get(key(id, right)) ?? [], {edge, end, y}]);
	}
	const found = new Map(edges.map((edge) => [edge.id, {out: 0, in: 0}]));
	for (const list of sides.values()) {
		list.sort((p, q) => p.y - q.y || (p.edge.id < q.edge.id ? -1 : 1));
		list.forEach((one, i) => {
			const place = found.get(one.edge.id);
			if (place)
				place[one.end] = list.length > 1 ? (i / (list.length - 1) - 0.5) * Math.min(SPREAD, 9 * (list.length - 1)) : 0;
		});
	}
	return found;
}

/**
 * @param {GraphNode} a
 * @param {GraphNode} b
 * @param {{out: number, in: number}} at
 * @returns {Curve}
 */
function curve(a, b, at) {
	if (a === b) {
		const x = a.x + a.w / 2;
		return [{x: x - 34, y: a.y - a.h / 2}, {x: x - 34, y: a.y - a.h / 2 - 34}, {x: x + 30, y: a.y - 30}, {x: x + ARROW, y: a.y - 6}];
	}
	if (Math.abs(a.x - b.x) <= 1) {
		const reach = Math.min(90, 34 + Math.abs(a.y - b.y) / 6);
		const start = {x: a.x + a.w / 2, y: a.y + at.out};
		const end = {x: b.x + b.w / 2 + ARROW, y: b.y + at.in};
		const far = Math.max(start.x, end.x) + reach;
		return [start, {x: far, y: start.y}, {x: far, y: end.y}, end];
	}
	const way = b.x > a.x ? 1 : -1;
	const start = {x: a.x + way * a.w / 2, y: a.y + at.out};
	const end = {x: b.x - way * (b.w / 2 + ARROW), y: b.y + at.in};
	const bend = Math.max(24, Math.abs(end.x - start.x) * 0.45);
	return [start, {x: start.x + way * bend, y: start.y}, {x: end.x - way * bend, y: end.y}, end];
}

/** @param {Curve} c @param {number} t @returns {Point} */
export function pointAt([p, q, r, e], t) {
	const u = 1 - t;
	const mix = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ c, /** @type {number} */ d) => u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * c + t * t * t * d;
	return {x: mix(p.x, q.x, r.x, e.x), y: mix(p.y, q.y, r.y, e.y)};
}

const round = (/** @type {number} */ n) => Math.round(n * 10) / 10;

/** @param {Curve} c */
export const pathText = (c) => `M${round(c[0].x)} ${round(c[0].y)}C${c.slice(1).map((p) => `${round(p.x)} ${round(p.y)}`).join(" ")}`;

/**
 * The arrow's triangle at the end of a curve: always as large, whatever the line's width.
 * @param {Curve} c
 */
export function arrowText(c) {
	const end = c[3];
	const way = Math.atan2(end.y - c[2].y, end.x - c[2].x);
	const turn = (/** @type {number} */ x, /** @type {number} */ y) => `${round(end.x + x * Math.cos(way) - y * Math.sin(way))} ${round(end.y + x * Math.sin(way) + y * Math.cos(way))}`;
	return `M${turn(ARROW, 0)}L${turn(-1, 5)}L${turn(-1, -5)}Z`;
}

/** @param {{x: number, y: number, w: number, h: number}} a  centres @param {{x: number, y: number, w: number, h: number}} b */
const overlap = (a, b) => Math.abs(a.x - b.x) * 2 < a.w + b.w && Math.abs(a.y - b.y) * 2 < a.h + b.h;

/**
 * A place for each label on its curve where it lies on no box and no other label, worst edges first.
 * @param {{edge: GraphEdge, curve: Curve, text: string}[]} lines  those with a label
 * @param {GraphNode[]} nodes
 * @returns {Map<string, {x: number, y: number, w: number, h: number}>}
 */
function labels(lines, nodes) {
	const taken = nodes.map((n) => ({x: n.x, y: n.y, w: n.w + 4, h: n.h + 4}));
	const found = new Map();
	for (const line of lines) {
		const w = [...line.text].length * 7.5 + 32;
		const tries = [0.5, 0.42, 0.58, 0.35, 0.65, 0.28, 0.72].flatMap((t) => [0, -14, 14, -24, 24].map((dy) => {
			const p = pointAt(line.curve, t);
			return {x: p.x, y: p.y + dy, w, h: LABEL_H + 2};
		}));
		const place = tries.find((box) => !taken.some((other) => overlap(box, other))) ?? tries[0];
		taken.push(place);
		found.set(line.edge.id, {...place, h: LABEL_H});
	}
	return found;
}

/**
 * @param {Graph} graph
 * @param {(edge: GraphEdge) => string} label  "" for none
 */
export function shape(graph, label) {
	const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
	const places = offsets(graph.edges, nodes);
	const lines = [];
	for (const edge of graph.edges) {
		const a = nodes.get(edge.source);
		const b = nodes.get(edge.target);
		if (a && b)
			lines.push({edge, curve: curve(a, b, places.get(edge.id) ?? {out: 0, in: 0}), text: label(edge)});
	}
	/* the worst lie on top and choose their label's place first */
	lines.sort((p, q) => q.edge.severity - p.edge.severity || (p.edge.id < q.edge.id ? -1 : 1));
	return {nodes, lines, labels: labels(lines.filter((line) => line.text !== ""), graph.nodes)};
}

/**
 * The neighbour an arrow key leads to: right to who is called, left to who calls, up and down within the layer.
 * @param {Graph} graph
 * @param {string} id
 * @param {string} key
 * @returns {string | null}
 */
export function neighbour(graph, id, key) {
	const from = graph.nodes.find((node) => node.id === id);
	if (!from)
		return null;
	const near = (/** @type {GraphNode[]} */ list) => list.sort((a, b) => Math.abs(a.y - from.y) - Math.abs(b.y - from.y) || (a.id < b.id ? -1 : 1))[0]?.id ?? null;
	if (key === "ArrowUp" || key === "ArrowDown") {
		const sign = key === "ArrowUp" ? -1 : 1;
		const same = graph.nodes.filter((node) => node !== from && Math.abs(node.x - from.x) < 2 && (node.y - from.y) * sign > 0);
		return near(same) ?? near(graph.nodes.filter((node) => node !== from && (node.y - from.y) * sign > 0));
	}
	const right = key === "ArrowRight";
	const ids = new Set(graph.edges.filter((edge) => (right ? edge.source : edge.target) === id).map((edge) => right ? edge.target : edge.source));
	ids.delete(id);
	return near(graph.nodes.filter((node) => ids.has(node.id)));
}
