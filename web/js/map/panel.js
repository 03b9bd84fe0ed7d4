/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The panel beside the map: what stands out, or the node or edge that is open. Its frame is rebuilt only when another thing
 * is opened; a refresh replaces parts in place. What belongs to one edge is in edge_panel.js.
 */
import {h, icon, name, num, replace} from "../dom.js";
import {bytes, count, plural} from "../format.js";
import {iconOf, sentence, word} from "../signs.js";
import {createEdgePanel} from "./edge_panel.js";
import {portsText} from "./model.js";

/** @typedef {import("./model.js").Graph} Graph */
/** @typedef {import("./model.js").GraphEdge} GraphEdge */
/** @typedef {import("./model.js").GraphNode} GraphNode */
/** @typedef {import("../types.js").Context} Context */

const STANDS_OUT = 12;
const NEIGHBOURS = 12;

/**
 * Client, arrow, server and ports of an edge.
 * @param {GraphEdge} edge
 * @param {Map<string, GraphNode>} nodes
 * @param {number} [max]
 */
export function ends(edge, nodes, max = 28) {
	return [name(nodes.get(edge.source)?.name ?? "", max), " → ", name(nodes.get(edge.target)?.name ?? "", max), " ", h("span", {class: "mute"}, portsText(edge.ports))];
}

/**
 * How much of it, and how often: 700 of 750 attempts come before 3 of 3. What is measured in time counts its seconds.
 * @param {import("../types.js").Sign} sign
 */
function weight(sign) {
	const times = sign.sign === "slow_reader" || sign.sign === "send_buffer" ? sign.count / 1e6 : sign.count;
	return sign.share * Math.log10(10 + times);
}

/** @param {Graph} graph */
const worst = (graph) => graph.edges.filter((edge) => edge.signs.length > 0)
	.sort((a, b) => b.severity - a.severity || weight(b.signs[0]) - weight(a.signs[0]) || (a.id < b.id ? -1 : 1));

/** @param {Graph} graph @param {Context} context @param {Map<string, GraphNode>} nodes */
function standsOut(graph, context, nodes) {
	const list = worst(graph);
	if (list.length === 0)
		return [graph.edges.length === 0 ? h("p", {class: "mute"}, "No edge, so nothing to judge.") : h("p", {class: "calm"}, icon("ok"), h("span", null, "Nothing: no attempt fails, nobody waits for a slow reader, next to no retransmits.")),
			graph.edges.length > 0 && h("p", {class: "mute"}, "Click a box or a line to see its numbers; double click a box to see only what is around it.")];
	return [h("ol", {class: "stands-out"}, list.slice(0, STANDS_OUT).map((edge) => h("li", null,
		h("a", {class: `standing severity-${edge.severity}`, href: context.href({open: `edge:${edge.id}`}), "data-edge": edge.id},
			h("span", {class: "standing-ends"}, ends(edge, nodes)),
			h("span", {class: `tag severity-${edge.severity}`}, icon(iconOf(edge.severity)), word(edge.signs[0])),
			h("span", {class: "standing-text"}, sentence(edge.signs[0])))))),
	list.length > STANDS_OUT && h("p", {class: "mute"}, `and ${plural(list.length - STANDS_OUT, "edge")} more: `, h("a", {href: context.href({only: "signs"})}, "show only problems"), ".")];
}

/**
 * @param {string} title
 * @param {GraphEdge[]} edges
 * @param {Context} context
 * @param {Map<string, GraphNode>} nodes
 * @param {"source" | "target"} end
 */
function neighbours(title, edges, context, nodes, end) {
	const list = [...edges].sort((a, b) => b.severity - a.severity || (b.derived.bytes ?? 0) - (a.derived.bytes ?? 0) || (a.id < b.id ? -1 : 1));
	return [h("h3", null, `${title} `, h("span", {class: "mute"}, count(edges.length))), list.length === 0 ? h("p", {class: "mute"}, "none in this range") :
		h("ul", {class: "neighbours"}, list.slice(0, NEIGHBOURS).map((edge) => h("li", null,
			h("a", {href: context.href({open: `edge:${edge.id}`})}, name(nodes.get(edge[end])?.name ?? "", 26), " ", h("span", {class: "mute"}, portsText(edge.ports, 1))),
			edge.signs.length > 0 ? h("span", {class: `tag severity-${edge.severity}`}, icon(iconOf(edge.severity)), word(edge.signs[0])) : null,
			num(edge.derived.bytes, bytes(edge.derived.bytes))))),
		list.length > NEIGHBOURS && h("p", {class: "mute"}, `and ${count(list.length - NEIGHBOURS)} more: see the table`)];
}

