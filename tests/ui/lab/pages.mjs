// SPDX-License-Identifier: Apache-2.0
// The pages there are, as addresses in a world; and what is read from them.
import { until } from './wait.mjs'

// Link of a state; common parameters and the page's own.
export const link = (params) => `/?${new URLSearchParams({ v: '1', ...params })}`

// [name, address] of every page with something on it, over the whole of a world's truth (or the last 5 minutes).
export async function everyPage(world) {
  const range = world.truthFile ? rangeOf(world) : {}
  const { edges } = await world.api('edges', { ...(range.from ? range : { from: '-5m' }), limit: 200 })
  const edge = edges.find((e) => e.signs?.length && e.observed_by === 'both') ?? edges[0]
  const { hosts } = await world.api('hosts')
  return [
    ['map', link({ page: 'map', ...range })],
    ['services', link({ page: 'services', ...range })],
    ['service', link({ page: 'service', service: edge.server_service, ...range })],
    ['edge', link({ page: 'edge', id: edge.id, ...range })],
    ['hosts', link({ page: 'hosts', ...range })],
    ['host', link({ page: 'hosts', host: hosts[0].id, ...range })],
    ['doctor', link({ page: 'doctor', ...range })],
  ]
}

// A fixed range over all that was sent.
export function rangeOf(world) {
  const { from, to } = world.truth()
  return { from: String(from), to: String(to) }
}

// {field: data-value} of every element with data-field inside `place`.
export function fields(page, place = 'main') {
  return page.locator(place).evaluate((root) =>
    Object.fromEntries([...root.querySelectorAll('[data-field]')].map((e) => [e.dataset.field, e.dataset.value])))
}

// {key: [data-value of each cell]} of the table with this caption (a part of it).
export function rows(page, caption) {
  return page.evaluate((text) => {
    const table = [...document.querySelectorAll('main table')].find((t) => t.caption?.textContent.includes(text))
    return table ? Object.fromEntries([...table.querySelectorAll('tbody tr[data-key]')].map((tr) =>
      [tr.dataset.key, [...tr.cells].map((c) => c.dataset.value ?? c.querySelector('[data-value]')?.dataset.value ?? null)])) : null
  }, caption)
}

// Labels of the columns of that table, in the order of the cells.
export function columns(page, caption) {
  return page.evaluate((text) => {
    const table = [...document.querySelectorAll('main table')].find((t) => t.caption?.textContent.includes(text))
    return [...table.querySelectorAll('thead th')].map((th) => th.innerText.trim().toLowerCase())
  }, caption)
}

// {id: transform} of the map's boxes.
export const positions = (page) => page.evaluate(() =>
  Object.fromEntries([...document.querySelectorAll('svg.map g.node')].map((g) => [g.dataset.id, g.getAttribute('transform')])))

// A field of an object by "a.b.c".
export const at = (object, name) => name.split('.').reduce((o, key) => o?.[key], object)

// What has the focus, in few words.
export const focused = (page) => page.evaluate(() => {
  const e = document.activeElement
  return e ? `${e.tagName.toLowerCase()}${e.dataset?.id ? `[${e.dataset.id}]` : ''}${e.dataset?.key ? `(${e.dataset.key})` : ''} ${e.getAttribute('aria-label') ?? ''}`.trim() : ''
})

export const mapDrawn = (page, n = 1) => until(async () => await page.locator('svg.map g.node').count() >= n, 15, `the map has ${n} boxes`)
