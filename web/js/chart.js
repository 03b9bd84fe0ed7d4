/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Series by uPlot, with the same numbers as a table behind. Colours come from the style sheet, so they follow the theme;
 * lines differ in dash as well as in colour. Histograms are in histogram.js.
 */
import uPlot from "uplot";
import {h, replace} from "./dom.js";
import {clock, time} from "./format.js";

/** @typedef {(value: number | null | undefined) => string} Format */

/**
 * @typedef {object} Series
 * @property {string} label
 * @property {1 | 2 | 3 | 4 | 5} colour      1 blue, 2 orange, 3 vermilion, 4 green, 5 grey
 * @property {boolean} [dashed]
 * @property {boolean} [fill]
 *
 * @typedef {object} Options
 * @property {string} title
 * @property {Series[]} series
 * @property {Format} format               of the values: axis, legend and table
 * @property {number} [height]             px, default 180
 * @property {(from: number, to: number) => void} [onZoom]  the reader drew a range, s since 1970
 *
 * @typedef {object} Data
 * @property {number[]} at                 s since 1970, growing
 * @property {(number | null)[][]} values  one array a series; null: not known, a gap
 *
 * @typedef {object} Chart
 * @property {HTMLElement} element
 * @property {(data: Data) => void} update
 * @property {() => void} destroy          must be called: it listens to the window
 */

const TABLE_ROWS = 500;

/** @param {string} name */
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Points without a neighbour: no line would show them. @param {uPlot} plot @param {number} k */
function alone(plot, k) {
	const values = plot.data[k];
	const known = (/** @type {number} */ i) => values[i] !== null && values[i] !== undefined;
	return Array.from(values.keys()).filter((i) => known(i) && !known(i - 1) && !known(i + 1));
}

/** The legend's value: under the cursor, or else the newest there is. @param {uPlot} plot @param {number} k @param {number | null} at */
const shown = (plot, k, at) => at === null || at === undefined ? Array.from(plot.data[k]).filter((v) => v !== null && v !== undefined).at(-1) : plot.data[k][at];

/** @param {Options} options @param {number} width @returns {uPlot.Options} */
function plotOptions(options, width) {
	const axis = {stroke: css("--mute"), grid: {stroke: css("--line"), width: 1}, ticks: {show: false}, font: "12px system-ui, sans-serif"};
	return {
		width, height: options.height ?? 180,
		cursor: {drag: {x: options.onZoom !== undefined, y: false, setScale: false}, points: {size: 6}},
		legend: {live: true, markers: {dash: (_, k) => options.series[k - 1]?.dashed ? "dashed" : "solid"}},
		scales: {x: {time: true}, y: {range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1]}},
		axes: [
			{...axis, space: 70, values: (_, ticks) => ticks.map((t) => clock(t).replace(/:00$/, ""))},
			{...axis, size: 74, values: (_, ticks) => ticks.map((t) => options.format(t))},
		],
		series: [
			{label: "time", value: (plot, _, k, at) => at === null || at === undefined ? "newest" : time(plot.data[k][at])},
			...options.series.map((one) => ({
				label: one.label, stroke: css(`--series-${one.colour}`), width: 2, dash: one.dashed ? [6, 4] : undefined,
				fill: one.fill ? css(`--series-${one.colour}`) + "22" : undefined, points: {show: true, size: 5, filter: alone}, spanGaps: false,
				value: (/** @type {uPlot} */ plot, /** @type {number} */ _, /** @type {number} */ k, /** @type {number | null} */ at) => options.format(shown(plot, k, at)),
			})),
		],
		hooks: {
			setSelect: [(plot) => {
				if (options.onZoom && plot.select.width > 4)
					options.onZoom(Math.floor(plot.posToVal(plot.select.left, "x")), Math.ceil(plot.posToVal(plot.select.left + plot.select.width, "x")));
			}],
		},
	};
}

/** @param {Options} options @param {Data} data */
function dataTable(options, data) {
	const from = Math.max(0, data.at.length - TABLE_ROWS);
	const rows = data.at.slice(from).map((at, i) => h("tr", null, h("th", {scope: "row", class: "left"}, time(at)),
		options.series.map((_, k) => h("td", {class: "right", "data-value": data.values[k][from + i] ?? ""}, options.format(data.values[k][from + i])))));
	return h("table", null, h("caption", {class: "left"}, from ? `The last ${TABLE_ROWS} of ${data.at.length} points` : `${data.at.length} points`),
		h("thead", null, h("tr", null, h("th", {scope: "col", class: "left"}, "from"), options.series.map((one) => h("th", {scope: "col", class: "right"}, one.label)))),
		h("tbody", null, rows));
}

/**
 * @param {Options} options
 * @returns {Chart}
 */
export function createChart(options) {
	const place = h("div", {class: "chart-place", role: "img", "aria-label": `${options.title}, as a picture; the same numbers are in the table below it`});
	const behind = h("div", {class: "table-scroll", tabindex: "0", role: "region", "aria-label": `${options.title}: numbers`});
	const details = h("details", {class: "behind", ontoggle: () => fillTable()}, h("summary", null, "as a table"), behind);
	const element = h("figure", {class: "chart"}, h("figcaption", null, options.title), place, details);
	/** @type {uPlot | null} */
	let plot = null;
	/** @type {Data} */
	let data = {at: [], values: options.series.map(() => [])};

	function fillTable() {
		if (details.open)
			replace(behind, dataTable(options, data));
	}

	function build() {
		plot?.destroy();
		plot = null;
		const width = place.clientWidth;
		if (width < 50 || data.at.length === 0)
			return replace(place, data.at.length === 0 ? h("p", {class: "mute"}, "No points in this range.") : null);
		replace(place);
		plot = new uPlot(plotOptions(options, width), [data.at, ...data.values], place);
	}

	const sized = new ResizeObserver(() => {
		if (!plot || Math.abs(plot.width - place.clientWidth) > 1)
			requestAnimationFrame(build);
	});
	sized.observe(place);
	window.addEventListener("themechange", build);
	return {
		element,
		update(next) {
			data = next;
			fillTable();
			if (plot && data.at.length > 0)
				plot.setData([data.at, ...data.values]);
			else
				build();
		},
		destroy() {
			sized.disconnect();
			window.removeEventListener("themechange", build);
			plot?.destroy();
		},
	};
}
