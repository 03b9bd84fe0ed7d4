// SPDX-License-Identifier: Apache-2.0
// The address is the state: reload, back and forward show the same; what is not understood is said.
import { assert, ready, until } from '../lab/test.mjs'
import { everyPage, link, mapDrawn, rangeOf } from '../lab/pages.mjs'

// What is seen, without what ticks.
const seen = (page) => page.evaluate(() => [document.title, location.search, document.querySelector('main').innerText.replace(/[\d.]+\s(s|min|h)\b/g, '')])

async function reload(t) {
  const world = await t.world('still')
  await until(async () => (await world.api('hosts')).hosts.every((h) => !h.reporting), 30, 'this fleet is silent')
  for (const [name, at] of await everyPage(world)) {
    const page = await t.open(world, `${at}&live=0`)
    await page.waitForLoadState('networkidle')
    const before = await seen(page)
    await page.reload()
    await ready(page)
    await until(async () => JSON.stringify(await seen(page)) === JSON.stringify(before), 10, async () =>
      `${name} after a reload: ${JSON.stringify(await seen(page)).slice(0, 600)}\nbefore: ${JSON.stringify(before).slice(0, 600)}`)
    await page.close()
  }
}

async function backAndForward(t) {
  const world = await t.world('still')
  const pages = await everyPage(world)
  const page = await t.open(world, pages[0][1])
  const nav = page.getByRole('navigation', { name: 'Pages' })
  await nav.getByRole('link', { name: 'Services' }).click()
  await ready(page)
  await page.locator('tbody tr[data-key] a').first().click()
  await ready(page)
  const service = page.url()
  assert.match(service, /page=service&/)
  await page.goBack()
  await ready(page)
  assert.match(page.url(), /page=services/)
  assert.match(await page.title(), /Services/)
  await page.goBack()
  await mapDrawn(page)
  await page.goForward()
  await page.goForward()
  await ready(page)
  assert.equal(page.url(), service)
  assert.ok(page.url().includes(`from=${rangeOf(world).from}`), 'the range goes from page to page')
}

async function unknown(t) {
  const world = await t.world('still')
  const page = await t.open(world, '/')
  for (const [query, said] of [
    ['page=nonsense', 'nonsense'], ['page=map&group=nonsense', 'group=nonsense'], ['page=map&range=3fortnights', 'range=3fortnights'],
    ['page=map&from=9&to=3', 'from, to'], ['page=services&nonsense=1', 'nonsense=1'], ['v=99&page=services', 'v=99'],
    ['page=map&range=%3Cimg%20src=x%20onerror=window.skyfallRan=1%3E', '<img'],
  ]) {
    await page.goto(`${world.url}/?${query}`)
    await ready(page)
    const notice = page.locator('.frame-notices [data-notice]')
    await until(async () => (await notice.innerText()).includes(said), 5, async () => `${query} is said: ${await notice.innerText()}`)
    assert.equal(await page.evaluate(() => window.skyfallRan), undefined)
  }
}

// An edge, a service or a host that is not there, a box that is not on the map: said, not blank.
async function nothingThere(t) {
  const world = await t.world('still')
  t.allow(/404/, /answer 400/, /Failed to load resource/)
  const page = await t.open(world, '/')
  for (const query of [{ page: 'edge', id: '0000000000000001' }, { page: 'edge', id: 'nonsense' }, { page: 'edge' }, { page: 'service', service: 'nobody' },
    { page: 'service' }, { page: 'hosts', host: 'nobody' }, { page: 'map', open: 'edge:nothing' }, { page: 'map', focus: 'service:nobody' }]) {
    await page.goto(world.url + link({ ...query, ...rangeOf(world) }))
    await until(async () => (await page.locator('main').innerText()).length > 60, 10, `${JSON.stringify(query)}: something is said`)
    await until(async () => await page.locator('[data-notice="loading"]').count() === 0, 10, `${JSON.stringify(query)}: it does not load for ever`)
  }
}

// Choosing on the page changes the address, and the address alone gives the same page.
async function choices(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'services', ...rangeOf(world) }))
  await page.getByLabel('Top by').selectOption('opened')
  await until(() => page.url().includes('metric=opened'), 5, 'the metric is in the address')
  await until(async () => await page.locator('caption', { hasText: 'connections opened' }).count() > 0, 5, 'the table follows')
  const other = await t.open(world, new URL(page.url()).search.replace(/^/, '/'))
  assert.equal(await other.locator('caption', { hasText: 'connections opened' }).count(), 1)
}

export const cases = [['reload', reload], ['back_and_forward', backAndForward], ['unknown', unknown], ['nothing_there', nothingThere], ['choices', choices]]
