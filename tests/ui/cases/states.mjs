// SPDX-License-Identifier: Apache-2.0
// States that are no data: an empty store, a range with nothing, a server that goes away and comes back, a wrong clock.
import { assert, until } from '../lab/test.mjs'
import { everyPage, fields, link, mapDrawn, rangeOf } from '../lab/pages.mjs'

const PAGES = ['map', 'services', 'service', 'edge', 'hosts', 'doctor']

async function emptyStore(t) {
  const world = await t.world('empty')
  for (const id of PAGES.filter((p) => p !== 'service' && p !== 'edge')) {
    const page = await t.open(world, link({ page: id }))
    const text = await page.locator('main').innerText()
    assert.ok(text.length > 60, `${id}: ${text}`)
    assert.doesNotMatch(text, /NaN|undefined|\[object|Infinity/, id)
    if (id !== 'doctor') assert.ok(await page.locator('[data-notice="empty"]').count() > 0, `${id}: a designed state`)
    await page.close()
  }
}

async function nothingInRange(t) {
  const world = await t.world('still')
  const range = { from: '1000000000', to: '1000000600' }
  for (const [id, extra] of [['map', {}], ['services', {}], ['doctor', {}], ['edge', { id: [...world.truth().edges.keys()][0] }], ['service', { service: 'auth' }]]) {
    const page = await t.open(world, link({ page: id, ...range, ...extra }))
    const text = await page.locator('main').innerText()
    assert.doesNotMatch(text, /NaN|undefined|\[object|Infinity/, id)
    assert.ok(text.length > 40, `${id}: ${text}`)
    if (id === 'map' || id === 'services') assert.ok(await page.locator('[data-notice="empty"]').count() > 0, `${id}: a designed state`)
    await page.close()
  }
}

// The server is killed: said within seconds, what was there stays; it comes back: the page heals by itself.
async function serverGone(t) {
  const world = await t.ownWorld('moving')
  t.allow(/net::ERR/, /Failed to load resource/, /EventSource/, /answer 50/)
  const page = await t.open(world, link({ page: 'map' }))
  await mapDrawn(page, 10)
  const boxes = await page.locator('svg.map g.node').count()
  await world.kill()
  await until(async () => /reconnecting|no news/.test(await page.locator('header .live').innerText()), 20, async () => `the bar says it: ${await page.locator('header').innerText()}`)
  await until(async () => await page.locator('main [data-notice="stale"]').count() > 0, 20, 'the page says that its numbers are old')
  assert.equal(await page.locator('svg.map g.node').count(), boxes, 'what was there stays')
  await world.again()
  await until(async () => /^live/.test((await page.locator('header .live').innerText()).trim()), 40, async () => `the bar is live again: ${await page.locator('header').innerText()}`)
  await until(async () => await page.locator('main [data-notice="stale"]').count() === 0, 40, 'and the notice is gone')
}

// Opened while nobody answers requests of the API: said, and it heals.
async function apiRefuses(t) {
  const world = await t.world('still')
  t.allow(/answer 503/, /Failed to load resource/)
  let refuse = true
  const page = await t.open(world, link({ page: 'services', ...rangeOf(world) }), {
    raw: true,
    before: (p) => p.route('**/api/v1/services*', (route) => refuse ? route.fulfill({ status: 503, contentType: 'application/json', body: '{"error":"busy","hint":"later"}' }) : route.continue()),
  })
  await until(async () => await page.locator('[data-notice="failed"]').count() > 0, 10, 'it is said')
  refuse = false
  await until(async () => await page.locator('tbody tr[data-key]').count() > 0, 20, 'it heals by itself')
  assert.equal(await page.locator('[data-notice="failed"]').count(), 0)
}

// The browser's clock is an hour off: ranges and ages go by the server's.
const clockOff = (hours) => async (t) => {
  const world = await t.world('moving')
  const page = await t.open(world, link({ page: 'map' }), {
    before: (p) => p.addInitScript((ms) => {
      const now = Date.now
      const Real = Date
      window.Date = class extends Real {
        constructor(...args) {
          super(...(args.length ? args : [now() + ms]))
        }

        static now() {
          return now() + ms
        }
      }
    }, hours * 3600000),
  })
  await mapDrawn(page, 10)
  await until(async () => /^live, (1?\d\ss ago|now)/.test((await page.locator('header .live').innerText()).trim()), 10, async () => `ages are right: ${await page.locator('header .live').innerText()}`)
  await page.goto(world.url + link({ page: 'hosts' }))
  await until(async () => Number((await fields(page)).reporting) === 12, 10, async () => `agents report: ${JSON.stringify(await fields(page))}`)
}

// Every page at 360 px: nothing runs out of the screen, and the table comes before the map.
async function small(t) {
  const world = await t.world('still')
  for (const [name, at] of await everyPage(world)) {
    const page = await t.open(world, at, { width: 360, height: 740 })
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${name} is wider than the screen`)
    if (name === 'map') {
      const table = await page.locator('main table').first().boundingBox()
      const map = await page.locator('svg.map').boundingBox()
      assert.ok(table && (!map || table.y < map.y), `the table leads: ${JSON.stringify({ table, map })}`)
    }
    await page.close()
  }
}

export const cases = [
  ['empty_store', emptyStore], ['nothing_in_range', nothingInRange], ['server_gone_and_back', serverGone, { ms: 120000 }], ['api_refuses', apiRefuses],
  ['clock_an_hour_ahead', clockOff(1)], ['clock_an_hour_behind', clockOff(-1)], ['small_screen', small],
]
