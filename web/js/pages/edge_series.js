/* SPDX-License-Identifier: Apache-2.0 */
/* An edge over time: which lines there are, and points as columns. */
import {createChart} from "../chart.js";
import {micros, perSecond, rate, share} from "../format.js";

/** @typedef {import("./answers.js").SeriesAnswer} SeriesAnswer */
/** @typedef {import("./answers.js").Point} Point */
/** @typedef {import("../chart.js").Data} Data */
/** @typedef {{label: string, colour: 1 | 2 | 3 | 4 | 5, dashed?: boolean, fill?: boolean, of: (p: Point) => number | null | undefined}} Line */
/** @typedef {{id: string, title: string, format: (v: number | null | undefined) => string, lines: Line[]}} Picture */

const POINTS_MAX = 10000;

/** @param {number} part @param {number} whole */
const per = (part, whole) => whole > 0 && Number.isFinite(part) ? part / whole : null;

/** @type {Picture[]} */
export const PICTURES = [
	{id: "bytes", title: "Traffic", format: rate, lines: [
		{label: "client to server", colour: 1, of: (p) => per(p.derived.c2s_bytes, p.seconds)},
		{label: "server to client", colour: 2, dashed: true, of: (p) => per(p.derived.s2c_bytes, p.seconds)},
	]},
	{id: "opens", title: "Connections opened and failed", format: perSecond, lines: [
		{label: "opened", colour: 4, of: (p) => per(p.derived.opened, p.seconds)},
		{label: "failed", colour: 3, dashed: true, of: (p) => per(p.derived.failed, p.seconds)},
	]},
	{id: "retransmits", title: "Retransmits, share of segments sent", format: share, lines: [
		{label: "by the client", colour: 1, of: (p) => per(p.client_c2s_retransmitted ?? 0, p.client_c2s_segs ?? 0)},
		{label: "by the server", colour: 2, dashed: true, of: (p) => per(p.server_s2c_retransmitted ?? 0, p.server_s2c_segs ?? 0)},
	]},
	{id: "srtt", title: "srtt (smoothed round trip time)", format: micros, lines: [
		{label: "client p50", colour: 1, of: (p) => p.derived.srtt_c2s_p50_us},
		{label: "client p99", colour: 1, dashed: true, of: (p) => p.derived.srtt_c2s_p99_us},
		{label: "server p50", colour: 2, of: (p) => p.derived.srtt_s2c_p50_us},
		{label: "server p99", colour: 2, dashed: true, of: (p) => p.derived.srtt_s2c_p99_us},
	]},
];

/**
 * Points on the whole range: where there is no row there is a gap, for nobody knows whether nothing happened or nobody looked.
 * @param {SeriesAnswer} answer @param {Picture} picture @returns {Data}
 */
export function columns(answer, picture) {
	const {step} = answer;
	const by = new Map(answer.points.map((p) => [p.at, p]));
	const from = Math.ceil(answer.from / step) * step;
	const n = Math.max(0, Math.min(POINTS_MAX, Math.ceil((answer.to - from) / step)));
	const at = answer.points.length === 0 ? [] : Array.from({length: n}, (_, i) => from + i * step);
	/* a first point that began before the range is a part of one */
	const first = answer.points[0];
	if (first && first.at < from)
		at.unshift(first.at);
	return {at, values: picture.lines.map((line) => at.map((t) => {
		const point = by.get(t);
		return point ? line.of(point) ?? null : null;
	}))};
}

/** Does any line know anything? @param {Data} data */
export const known = (data) => data.values.some((line) => line.some((v) => v !== null));

/** @param {(from: number, to: number) => void} onZoom */
export function createCharts(onZoom) {
	const charts = PICTURES.map((picture) => ({picture, chart: createChart({title: picture.title, series: picture.lines, format: picture.format, height: 170, onZoom})}));
	return {
		elements: Object.fromEntries(charts.map(({picture, chart}) => [`chart-${picture.id}`, chart.element])),
		/** @param {SeriesAnswer} answer */
		update: (answer) => charts.forEach(({picture, chart}) => chart.update(columns(answer, picture))),
		destroy: () => charts.forEach(({chart}) => chart.destroy()),
	};
}
