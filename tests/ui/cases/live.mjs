// SPDX-License-Identifier: Apache-2.0
// Changes come by themselves and disturb nobody.
import { assert, until } from '../lab/test.mjs'
import { link, mapDrawn, positions, rows } from '../lab/pages.mjs'

const SHOWN_S = 3 // after the API has it, and an interval of 1 s

// An edge that begins later appears on map and table without a reload.
async function newEdge(t) {
  const world = await t.ownWorld('moving')
  const page = await t.open(world, link({ page: 'map' }))
  await mapDrawn(page, 10)
  await page.evaluate(() => { window.notReloaded = true })
  const known = new Set(Object.keys(await positions(page)))
  const first = await rows(page, 'Edges')
  // A second fleet, of another address space: its services are new.
  world.another('--hosts', '6', '--services', '2', '--edges', '1', '--zones', '6', '--net', 'late')
  await until(async () => (await world.api('edges', { from: '-1m', net: 'late' })).matched === 1, 10, 'the API has the new edge')
  const inApi = performance.now()
  const table = async () => Object.keys((await rows(page, 'Edges')) ?? {}).filter((id) => !(id in first))
  const box = async () => Object.keys(await positions(page)).filter((id) => !known.has(id))
  await until(async () => (await table()).length > 0 && ((await box()).length > 0 || await page.locator('svg.map g.edge').count() > Object.keys(first).length), SHOWN_S + 1,
    async () => `the new edge is on map and table: ${await table()}; ${await box()}`)
  assert.ok((performance.now() - inApi) / 1000 <= SHOWN_S + 1)
  assert.equal(await page.evaluate(() => window.notReloaded), true)
}

// Boxes stand where they stood, refresh after refresh.
async function positionsStay(t) {
  const world = await t.world('moving')
  const page = await t.open(world, link({ page: 'map' }))
  await mapDrawn(page, 10)
  const before = await positions(page)
  let answers = 0
  page.on('response', (r) => { answers += r.url().includes('/api/v1/graph') })
  await until(() => answers >= 3, 30, 'the map was refreshed three times')
  const after = await positions(page)
  const moved = Object.keys(before).filter((id) => id in after && after[id] !== before[id])
  assert.deepEqual(moved, [])
  assert.ok(Object.keys(before).filter((id) => id in after).length >= 10)
}

// A refresh closes nothing, scrolls nothing and takes no focus.
async function refreshKeeps(t) {
  const world = await t.world('moving')
  const page = await t.open(world, link({ page: 'map' }))
  await mapDrawn(page, 10)
  const node = page.locator('svg.map g.node').nth(3)
  const id = await node.getAttribute('data-id')
  await node.click()
  await until(() => new URL(page.url()).searchParams.get('open') === `node:${id}`, 5, 'the box is open')
  const panel = page.locator('aside.panel h2')
  const title = await panel.innerText()
  const row = page.locator('main table tbody tr[data-key]').nth(6)
  await row.focus()
  const key = await row.getAttribute('data-key')
  const scroll = await page.evaluate(() => window.scrollY)
  let answers = 0
  page.on('response', (r) => { answers += r.url().includes('/api/v1/graph') })
  await until(() => answers >= 2, 30, 'the map was refreshed twice')
  assert.equal(await panel.innerText(), title)
  assert.equal(await page.evaluate(() => document.activeElement?.dataset?.key), key, 'the focus stays on its row')
  assert.ok(Math.abs(await page.evaluate(() => window.scrollY) - scroll) <= 1, 'the page does not scroll by itself')
}

// Paused: nothing moves; then on again.
async function pause(t) {
  const world = await t.world('moving')
  const page = await t.open(world, link({ page: 'map' }))
  await mapDrawn(page, 10)
  await page.locator('header button.live').click()
  await until(() => page.url().includes('live=0'), 5, 'the pause is in the address')
  await until(async () => /paused/.test(await page.locator('header .live').innerText()), 5, 'and said')
  let answers = 0
  page.on('request', (r) => { answers += /api\/v1\/(graph|stream)/.test(r.url()) })
  const began = performance.now()
  await until(() => performance.now() - began > 7000, 10, 'a while')
  assert.equal(answers, 0, 'nothing is asked for while paused')
  await page.locator('header button.live').click()
  await until(() => answers > 0, 10, 'it goes on')
}

export const cases = [['new_edge', newEdge, { ms: 90000 }], ['positions_stay', positionsStay], ['refresh_keeps', refreshKeeps], ['pause', pause]]
