/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The ways of lines between boxes: out of a side, around the boxes of the columns between, into a side; and the places of
 * labels, on no box and no other label. Pure, and the same for the same boxes.
 */

/** @typedef {import("./model.js").GraphNode} GraphNode */
/** @typedef {import("./model.js").GraphEdge} GraphEdge */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {[Point, Point, Point, Point]} Curve  a cubic Bezier: start, two handles, end */
/** @typedef {Curve[]} Way  curves end to end */
/** @typedef {{x: number, y: number, w: number, h: number}} Box  centre and size */

export const ARROW = 9;
const SPREAD = 30;
const CLEAR = 9;
/* fits between two boxes of a column */
const LABEL_H = 17;

/**
 * Where each line leaves and enters its boxes: spread along the side, in the order of the other ends, so that lines
 * cross as little as they can and each keeps its place as long as its neighbours stay.
 * @param {GraphEdge[]} edges
 * @param {Map<string, GraphNode>} nodes
 * @returns {Map<string, {out: number, in: number}>}  offsets from the box's centre, px
 */
export function offsets(edges, nodes) {
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

/** A loop over the box's right corner. @param {GraphNode} a @returns {Way} */
function loop(a) {
	const x = a.x + a.w / 2;
	const top = a.y - a.h / 2;
	return [[{x: x - 34, y: top}, {x: x - 34, y: top - 30}, {x: x + 30, y: top - 14}, {x: x + ARROW, y: a.y - 6}]];
}

/** Within one column: out of the right side and back into it. @param {GraphNode} a @param {GraphNode} b @param {{out: number, in: number}} at @returns {Way} */
function aside(a, b, at) {
	const reach = Math.min(90, 34 + Math.abs(a.y - b.y) / 6);
	const start = {x: a.x + a.w / 2, y: a.y + at.out};
	const end = {x: b.x + b.w / 2 + ARROW, y: b.y + at.in};
	const far = Math.max(start.x, end.x) + reach;
	return [[start, {x: far, y: start.y}, {x: far, y: end.y}, end]];
}

/** @param {Point} p @param {Point} q @returns {Curve} */
function between(p, q) {
	const bend = (q.x - p.x) * 0.45;
	return [p, {x: p.x + bend, y: p.y}, {x: q.x - bend, y: q.y}, q];
}

/**
 * The free height nearest to y in a column.
 * @param {GraphNode[]} column  from top to bottom
 * @param {number} y
 */
function gap(column, y) {
	const hit = column.find((node) => Math.abs(node.y - y) < node.h / 2 + CLEAR);
	if (!hit)
		return y;
	const free = (/** @type {number} */ at) => !column.some((node) => Math.abs(node.y - at) < node.h / 2 + CLEAR - 0.1);
	const tries = column.flatMap((node) => [node.y - node.h / 2 - CLEAR, node.y + node.h / 2 + CLEAR]).filter(free);
	return tries.sort((p, q) => Math.abs(p - y) - Math.abs(q - y) || p - q)[0] ?? y;
}

/**
 * @param {GraphNode[]} nodes
 * @returns {(a: GraphNode, b: GraphNode, at: {out: number, in: number}) => Way}
 */
export function routes(nodes) {
	/** @type {Map<number, GraphNode[]>} */
	const columns = new Map();
	for (const node of [...nodes].sort((p, q) => p.y - q.y))
		columns.set(node.x, [...columns.get(node.x) ?? [], node]);
	return (a, b, at) => {
		if (a === b)
			return loop(a);
		if (Math.abs(a.x - b.x) <= 1)
			return aside(a, b, at);
		const way = b.x > a.x ? 1 : -1;
		const end = {x: b.x - way * (b.w / 2 + ARROW), y: b.y + at.in};
		let last = {x: a.x + way * a.w / 2, y: a.y + at.out};
		const pieces = /** @type {Way} */ ([]);
		const crossed = [...columns].filter(([x]) => (x - a.x) * way > 1 && (b.x - x) * way > 1).sort(([p], [q]) => (p - q) * way);
		for (const [x, column] of crossed) {
			const straight = last.y + (end.y - last.y) * (x - last.x) / (end.x - last.x);
			const y = gap(column, straight);
			/* along the whole width of the boxes it passes */
			const half = Math.max(...column.map((node) => node.w)) / 2;
			const enter = {x: x - way * half, y};
			const leave = {x: x + way * half, y};
			if ((enter.x - last.x) * way <= 4 || (end.x - leave.x) * way <= 4 || y === straight)
				continue;
			pieces.push(between(last, enter), [enter, enter, leave, leave]);
			last = leave;
		}
		pieces.push(between(last, end));
		return pieces;
	};
}

/** @param {Way} way @param {number} t  0 start, 1 end @returns {Point} */
export function pointAt(way, t) {
	const i = Math.min(way.length - 1, Math.floor(t * way.length));
	const [p, q, r, e] = way[i];
	const v = t * way.length - i;
	const u = 1 - v;
	const mix = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ c, /** @type {number} */ d) => u * u * u * a + 3 * u * u * v * b + 3 * u * v * v * c + v * v * v * d;
	return {x: mix(p.x, q.x, r.x, e.x), y: mix(p.y, q.y, r.y, e.y)};
}

