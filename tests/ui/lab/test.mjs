// SPDX-License-Identifier: Apache-2.0
// What a case is given: worlds, and pages that are watched while it looks at them.
import assert from 'node:assert/strict'
import { until } from './wait.mjs'

const LOAD_S = 15

// Runs in the page before its own code.
function watch() {
  window.violations = []
  document.addEventListener('securitypolicyviolation', (e) =>
    window.violations.push(`${e.violatedDirective}: ${e.blockedURI || 'inline'} at ${e.sourceFile}:${e.lineNumber}`))
}

export class Test {
  constructor(worlds, browser) {
    this.worlds = worlds
    this.browser = browser
    this.contexts = []
    this.noise = [] // what a quiet page would not have done
    this.own = []
    this.allowed = [] // patterns of noise that a case makes on purpose
  }

  world(name) {
    return this.worlds.get(name)
  }

  // One that only this case uses.
  async ownWorld(name) {
    const world = await this.worlds.make(name)
    this.own.push(world)
    return world
  }

  allow(...patterns) {
    this.allowed.push(...patterns)
  }

  // Opens an address of a world. opts: width, height, scheme ("light", "dark"), zone, before(page).
  async open(world, at = '/', opts = {}) {
    const browser = await this.browser.get()
    const context = await browser.newContext({
      viewport: { width: opts.width ?? 1280, height: opts.height ?? 800 },
      colorScheme: opts.scheme ?? 'light', reducedMotion: opts.motion ?? 'reduce', locale: 'en-GB', timezoneId: 'Europe/Berlin',
    })
    this.contexts.push(context)
    await context.addInitScript(watch)
    context.setDefaultTimeout(10000)
    const page = await context.newPage()
    this.listen(page, world)
    await opts.before?.(page)
    await page.goto(world.url + at, { waitUntil: 'domcontentloaded' })
    if (!opts.raw) await ready(page)
    return page
  }

  listen(page, world) {
    page.on('console', (m) => {
      if (['error', 'warning'].includes(m.type())) this.noise.push(`console: ${m.text()}`)
    })
    page.on('pageerror', (e) => this.noise.push(`error: ${e.stack ?? e}`))
    page.on('request', (r) => {
      if (!/^(data|blob):/.test(r.url()) && new URL(r.url()).origin !== new URL(world.url).origin) this.noise.push(`foreign request: ${r.url()}`)
    })
    page.on('response', (r) => {
      if (r.status() >= 400) this.noise.push(`answer ${r.status()}: ${r.url()}`)
    })
  }

  // An error when a page was not quiet.
  quiet() {
    const loud = this.noise.filter((text) => !this.allowed.some((pattern) => pattern.test(text)))
    assert.deepEqual(loud.slice(0, 10), [], 'the page was not quiet')
  }

  async close() {
    for (const context of this.contexts) {
      for (const page of context.pages())
        this.noise.push(...await page.evaluate(() => window.violations ?? []).catch(() => []))
      await context.close().catch(() => {})
    }
    for (const world of this.own) await world.close()
  }
}

// Loaded: something of the page stands in main and nothing says that it is still loading.
export async function ready(page) {
  await until(() => page.evaluate(() => {
    const main = document.querySelector('main')
    return main && main.querySelector('h1, h2') && !main.querySelector('[data-notice="loading"]') &&
      (main.querySelector('tbody tr[data-key], [data-field], [data-notice], g.node') !== null)
  }), LOAD_S, async () => `the page shows something: ${(await page.locator('main').innerText().catch(() => 'nothing')).slice(0, 300)}`)
}

export { assert, until }
