// SPDX-License-Identifier: Apache-2.0
// Names that nobody should have: shown as they are, never run; and what the server says to browsers.
import { assert, until } from '../lab/test.mjs'
import { everyPage, link, rangeOf } from '../lab/pages.mjs'

// No name ran, made elements of its own, or broke the page.
async function harmless(page, what) {
  assert.equal(await page.evaluate(() => window.skyfallRan), undefined, `${what}: a name was run`)
  const made = await page.evaluate(() => [...document.querySelectorAll('main img, main script, main iframe, main [onload], main [onerror], [onclick]')].map((e) => e.outerHTML.slice(0, 100)))
  assert.deepEqual(made, [], `${what}: a name became markup`)
  const links = await page.evaluate(() => [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href')).filter((h) => !/^(\/|#)/.test(h) || h.startsWith('//')))
  assert.deepEqual(links, [], `${what}: a name became a link`)
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth > 0), false, `${what}: wider than the screen`)
}

async function everywhere(t) {
  const world = await t.world('odd')
  for (const [name, at] of await everyPage(world)) {
    const page = await t.open(world, `${at}&live=0`) // the open stream would keep the network from ever being idle
    await page.waitForLoadState('networkidle')
    await harmless(page, name)
    await page.close()
  }
}

// Each odd service has a page of its own, reached by its row, and its name is on it.
async function services(t) {
  const world = await t.world('odd')
  const { services: all } = await world.api('services', { ...rangeOf(world), limit: 1000 })
  const odd = all.filter((s) => /[<>"'&{};:\\ ]|[^\x20-\x7e]|.{100}/.test(s.service) && !s.service.startsWith('unknown:') && !s.service.startsWith('host:'))
  assert.ok(odd.length >= 12, `there are ${odd.length}`)
  const page = await t.open(world, link({ page: 'services', ...rangeOf(world) }))
  await until(async () => await page.locator('tbody tr[data-key]').count() >= odd.length, 10, 'the table')
  for (const s of odd) {
    const row = await page.evaluate((key) => [...document.querySelectorAll('tbody tr[data-key]')].find((tr) => tr.dataset.key === key)?.querySelector('a')?.getAttribute('href') ?? null, s.service)
    assert.ok(row, `${s.service.slice(0, 60)} is in the table, with a link`)
    assert.equal(new URL(row, world.url).searchParams.get('service'), s.service)
  }
  const one = page
  for (const s of odd) {
    await one.goto(world.url + link({ page: 'service', service: s.service, ...rangeOf(world) }))
    await until(async () => await one.locator('[data-field]').count() > 3, 10, `the page of ${s.service.slice(0, 60)}`)
    const shown = await one.locator('main').innerText()
    const part = s.service.replace(/[\u202a-\u202e]/g, '\ufffd').trim().slice(0, 20)
    assert.ok(shown.replace(/\s+/g, ' ').includes(part.replace(/\s+/g, ' ')), `${part} is on its page: ${shown.slice(0, 200)}`)
    await harmless(one, s.service.slice(0, 40))
  }
}

// The names reach what is not the page, too: CSV, DOT, Mermaid, SVG.
async function pictures(t) {
  const world = await t.world('odd')
  const query = new URLSearchParams(rangeOf(world))
  const svg = await fetch(`${world.url}/api/v1/graph?format=svg&${query}`)
  assert.equal(svg.status, 200)
  const text = await svg.text()
  assert.doesNotMatch(text, /<(img|script|foreignObject)|<svg\/onload/i)
  const page = await t.open(world, '/api/v1/graph?format=svg&' + query, { raw: true })
  await page.waitForLoadState('load')
  assert.equal(await page.evaluate(() => window.skyfallRan), undefined)
  assert.ok(await page.evaluate(() => document.documentElement.nodeName === 'svg' && !document.querySelector('parsererror')), 'it is SVG that a browser reads')
  for (const format of ['dot', 'mermaid', 'csv']) assert.equal((await fetch(`${world.url}/api/v1/graph?format=${format}&${query}`)).status, 200, format)
}

async function headers(t) {
  const world = await t.world('odd')
  const answer = await fetch(world.url)
  const csp = answer.headers.get('content-security-policy')
  assert.match(csp, /default-src 'none'/)
  assert.doesNotMatch(csp, /unsafe|\*|https?:/)
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  const html = await answer.text()
  const asset = /\/assets\/[^"]+\.js/.exec(html)[0]
  const first = await fetch(world.url + asset)
  assert.match(first.headers.get('cache-control'), /immutable/)
  const again = await fetch(world.url + asset, { headers: { 'If-None-Match': first.headers.get('etag') } })
  assert.equal(again.status, 304)
  assert.equal((await fetch(`${world.url}/assets/nothing.js`)).status, 404)
}

// The policy is not only said: an inline script and a foreign picture are refused, and this test would see it.
async function policyHolds(t) {
  const world = await t.world('odd')
  t.allow(/Content Security Policy/, /script-src|img-src/, /foreign request: http:\/\/192\.0\.2\.1/)
  const page = await t.open(world, '/')
  await page.evaluate(() => {
    const script = document.createElement('script')
    script.textContent = 'window.skyfallRan = 1'
    document.body.append(script)
    const picture = document.createElement('img')
    picture.src = 'http://192.0.2.1/x.png'
    document.body.append(picture)
  })
  await until(() => page.evaluate(() => window.violations.length >= 2), 5, 'both are refused')
  assert.equal(await page.evaluate(() => window.skyfallRan), undefined)
}

export const cases = [['everywhere', everywhere], ['services', services], ['pictures', pictures], ['headers', headers], ['policy_holds', policyHolds]]
