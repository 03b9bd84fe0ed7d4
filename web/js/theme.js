/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Light or dark: what the system says until the reader switches; kept in this browser, not in the link.
 * "themechange" on the window tells what draws with colours of its own.
 */
const KEY = "skyfall-theme";

function kept() {
	try {
		return localStorage.getItem(KEY);
	} catch {
		/* storage may be forbidden: the system's theme then */
		return null;
	}
}

/** @returns {"light" | "dark"} */
export function theme() {
	const chosen = kept();
	if (chosen === "light" || chosen === "dark")
		return chosen;
	return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function paint() {
	document.documentElement.dataset.theme = theme();
	window.dispatchEvent(new Event("themechange"));
}

/** Once, at the start. */
export function applyTheme() {
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
	paint();
}

export function switchTheme() {
	try {
		localStorage.setItem(KEY, theme() === "dark" ? "light" : "dark");
	} catch {
		document.documentElement.dataset.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
		window.dispatchEvent(new Event("themechange"));
		return;
	}
	paint();
}
