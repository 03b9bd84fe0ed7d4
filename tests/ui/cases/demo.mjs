// SPDX-License-Identifier: Apache-2.0
// The shop's three faults, each found from the first screen in at most three clicks; the clicks are done.
import { assert, until } from '../lab/test.mjs'
import { fields, mapDrawn } from '../lab/pages.mjs'

const CLICKS = 3

// Follows what the first screen says stands out about this edge; how many clicks until the words are read.
const fault = (sign, words) => async (t) => {
  const world = await t.world('demo')
  const { edge } = await until(async () => {
    const { edges } = await world.api('edges', { from: '-5m' })
    // the agent sees this whole host, and others may be at work on it; while the shop opens more is refused than later
    const share = (e) => e.signs?.[0]?.sign === sign ? e.signs[0].share : -1
    const [edge] = edges.filter((e) => e.client_service.startsWith('shop-') && share(e) > 0).sort((a, b) => share(b) - share(a))
    return edge && { edge }
  }, 45, async () => `an edge shows ${sign}: ${JSON.stringify((await world.api('edges', { from: '-5m' })).edges.map((e) => [e.client_service, e.server_service, e.signs]))}`)
  const page = await t.open(world, '/')
  await mapDrawn(page, 4)
  let clicks = 0
  const item = page.locator('aside.panel a[data-edge]').filter({ hasText: edge.client_service }).filter({ hasText: edge.server_service }).filter({ hasText: words })
  await until(async () => await item.count() > 0, 15, async () => `the first screen says ${edge.client_service} -> ${edge.server_service}: ${await page.locator('aside.panel').innerText()}`)
  await item.first().click()
  clicks++
  await until(async () => words.test(await page.locator('aside.panel .sentences').innerText()), 10, 'the open edge says why')
  await page.getByRole('link', { name: /why/ }).click()
  clicks++
  await until(async () => await page.locator('[data-part="why"]').count() > 0, 10, 'the edge has its page')
  assert.match(await page.locator('[data-part="why"]').innerText(), words)
  assert.ok(clicks <= CLICKS)
  // and the number behind the sentence is there
  const shown = await fields(page, '[data-part="numbers"]')
  assert.ok(Number(shown.attempts) > 0 || Number(shown.c2s_bytes) + Number(shown.s2c_bytes) > 0)
}

// The demo's picture is whole: its services are boxes, by name.
async function shop(t) {
  const world = await t.world('demo')
  const page = await t.open(world, '/')
  await mapDrawn(page, 4)
  const names = await page.locator('svg.map g.node title').allTextContents()
  for (const part of ['web', 'api', 'db', 'cache', 'queue', 'mail']) assert.ok(names.some((n) => n.includes(part)), `${part} among ${names}`)
}

const more = { ms: 150000 }
export const cases = [
  ['shop', shop, more],
  ['port_refuses', fault('refused', /refused/i), more],
  ['server_unreachable', fault('unreachable', /unreachable/i), more],
  ['slow_reader', fault('slow_reader', /reader|reads|window/i), more],
]
