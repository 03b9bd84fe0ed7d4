// SPDX-License-Identifier: Apache-2.0
// The keyboard alone reaches everything.
import { assert, ready, until } from '../lab/test.mjs'
import { everyPage, focused, link, mapDrawn, rangeOf } from '../lab/pages.mjs'

const TABS = 120

// Presses Tab until the focus is where `selector` says. The number of presses.
async function tabTo(page, selector, max = TABS) {
  for (let i = 1; i <= max; i++) {
    await page.keyboard.press('Tab')
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) return i
  }
  throw new Error(`${max} tabs do not reach ${selector}; the focus is at ${await focused(page)}`)
}

async function map(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'map', ...rangeOf(world) }))
  await mapDrawn(page, 10)
  await tabTo(page, 'svg.map g.node')
  const begin = await page.evaluate(() => document.activeElement.dataset.id)
  // Arrows along neighbours: every box on the way is another, and many are reached.
  const met = new Set([begin])
  for (const key of ['ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowLeft', 'ArrowDown', 'ArrowRight', 'ArrowUp', 'ArrowRight', 'ArrowDown', 'ArrowLeft']) {
    await page.keyboard.press(key)
    met.add(await page.evaluate(() => document.activeElement.dataset.id))
  }
  assert.ok(!met.has(undefined) && met.size >= 4, `arrows met ${[...met]}`)
  const at = await page.evaluate(() => document.activeElement.dataset.id)
  await page.keyboard.press('Enter')
  await until(() => new URL(page.url()).searchParams.get('open') === `node:${at}`, 5, 'Enter opens the box')
  // The panel: an edge of the box, by keys alone.
  await tabTo(page, 'aside.panel a[href*="open=edge"]')
  await page.keyboard.press('Enter')
  await until(() => new URL(page.url()).searchParams.get('open')?.startsWith('edge:'), 5, 'the edge is open')
  await tabTo(page, 'aside.panel a[href*="page=edge"]')
  await page.keyboard.press('Escape')
  await until(() => !new URL(page.url()).searchParams.has('open'), 5, 'Esc closes')
}

// Every box can be reached by arrows from any other.
async function allBoxes(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'map', ...rangeOf(world) }))
  await mapDrawn(page, 10)
  const all = await page.locator('svg.map g.node').evaluateAll((list) => list.map((g) => g.dataset.id))
  // From each box each arrow, as the keys do: what a person could reach.
  const next = await page.evaluate(() => {
    const found = {}
    for (const g of document.querySelectorAll('svg.map g.node')) {
      found[g.dataset.id] = []
      for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']) {
        g.focus()
        g.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
        found[g.dataset.id].push(document.activeElement.dataset.id)
      }
    }
    return found
  })
  const reached = new Set([all[0]])
  for (const id of reached) for (const to of next[id]) reached.add(to)
  assert.deepEqual(all.filter((id) => !reached.has(id)), [], 'boxes that arrows do not reach from the first')
}

async function table(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'map', ...rangeOf(world) }))
  await until(async () => await page.locator('main table tbody tr[data-key]').count() > 10, 10, 'the table of edges')
  await tabTo(page, 'main table tbody tr')
  const first = await page.evaluate(() => document.activeElement.dataset.key)
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowDown')
  const third = await page.evaluate(() => document.activeElement.dataset.key)
  assert.notEqual(first, third)
  await page.keyboard.press('Home')
  assert.equal(await page.evaluate(() => document.activeElement.dataset.key), first)
  await page.keyboard.press('End')
  assert.notEqual(await page.evaluate(() => document.activeElement.dataset.key), first)
  await page.keyboard.press('Enter')
  await until(() => new URL(page.url()).searchParams.get('open')?.startsWith('edge:'), 5, 'Enter opens the edge')
  // Sorting by a header's button.
  await page.keyboard.press('Escape')
  await page.locator('main table thead button').first().focus()
  await page.keyboard.press('Enter')
  await until(async () => await page.locator('main table thead th[aria-sort]').first().getAttribute('aria-sort') === 'ascending', 5, 'sorted')
}

async function filter(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'map', ...rangeOf(world) }))
  await mapDrawn(page, 10)
  const all = await page.locator('svg.map g.node').count()
  await page.keyboard.press('/')
  assert.ok(await page.evaluate(() => document.activeElement.matches('[data-filter]')), '/ goes to the filter')
  await page.keyboard.type('service=auth')
  await page.keyboard.press('Enter')
  await until(async () => await page.locator('svg.map g.node').count() < all, 10, 'the filter is used')
  assert.match(page.url(), /filter=service/)
  await page.keyboard.press('Escape')
}

async function help(t) {
  const world = await t.world('still')
  for (const [name, at] of await everyPage(world)) {
    const page = await t.open(world, at)
    await page.keyboard.press('?')
    const dialog = page.locator('dialog[open]')
    await until(async () => await dialog.count() === 1, 5, `${name}: ? lists the keys`)
    assert.match(await dialog.innerText(), /Esc/)
    await page.keyboard.press('Escape')
    await until(async () => await dialog.count() === 0, 5, `${name}: Esc closes it`)
    await page.close()
  }
}

// From the first screen to every page and back by Tab and Enter; what has the focus is seen.
async function pages(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'map', ...rangeOf(world) }))
  for (const id of ['services', 'hosts', 'doctor', 'map']) {
    await tabTo(page, `header nav a[href*="page=${id}"]`)
    const ring = await page.evaluate(() => {
      const s = getComputedStyle(document.activeElement)
      return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1 || s.boxShadow !== 'none'
    })
    assert.ok(ring, `the focus on ${id} is not seen`)
    await page.keyboard.press('Enter')
    await until(() => page.url().includes(`page=${id}`), 5, id)
    await ready(page)
  }
  await page.goto(world.url + link({ page: 'services', ...rangeOf(world) }))
  await ready(page)
  await tabTo(page, 'main table tbody tr')
  await page.keyboard.press('Enter')
  await until(() => page.url().includes('page=service&'), 5, 'Enter opens the service')
  await ready(page)
  // its callers' table leads to an edge
  await tabTo(page, 'main table tbody tr')
  await page.keyboard.press('Enter')
  await until(() => /page=(edge|service)&/.test(page.url()), 5, 'Enter opens what the row is about')
}

// Nothing holds the focus: Tab goes through each page and comes to its end.
async function noTrap(t) {
  const world = await t.world('still')
  for (const [name, at] of await everyPage(world)) {
    const page = await t.open(world, at)
    await page.evaluate(() => { window.met = new Set() })
    let over = false
    for (let i = 0; i < 400 && !over; i++) {
      await page.keyboard.press('Tab')
      over = await page.evaluate(() => {
        const e = document.activeElement
        if (e === document.body || window.met.has(e)) return e === document.body || e === [...window.met][0]
        window.met.add(e)
        return false
      })
    }
    assert.ok(over, `${name}: Tab does not come around; at ${await focused(page)}`)
    await page.close()
  }
}

export const cases = [['map', map], ['all_boxes', allBoxes], ['table', table], ['filter', filter], ['help', help], ['pages', pages], ['no_trap', noTrap]]
