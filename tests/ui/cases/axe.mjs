// SPDX-License-Identifier: Apache-2.0
// axe-core finds nothing on any page, in both themes; pictures of all pages at three sizes.
import fs from 'node:fs'
import path from 'node:path'
import { assert } from '../lab/test.mjs'
import { everyPage } from '../lab/pages.mjs'
import { axe as source, BUILD } from '../lab/worlds.mjs'

const SIZES = [[400, 800], [1280, 800], [2560, 1440]]
const PICTURES = path.join(BUILD, 'ui')
const NAMES = ['map', 'services', 'service', 'edge', 'hosts', 'host', 'doctor']

async function find(page) {
  await page.evaluate(source)
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  return violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).join('; ')}`)
}

const check = (name) => async (t) => {
  const world = await t.world('still')
  const [, at] = (await everyPage(world)).find(([n]) => n === name)
  const page = await t.open(world, at)
  assert.deepEqual(await find(page), [], 'light')
  await page.emulateMedia({ colorScheme: 'dark' })
  assert.deepEqual(await find(page), [], 'dark')
}

// Sideways scrolling is a mistake at every width.
const shoot = (name) => async (t) => {
  const world = await t.world('still')
  const [, at] = (await everyPage(world)).find(([n]) => n === name)
  fs.mkdirSync(PICTURES, { recursive: true })
  const wide = []
  for (const [width, height] of SIZES) {
    const page = await t.open(world, at, { width, height })
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme })
      await page.screenshot({ path: path.join(PICTURES, `${name}-${width}-${scheme}.png`) })
    }
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    if (over > 0) wide.push(`${width}: ${over} px too wide`)
    await page.close()
  }
  assert.deepEqual(wide, [])
}

export const cases = [
  ...NAMES.map((name) => [name, check(name)]),
  ...NAMES.map((name) => [`picture_${name}`, shoot(name)]),
]