const round = (/** @type {number} */ n) => Math.round(n * 10) / 10;

/** @param {Way} way */
export const pathText = (way) => `M${round(way[0][0].x)} ${round(way[0][0].y)}${way.map((c) => `C${c.slice(1).map((p) => `${round(p.x)} ${round(p.y)}`).join(" ")}`).join("")}`;

/**
 * The arrow's triangle at the end: always as large, whatever the line's width.
 * @param {Way} way
 */
export function arrowText(way) {
	const c = way[way.length - 1];
	const end = c[3];
	const angle = Math.atan2(end.y - c[2].y, end.x - c[2].x);
	const turn = (/** @type {number} */ x, /** @type {number} */ y) => `${round(end.x + x * Math.cos(angle) - y * Math.sin(angle))} ${round(end.y + x * Math.sin(angle) + y * Math.cos(angle))}`;
	return `M${turn(ARROW, 0)}L${turn(-1, 5)}L${turn(-1, -5)}Z`;
}

/** @param {Box} a @param {Box} b */
const overlap = (a, b) => Math.abs(a.x - b.x) * 2 < a.w + b.w && Math.abs(a.y - b.y) * 2 < a.h + b.h;

const ALONG = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74];
const BESIDE = [0, -8, 8, -16, 16, -24, 24, -32, 32, -40, 40, -50, 50, -62, 62];

/**
 * A place for each label: on its line or as near as it can be, on no box and no other label. The first in the list choose first.
 * @param {{edge: GraphEdge, way: Way, text: string}[]} lines  those with a label
 * @param {GraphNode[]} nodes
 * @param {{width: number, height: number}} size  of the picture: labels stay within
 * @returns {Map<string, Box & {from: Point}>}  from: the point of the line it belongs to
 */
export function labels(lines, nodes, size) {
	const taken = nodes.map((n) => ({x: n.x, y: n.y, w: n.w + 2, h: n.h + 1}));
	const found = new Map();
	for (const line of lines) {
		const w = [...line.text].length * 6.6 + 26;
		const inside = (/** @type {number} */ x) => Math.min(Math.max(x, w / 2 + 2), Math.max(w / 2 + 2, size.width - w / 2 - 2));
		const tries = BESIDE.flatMap((dy) => ALONG.map((t) => {
			const from = pointAt(line.way, t);
			return {x: inside(from.x), y: Math.max(LABEL_H / 2 + 1, from.y + dy), w, h: LABEL_H, from};
		}));
		const place = tries.find((box) => !taken.some((other) => overlap(box, other))) ?? tries.find((box) => !taken.slice(nodes.length).some((other) => overlap(box, other))) ?? tries[0];
		taken.push(place);
		found.set(line.edge.id, place);
	}
	return found;
}