/** Which filter term shows a node alone, and which page tells more. @param {GraphNode} node @param {Context} context */
function nodeLinks(node, context) {
	const key = {service: "service", host: "host", zone: "zone", net: "net", unknown: "service", other: ""}[node.kind] ?? "";
	return h("p", {class: "panel-links"},
		(node.kind === "service" || node.kind === "unknown") && h("a", {class: "button", href: context.href({page: "service", service: node.name})}, "Service page"),
		node.kind === "host" && h("a", {class: "button", href: context.href({page: "hosts", host: node.id.slice("host:".length)})}, "Host page"),
		key && h("a", {class: "button", href: context.href({focus: node.id, depth: 1})}, "Only around it"));
}

/** @param {GraphNode} node @param {Graph} graph @param {Context} context @param {Map<string, GraphNode>} nodes */
function nodeParts(node, graph, context, nodes) {
	const callers = graph.edges.filter((edge) => edge.target === node.id);
	const callees = graph.edges.filter((edge) => edge.source === node.id);
	const bad = [...callers, ...callees].filter((edge) => edge.severity > 0).length;
	const facts = /** @type {[string, number | undefined, (n: number | undefined) => string][]} */ ([["between it and its callers", node.in_bytes, bytes], ["between it and those it calls", node.out_bytes, bytes], ["edges", node.edges, count], ["hosts", node.hosts, count]]);
	return [h("p", {class: "mute"}, [node.kind, node.zone && `zone ${node.zone}`].filter(Boolean).join(", "), bad > 0 && [", ", h("span", {class: "text-2"}, `${plural(bad, "edge")} of it ${bad === 1 ? "stands" : "stand"} out`)]),
		h("table", {class: "figures"}, h("tbody", null, facts.filter(([, value]) => value !== undefined).map(([label, value, format]) => h("tr", null, h("th", {scope: "row"}, label), h("td", {class: "right"}, num(value, format(value))))))),
		neighbours("Called by", callers, context, nodes, "source"), neighbours("Calls", callees, context, nodes, "target"), nodeLinks(node, context)].flat();
}

/**
 * @param {Context} context
 */
export function createPanel(context) {
	const title = h("h2", {id: "panel-title"});
	const close = h("a", {class: "button round", "aria-label": "Close (Esc)", title: "Close (Esc)"}, icon("close"));
	const body = h("div", {class: "panel-body"});
	const element = h("aside", {class: "card panel", "aria-labelledby": "panel-title"}, h("div", {class: "panel-head"}, title, close), body);
	/** @type {ReturnType<typeof createEdgePanel> | null} */
	let edgePanel = null;
	let shown = "";
	/* told by the browser: to ask would lay out all that was just drawn */
	let scrolled = 0;
	body.addEventListener("scroll", () => {
		scrolled = body.scrollTop;
	}, {passive: true});

	function endEdge() {
		edgePanel?.stop();
		edgePanel = null;
	}

	/** Replaces the content; the focus stays on the same link where it still is. @param {(Node | string | null | false)[]} parts */
	function put(...parts) {
		const focused = document.activeElement instanceof HTMLAnchorElement && body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
		const scroll = scrolled;
		replace(body, ...parts);
		if (scroll > 0)
			body.scrollTop = scroll;
		if (focused !== null)
			[...body.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus({preventScroll: true});
	}

	/** @param {string} kind @param {string} id */
	function gone(kind, id) {
		endEdge();
		title.textContent = kind === "edge" ? "This edge is not on the map" : "This box is not on the map";
		put(h("p", {class: "mute"}, "It had no traffic in the range, or filter, focus or limit leave it out. The panel stays open and fills when it comes back."), h("p", null, h("code", null, id.slice(0, 200))));
	}

	return {
		element,
		/**
		 * @param {Graph} graph
		 * @param {string} open  "", "node:<id>" or "edge:<id>"
		 */
		update(graph, open) {
			const [, kind, id] = /^(node|edge):(.*)$/s.exec(open) ?? ["", "", ""];
			const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
			close.hidden = kind === "";
			close.setAttribute("href", context.href({open: null}));
			if (shown !== open && scrolled > 0)
				body.scrollTop = scrolled = 0;
			const edge = kind === "edge" ? graph.edges.find((one) => one.id === id) : undefined;
			const node = kind === "node" ? nodes.get(id) : undefined;
			if (edge) {
				if (!edgePanel || shown !== open) {
					endEdge();
					edgePanel = createEdgePanel(context);
					replace(body, edgePanel.element);
				}
				replace(title, ...ends(edge, nodes, 40));
				edgePanel.update(edge, nodes);
			} else if (kind) {
				endEdge();
				if (node) {
					replace(title, name(node.name, 60));
					put(...nodeParts(node, graph, context, nodes));
				} else
					gone(kind, id);
			} else {
				endEdge();
				title.textContent = "What stands out";
				put(...standsOut(graph, context, nodes));
			}
			shown = open;
		},
		/** Live numbers of the open edge. */
		tick: () => edgePanel?.tick(),
		stop: endEdge,
	};
}
