// SPDX-License-Identifier: Apache-2.0
// Runs the tests of tests/ui/unit, then the cases of tests/ui/cases: each prints a line `ok N - file.name`, what went wrong
// below it. --unit: only the former, which need no world and no browser.
//
// A case is [name, async (t) => ...]; t is a Test (lab/test.mjs). After each one, whatever it asked for, every page it opened
// must have been quiet: nothing on the console, no violation of the content security policy, no request to another origin.
import fs from 'node:fs'
import path from 'node:path'
import { Test } from './lab/test.mjs'
import { units } from './lab/units.mjs'

const CASE_MS = 60000
const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname)
const folder = path.join(here, 'cases')
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
  return say(number, c.name, error && String(error.stack ?? error), (performance.now() - began) / 1000)
}

function say(number, name, error, seconds) {
  console.log(`${error ? 'not ok' : 'ok'} ${number} - ${name}  # ${seconds.toFixed(1)} s`)
  if (error) for (const line of error.split('\n').slice(0, 24)) console.log(`#   ${line}`)
  return !error
}

const unitOnly = args.includes('--unit')
const unit = () => units(path.join(here, 'unit'))
if (args.includes('--list')) {
  for await (const { name } of unit()) if (name.includes(wanted)) console.log(name)
  if (!unitOnly) for (const c of await load()) console.log(c.name)
  process.exit(0)
}
let stopping = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    stopping = true
  })
let bad = 0
let number = 0

async function runCases() {
  /* only here: it brings a browser, which the tests of the modules do without */
  const { Browser, Worlds } = await import('./lab/worlds.mjs')
  const cases = await load()
  const worlds = new Worlds()
  const browser = new Browser()
  try {
    for (const c of cases) {
      if (stopping) break
      bad += !(await one(c, ++number, worlds, browser))
    }
  } finally {
    await browser.close()
    await worlds.close()
  }
}

/* they take two seconds: -k chooses what counts, not what runs */
for await (const { name, error, seconds } of unit())
  if (name.includes(wanted)) bad += !say(++number, name, error, seconds)
if (!unitOnly) await runCases()
console.log(`1..${number}`)
process.exit(bad || stopping || !number ? 1 : 0)
