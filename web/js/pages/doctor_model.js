/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of sums in plain words: pure functions of the health answer. */

import {plain} from "../dom.js";
import {exact} from "../format.js";

/** @typedef {import("./answers.js").Hop} Hop */
/** @typedef {import("./answers.js").Health} Health */
/** @typedef {"ok" | "loss" | "bad" | "none"} Verdict */

/** What happens at each hop, as "from -> to". @type {Record<string, [string, string]>} */
const DOES = {
	kernel: ["opened by the kernels", "counted by the agents"],
	agent: ["taken from the kernels by agents", "sent"],
	network: ["sent by agents", "received by collectors"],
	collector: ["received", "put on the bus"],
	bus: ["put on the bus", "read by the pair stage"],
	pair: ["read", "joined from both ends and passed on"],
	"graph bus": ["passed on", "read by the edge stage"],
	edge: ["read", "summed per edge and passed on"],
	"store bus": ["passed on", "read by the server"],
	store: ["read by the server", "written"],
	stored: ["written", "found in the store's files"],
};

/**
 * @typedef {Object} HopView
 * @property {Hop} hop
 * @property {Verdict} verdict
 * @property {boolean} first the first hop that does not add up
 * @property {[string, string]} does
 * @property {string} word one word beside the icon
 * @property {string} text the verdict in a sentence
 * @property {{reason: string, count: number, text: string}[]} losses largest first
 */

/** @param {Hop} hop @returns {Verdict} */
export function verdictOf(hop) {
	if (!hop.adds_up) return "bad";
	if (hop.lost_total > 0) return "loss";
	return hop.in === 0 && hop.out === 0 ? "none" : "ok";
}

/** @param {number} n @param {string} unit "rows" or "connections" */
function many(n, unit) {
	return `${exact(n)} ${n === 1 ? unit.replace(/s$/, "") : unit}`;
}

/** @param {Hop} hop @param {Verdict} verdict */
function sentence(hop, verdict) {
	if (verdict === "bad")
		return hop.missing < 0
			? `${many(-hop.missing, hop.unit)} more came out than anybody counted going in.`
			: `${many(hop.missing, hop.unit)} of ${exact(hop.in)} are missing and nobody knows why.`;
	if (verdict === "loss") return `${many(hop.lost_total, hop.unit)} of ${exact(hop.in)} lost, each with its reason; the rest arrived.`;
	if (verdict === "none") return `No ${hop.unit} passed here in this range.`;
	return `All ${many(hop.in, hop.unit)} arrived.`;
}

/** @type {Record<Verdict, string>} */
const WORDS = {ok: "adds up", loss: "known loss", bad: "does not add up", none: "nothing passed"};

/** @param {Health} health @returns {HopView[]} */
export function chainOf(health) {
	return health.chain.map((hop) => {
		const verdict = verdictOf(hop);
		return {
			hop,
			verdict,
			first: hop.hop === health.first_bad,
			does: DOES[hop.hop] ?? ["in", "out"],
			word: WORDS[verdict],
			text: sentence(hop, verdict),
			losses: Object.entries(hop.lost)
				.map(([reason, count]) => ({reason, count, text: hop.lost_text?.[reason] ?? ""}))
				.sort((a, b) => b.count - a.count || (a.reason < b.reason ? -1 : 1)),
		};
	});
}

/** A command as the API words it: API in it stands for this server. @param {string} next @param {string} origin */
export function command(next, origin) {
	return next.replace(/\bAPI\b/, origin);
}

/**
 * What to do next, most urgent first.
 * @param {Health} health
 * @param {string} origin
 * @returns {{text: string, command: string}[]}
 */
export function nextSteps(health, origin) {
	const steps = [];
	const bad = health.chain.find((hop) => hop.hop === health.first_bad);
	if (bad)
		steps.push({
			text: `Look at the first hop that does not add up, ${bad.hop}. Most often: ${bad.likely ?? "rows went missing there"}.`,
			command: command(bad.next ?? "skyfall doctor --json", origin),
		});
	const lossy = health.chain.find((hop) => hop.hop === health.first_loss && hop !== bad);
	if (lossy)
		steps.push({
			text: `Rows were lost at ${lossy.hop}. Most often: ${lossy.likely ?? "something was full"}.`,
			command: command(lossy.next ?? "skyfall doctor --json", origin),
		});
	if (health.status === "no_data")
		steps.push({text: "No agent reported in this range: is one running, and may it reach the collector?", command: "skyfall hosts"});
	if (health.agents.silent.length)
		steps.push({
			text: `Some agents fell silent: ${health.agents.silent.slice(0, 5).map((host) => plain(host, 40)).join(", ")}${health.agents.silent.length > 5 ? ` and ${health.agents.silent.length - 5} more` : ""}. On such a host:`,
			command: "systemctl status skyfall-agent",
		});
	if (health.writer.error)
		steps.push({text: `The store's writer says: ${health.writer.error}. Is there room where its files are?`, command: "df -h"});
	return steps;
}
