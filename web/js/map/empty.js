/* SPDX-License-Identifier: Apache-2.0 */
/** Why the map is empty or old, and what to do: said in the place of the map or above it. */
import {seconds, time} from "../format.js";
import {notice} from "../notice.js";

/** @typedef {import("../types.js").Context} Context */

const OLD_MIN_S = 15;

/**
 * @param {import("./model.js").Graph} graph
 * @param {Context} context
 */
export function emptyNotice(graph, context) {
	const state = context.state();
	const {hosts, hosts_reporting: reporting} = graph.completeness;
	if (state.only === "signs" && graph.matched.edges === 0)
		return notice("empty", {title: "Nothing stands out in this range", reason: "No attempt fails, nobody waits for a slow reader, next to no retransmits.", action: {label: "Show all edges", run: () => context.navigate({only: null})}});
	if (state.focus !== "")
		return notice("empty", {title: "Nothing around this box in this range", reason: "It is not there, or it talked to nobody.", action: {label: "Show everything", run: () => context.navigate({focus: null, depth: null})}});
	if (state.filter !== "")
		return notice("empty", {title: "No edge matches the filter", reason: `In ${rangeText(context)}: ${state.filter}`, action: {label: "Clear the filter", run: () => context.navigate({filter: null})}});
	if (hosts === 0)
		return notice("empty", {title: "No agent has reported yet", reason: "Agents on the hosts measure; without one there is nothing to show.", next: "On each host:", command: "skyfall-agent --collector HOST:6343"});
	if (state.from !== 0)
		return notice("empty", {title: "No connection in this range", reason: `Nothing is stored from ${time(state.from, {zone: false})} to ${time(state.to)}: before the first agent, or older than what is kept.`, action: {label: "Go to the last 5 minutes", run: () => context.navigate({range: "5m"})}});
	if (reporting === 0)
		return notice("empty", {title: `No agent has reported for ${state.range}`, reason: `${hosts === 1 ? "One agent is" : `${hosts} agents are`} known and silent.`, next: "What is wrong with them says", command: "skyfall doctor"});
	return notice("empty", {title: `No connection in ${rangeText(context)}`, reason: "The agents report, and nothing of theirs talked to anything.", action: {label: "Look at the last hour", run: () => context.navigate({range: "1h"})}});
}

/** @param {Context} context */
function rangeText(context) {
	const {from, to, range} = context.state();
	return from || to ? `${time(from, {zone: false})} to ${time(to, {zone: false})}` : `the last ${range}`;
}

/**
 * Live, and yet the newest numbers are old: null while all is well.
 * @param {Context} context
 */
export function staleNotice(context) {
	const state = context.live.state();
	const newest = context.live.newest();
	if (!context.state().live || context.state().from !== 0 || !newest || state === "off" || state === "connecting")
		return null;
	const age = context.now() - newest.interval - newest.interval_s;
	if (age < Math.max(OLD_MIN_S, 4 * newest.interval_s))
		return null;
	/* in steps of ten: it is read out at every change */
	const old = seconds(Math.floor(age / 10) * 10);
	if (state === "retry")
		return notice("stale", {title: `The server is gone; these numbers are more than ${old} old`, reason: "The page stays and asks again by itself.", next: "Is it still running?", command: "skyfall doctor"});
	return notice("stale", {title: `No agent has reported for ${old}`, reason: "The server answers, but nothing new has come.", next: "Where it stops says", command: "skyfall doctor"});
}
