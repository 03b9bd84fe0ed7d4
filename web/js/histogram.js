/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Small SVG pictures: a histogram on the API's bucket edges (2^k and 1.5 x 2^k us) with its percentiles marked and its table,
 * and a sparkline without axes.
 */
import {h, s} from "./dom.js";
import {count, micros, plural, share} from "./format.js";

const WIDTH = 480;
const HEIGHT = 168;
const BASE = 130;
const TOP = 44; /* room for three lines of marks above the bars */

/**
 * @typedef {object} Histogram   as in /edges/{id}.histograms
 * @property {number} count
 * @property {number} [p50_us]
 * @property {number} [p90_us]
 * @property {number} [p99_us]
 * @property {number[]} buckets
 */

/** Where a time lies between the buckets shown, 0..1 (buckets are equally wide). @param {number} us @param {number[]} floors @param {number} first @param {number} last */
function place(us, floors, first, last) {
	let i = first;
	while (i < last && us >= floors[i + 1])
		i++;
	const next = floors[i + 1] ?? floors[i] * 1.5;
	return (i - first + Math.min(1, Math.max(0, (us - floors[i]) / (next - floors[i])))) / (last - first + 1);
}

/** Marks that would lie on each other step down a line. @param {Histogram} histogram @param {number[]} floors @param {number} first @param {number} last */
function marks(histogram, floors, first, last) {
	let right = -1e9;
	let line = 0;
	const known = /** @type {[string, number | undefined][]} */ ([["p50", histogram.p50_us], ["p90", histogram.p90_us], ["p99", histogram.p99_us]]);
	return known.filter(([, us]) => us !== undefined && us !== null).map(([label, us]) => {
		const x = place(us ?? 0, floors, first, last) * WIDTH;
		line = x < right + 82 ? line + 1 : 0;
		right = x;
		const atEnd = x > WIDTH - 90;
		return s("g", {class: "mark"}, s("line", {x1: x, x2: x, y1: 4 + line * 13, y2: BASE}),
			s("text", {x: atEnd ? x - 4 : x + 4, y: 12 + line * 13, "text-anchor": atEnd ? "end" : "start"}, `${label} ${micros(us)}`));
	});
}

/** @param {Histogram} histogram @param {number[]} floors @param {number} first @param {number} last */
function picture(histogram, floors, first, last) {
	const wide = WIDTH / (last - first + 1);
	const most = Math.max(...histogram.buckets.slice(first, last + 1));
	const bars = [];
	for (let i = first; i <= last; i++) {
		const n = histogram.buckets[i] ?? 0;
		const high = n ? Math.max(1.5, (BASE - TOP) * n / most) : 0;
		bars.push(s("rect", {class: "bar", x: (i - first) * wide + 0.5, y: BASE - high, width: Math.max(1, wide - 1), height: high}, s("title", null, `${micros(i ? floors[i] : 0)} to ${floors[i + 1] ? micros(floors[i + 1]) : "more"}: ${count(n)}`)));
	}
	const every = Math.ceil((last - first + 1) / Math.max(2, Math.floor(WIDTH / 80)));
	const labels = [];
	for (let i = first; i <= last; i += every)
		labels.push(s("text", {class: "tick", x: (i - first) * wide, y: BASE + 16}, micros(i ? floors[i] : 0)));
	return [...bars, s("line", {class: "axis", x1: 0, x2: WIDTH, y1: BASE, y2: BASE}), ...labels, ...marks(histogram, floors, first, last)];
}

/** @param {Histogram} histogram @param {number[]} floors @param {string} title */
function table(histogram, floors, title) {
	const rows = histogram.buckets.map((n, i) => ({n, i})).filter(({n}) => n > 0);
	return h("div", {class: "table-scroll", tabindex: "0", role: "region", "aria-label": `${title}: numbers`}, h("table", null, h("caption", {class: "left"}, title),
		h("thead", null, h("tr", null, h("th", {scope: "col", class: "right"}, "from"), h("th", {scope: "col", class: "right"}, "to"), h("th", {scope: "col", class: "right"}, "samples"), h("th", {scope: "col", class: "right"}, "share"))),
		h("tbody", null, rows.map(({n, i}) => h("tr", null, h("td", {class: "right"}, micros(i ? floors[i] : 0)), h("td", {class: "right"}, floors[i + 1] ? micros(floors[i + 1]) : "more"),
			h("td", {class: "right", "data-value": n}, count(n)), h("td", {class: "right"}, share(n / histogram.count)))))));
}

/**
 * @param {Histogram | null | undefined} histogram  missing or empty: said
 * @param {number[]} floors   bucket_floors_us
 * @param {string} title
 * @returns {HTMLElement}
 */
export function histogramPicture(histogram, floors, title) {
	const filled = (histogram?.buckets ?? []).map((n, i) => n > 0 ? i : -1).filter((i) => i >= 0);
	if (!histogram || filled.length === 0)
		return h("figure", {class: "histogram"}, h("figcaption", null, title), h("p", {class: "unknown"}, "not known: no samples in this range"));
	/* one empty bucket to each side, and at least eight in all, so that a single bar does not fill the picture */
	let first = Math.max(0, filled[0] - 1);
	let last = Math.min(floors.length - 1, filled[filled.length - 1] + 1);
	while (last - first < 7 && (first > 0 || last < floors.length - 1)) {
		first = Math.max(0, first - 1);
		last = Math.min(floors.length - 1, last + 1);
	}
	const said = `${title}: ${count(histogram.count)} samples, p50 ${micros(histogram.p50_us)}, p90 ${micros(histogram.p90_us)}, p99 ${micros(histogram.p99_us)}`;
	return h("figure", {class: "histogram"}, h("figcaption", null, title, h("span", {class: "mute"}, ` ${plural(histogram.count, "sample")}`)),
		s("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT - 18}`, role: "img", "aria-label": said}, picture(histogram, floors, first, last)),
		h("details", {class: "behind"}, h("summary", null, "as a table"), table(histogram, floors, title)));
}

/**
 * A line without axes. Values that are null leave a gap.
 * @param {(number | null)[]} values
 * @param {{label: string, width?: number, height?: number}} how  label: what it shows, for screen readers
 */
export function sparkline(values, how) {
	const width = how.width ?? 320;
	const height = how.height ?? 56;
	const known = values.filter((v) => v !== null);
	const most = Math.max(...known, 0) || 1;
	const step = width / Math.max(1, values.length - 1);
	let path = "";
	let pen = "M";
	values.forEach((v, i) => {
		if (v === null) {
			pen = "M";
			return;
		}
		path += `${pen}${(i * step).toFixed(1)} ${(height - 2 - (height - 6) * v / most).toFixed(1)}`;
		pen = "L";
	});
	return s("svg", {class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": how.label},
		s("line", {class: "axis", x1: 0, x2: width, y1: height - 1, y2: height - 1}), path && s("path", {class: "line", d: path, "vector-effect": "non-scaling-stroke"}));
}
