/* SPDX-License-Identifier: Apache-2.0 */
/** The picture's boxes, lines and labels, each as a group of SVG: made once, filled at every refresh. */
import {plain, s, set, text} from "../dom.js";
import {bytes, count, perSecond, plural, rate} from "../format.js";
import {iconOf} from "../signs.js";
import {bothSaw, lineWidth, observedText, portsText} from "./model.js";
import {arrowText, pathText} from "./route.js";

/** @typedef {import("./model.js").GraphNode} GraphNode */
/** @typedef {import("./model.js").GraphEdge} GraphEdge */

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

/** Its classes, but for that of selection, which a refresh leaves. @param {SVGGElement} g @param {string} kind @param {string} id */
function setKind(g, kind, id) {
	set(g, {class: g.classList.contains("selected") ? `${kind} selected` : kind, "data-id": id});
}

/** @param {SVGGElement} g @param {GraphNode} node @param {number | null} opens */
export function fillNode(g, node, opens) {
	const second = secondLine(node, opens, Math.floor((node.w - 20) / 6.3));
	const letters = Math.max(4, Math.floor((node.w - 26) / 7.9));
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

export function makeNode() {
	return s("g", {role: "button", tabindex: "-1"}, s("rect", {class: "box", rx: 8}), s("title"),
		s("svg", {x: 10, y: 0, "aria-hidden": "true"}, s("text", {class: "name", x: 2, y: 19}), s("text", {class: "second", x: 2, y: 35})), s("path", {class: "mark"}));
}

export function makeEdge() {
	return s("g", null, s("path", {class: "hit"}), s("path", {class: "line"}), s("path", {class: "arrow"}), s("title"));
}

/** @param {SVGGElement} g @param {{edge: GraphEdge, way: import("./route.js").Way}} line @param {Map<string, GraphNode>} nodes */
export function fillEdge(g, {edge, way}, nodes) {
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
export function fillLabel(g, label) {
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

export function makeLabel() {
	return s("g", null, s("line"), s("rect", {rx: 8.5}), s("path", {class: "mark", transform: "translate(11.5 8.5) scale(0.8)"}), s("text", {x: 19, y: 12.5}));
}
