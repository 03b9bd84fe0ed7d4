/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which part of the picture is seen: fitted to its card until the reader moves it. Wheel (once the map was clicked or has
 * the focus, or with Ctrl: else the page scrolls), drag, two fingers, buttons.
 */

const MAX = 3;
const MIN = 0.1;
const READABLE = 0.55;
const FIT_MAX = 1.7;
const MARGIN = 12;
/* the column of buttons at the right, which must not lie on a box */
const BUTTONS = 34;
const MOVING_MS = 150;

/**
 * @param {SVGSVGElement} svg
 * @param {SVGGElement[]} worlds  what is moved
 */
export function createCamera(svg, worlds) {
	let size = {width: 1, height: 1};
	let k = 1;
	let x = 0;
	let y = 0;
	let byHand = false;
	let awake = false;
	/** @type {Map<number, {x: number, y: number}>} */
	const fingers = new Map();
	let moved = false;
	/* measured when it changes, not at every move: asking in between would lay the page out again */
	let card = {width: svg.clientWidth, height: svg.clientHeight};
	let frame = 0;
	let painted = 0;

	function paint() {
		frame ||= requestAnimationFrame(() => {
			frame = 0;
			painted = performance.now();
			const to = `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${k.toFixed(4)})`;
			worlds.forEach((world) => world.setAttribute("transform", to));
		});
	}

	/** @param {boolean} [whole]  all of it, however small; else letters stay readable and the top left comes first */
	function fit(whole = false) {
		const box = card;
		if (box.width === 0)
			return;
		byHand = whole;
		const width = box.width - BUTTONS;
		k = Math.max(whole ? MIN : READABLE, Math.min(FIT_MAX, (width - 2 * MARGIN) / size.width, (box.height - 2 * MARGIN) / size.height));
		x = Math.max(whole ? -Infinity : MARGIN, (width - size.width * k) / 2);
		y = Math.max(whole ? -Infinity : MARGIN, (box.height - size.height * k) / 2);
		paint();
	}

	/** @param {number} factor @param {number} [atX] @param {number} [atY]  px in the card; default its centre */
	function zoom(factor, atX = card.width / 2, atY = card.height / 2) {
		const next = Math.min(MAX, Math.max(MIN, k * factor));
		x = atX - (atX - x) * next / k;
		y = atY - (atY - y) * next / k;
		k = next;
		byHand = true;
		paint();
	}

	/** @param {number} dx @param {number} dy */
	function pan(dx, dy) {
		/* a hand's breadth of the picture stays in sight */
		x = Math.min(card.width - 60, Math.max(60 - size.width * k, x + dx));
		y = Math.min(card.height - 60, Math.max(60 - size.height * k, y + dy));
		byHand = true;
		paint();
	}

	svg.addEventListener("wheel", (event) => {
		if (!(awake || event.ctrlKey || svg.contains(document.activeElement)))
			return;
		event.preventDefault();
		const box = svg.getBoundingClientRect();
		zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
	}, {passive: false});
	svg.addEventListener("pointerdown", (event) => {
		awake = true;
		moved = false;
		fingers.set(event.pointerId, {x: event.clientX, y: event.clientY});
	});
	svg.addEventListener("pointerleave", () => {
		awake = false;
	});
	svg.addEventListener("pointermove", (event) => {
		const old = fingers.get(event.pointerId);
		if (!old)
			return;
		const now = {x: event.clientX, y: event.clientY};
		if (!moved && Math.hypot(now.x - old.x, now.y - old.y) < 4)
			return;
		if (!moved && !svg.hasPointerCapture(event.pointerId))
			svg.setPointerCapture(event.pointerId);
		moved = true;
		if (fingers.size === 2) {
			const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1] ?? old;
			const box = svg.getBoundingClientRect();
			zoom(Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, Math.hypot(old.x - other.x, old.y - other.y)), (now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top);
		} else
			pan(now.x - old.x, now.y - old.y);
		fingers.set(event.pointerId, now);
	});
	for (const end of /** @type {const} */ (["pointerup", "pointercancel"]))
		svg.addEventListener(end, (event) => void fingers.delete(event.pointerId));
	/* the click at the end of a drag opens nothing */
	svg.addEventListener("click", (event) => {
		if (moved)
			event.stopPropagation();
	}, {capture: true});
	const sized = new ResizeObserver(() => {
		card = {width: svg.clientWidth, height: svg.clientHeight};
		if (!byHand)
			fit();
	});
	sized.observe(svg);

	return {
		fit, pan,
		/** @param {number} factor */
		zoom: (factor) => zoom(factor),
		/**
		 * The picture has another size. fresh: it answers another question, so it is fitted anew; else the view stays unless the picture outgrew it.
		 * @param {number} width @param {number} height @param {boolean} fresh
		 */
		resize(width, height, fresh) {
			const grown = width > size.width + 1 || height > size.height + 1;
			size = {width: Math.max(1, width), height: Math.max(1, height)};
			if (fresh || (grown && !byHand))
				fit();
		},
		/** Brings a point into sight. @param {number} px @param {number} py */
		reveal(px, py) {
			const sx = px * k + x;
			const sy = py * k + y;
			const dx = sx < 80 ? 80 - sx : sx > card.width - 80 ? card.width - 80 - sx : 0;
			const dy = sy < 40 ? 40 - sy : sy > card.height - 40 ? card.height - 40 - sy : 0;
			if (dx || dy)
				pan(dx, dy);
		},
		/** It is being moved: what lies under the pointer means nothing. */
		moving: () => fingers.size > 0 && moved || performance.now() - painted < MOVING_MS,
		stop() {
			sized.disconnect();
			cancelAnimationFrame(frame);
		},
	};
}
