/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a graph's answer looks like as lines and boxes. Pure functions: positions are the server's, the lines' ways (route.js) ours.
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
 * @property {string} kind  edge: one of the store's; group: several between the same two; other: an end is the rest
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
 * @typedef {{name: string, other?: boolean, x: number, y: number, w: number, h: number}} Band
 * @typedef {{from: number, to: number, group: string, metric: string, completeness: any, matched: any, nodes: GraphNode[], edges: GraphEdge[], bands: Band[], width: number, height: number, other: {nodes: number, edges: number, bytes: number}}} Graph
 */
import {labels, offsets, routes} from "./route.js";


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
 * @param {Graph} graph
 * @param {(edge: GraphEdge) => string} label  "" for none
 */
export function shape(graph, label) {
	const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
	const places = offsets(graph.edges, nodes);
	const way = routes(graph.nodes);
	const lines = [];
	for (const edge of graph.edges) {
		const a = nodes.get(edge.source);
		const b = nodes.get(edge.target);
		if (a && b)
			lines.push({edge, way: way(a, b, places.get(edge.id) ?? {out: 0, in: 0}), text: label(edge)});
	}
	/* the worst lie on top and choose their label's place first */
	lines.sort((p, q) => q.edge.severity - p.edge.severity || (p.edge.id < q.edge.id ? -1 : 1));
	return {nodes, lines, labels: labels(lines.filter((line) => line.text !== ""), graph.nodes, graph)};
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
