// SPDX-License-Identifier: Apache-2.0
// Runs the cases of tests/ui/cases: each prints a line `ok N - file.name`, what went wrong below it.
//
// A case is [name, async (t) => ...]; t is a Test (lab/test.mjs). After each one, whatever it asked for, every page it opened
// must have been quiet: nothing on the console, no violation of the content security policy, no request to another origin.
import fs from 'node:fs'
import path from 'node:path'
import { Browser, Worlds } from './lab/worlds.mjs'
import { Test } from './lab/test.mjs'

const CASE_MS = 60000
const folder = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), 'cases')
const args = process.argv.slice(2)
const wanted = args.includes('-k') ? args[args.indexOf('-k') + 1] : ''

async function load() {
  const all = []
  for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.mjs')).sort()) {
    const { cases } = await import(path.join(folder, file))
    for (const [name, run, opts] of cases) all.push({ name: `${file.replace('.mjs', '')}.${name}`, run, ...opts })
  }
  return all.filter((c) => c.name.includes(wanted))
}

function withDeadline(promise, ms) {
  let timer
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`not done within ${ms / 1000} s`)), ms) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function one(c, number, worlds, browser) {
  const t = new Test(worlds, browser)
  const began = performance.now()
  let error = null
  try {
    await withDeadline(c.run(t), c.ms ?? CASE_MS)
  } catch (e) {
    error = e
  }
  await t.close()
  try {
    t.quiet()
  } catch (e) {
    error ??= e
  }
  console.log(`${error ? 'not ok' : 'ok'} ${number} - ${c.name}  # ${((performance.now() - began) / 1000).toFixed(1)} s`)
  if (error) for (const line of String(error.stack ?? error).split('\n').slice(0, 24)) console.log(`#   ${line}`)
  return !error
}

const cases = await load()
if (args.includes('--list')) {
  for (const c of cases) console.log(c.name)
  process.exit(0)
}
const worlds = new Worlds()
const browser = new Browser()
let stopping = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    stopping = true
  })
let bad = 0
let number = 0
try {
  for (const c of cases) {
    if (stopping) break
    bad += !(await one(c, ++number, worlds, browser))
  }
} finally {
  await browser.close()
  await worlds.close()
}
console.log(`1..${number}`)
process.exit(bad || stopping || !number ? 1 : 0)
