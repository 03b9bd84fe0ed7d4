/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The shapes the modules share. Nothing runs here.
 *
 * @typedef {Record<string, string | number | boolean | null | undefined>} Params  parameters of a request or a link; null and undefined are left out
 *
 * @typedef {{type: "enum", values: string[], default: string}
 *   | {type: "int", min: number, max: number, default: number}
 *   | {type: "flag", default: boolean}
 *   | {type: "text", max?: number, default: string}} Param  one parameter of the address bar
 * @typedef {Record<string, Param>} ParamTable
 *
 * @typedef {Record<string, any> & {page: string, range: string, from: number, to: number, live: boolean, filter: string}} State
 *   what the address bar says, checked. `from`/`to` are seconds since 1970 and 0 while `range` counts back from now.
 *
 * @typedef {{key: string, value: string, used: string}} Problem  something in the address bar that was not understood
 *
 * @typedef {"connecting" | "connected" | "stale" | "retry" | "off"} LiveState
 *
 * @typedef {object} Sign  a fact that stands out (server/signs.c)
 * @property {string} sign
 * @property {number} severity  1 worth a look, 2 serious
 * @property {string} side  c2s, s2c or empty
 * @property {number} count
 * @property {number} of
 * @property {number} share
 * @property {string} text  the sentence
 * @property {string} [edge]  on a sum of several edges: whose sign it is; then also client_service, server_service, port
 *
 * @typedef {Record<string, any>} Derived  the conveniences of the API; what is absent is not known
 *
 * @typedef {object} Page
 * @property {string} id            value of `page=` in the address bar
 * @property {string} title         the browser's title and the page's heading
 * @property {string} [nav]         label in the navigation; without it the page is reached by links only
 * @property {string} [under]       id of the navigation entry that is marked while this page is open
 * @property {ParamTable} params    its own part of the address bar
 * @property {number} [refresh_s]   seconds between two `update(state, "tick")` while live; default 5, 0: never
 * @property {[string, string][]} [keys]  [key, what it does], shown by `?`
 * @property {(root: HTMLElement, context: Context) => Mounted} mount
 *
 * @typedef {object} Mounted
 * @property {(state: State, why: "mount" | "state" | "tick" | "retry") => void} update  mount: called once at once after mount()
 * @property {() => void} unmount
 * @property {(key: KeyboardEvent) => boolean} [key]  keys that no field took; true: used
 *
 * @typedef {object} Context  what a page is given
 * @property {() => State} state
 * @property {import("./api.js").Api} api
 * @property {import("./live.js").Live} live
 * @property {(patch: Params, how?: {replace?: boolean}) => void} navigate  changes the address bar; a change of `page` drops the old page's parameters. replace: no new entry in the history
 * @property {(patch: Params) => string} href     the same as a link: use it for every <a>, clicks are handled by the frame
 * @property {() => {from: string | number, to: string | number}} range  parameters `from` and `to` for the API; relative ranges are resolved by the server's clock
 * @property {() => number} now                   the server's time, s since 1970 (with fraction)
 * @property {(text: string) => void} announce    said by screen readers
 */
export {};
