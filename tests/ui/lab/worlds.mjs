// SPDX-License-Identifier: Apache-2.0
// What the page looks at: `skyfall run` on free ports with data of known truth, started when a case first asks for it and
// kept for those after it. And the browser.
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { until } from './wait.mjs'

export const BUILD = process.env.SKYFALL_BUILD
const require = createRequire(path.join(process.env.SKYFALL_UI_NPM, 'package.json'))
export const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const { chromium } = require('playwright-core')

const SKYFALL = path.join(BUILD, 'cli/skyfall')
const GEN = path.join(BUILD, 'tools/skyfall-gen')
const START_S = 20

export class Browser {
  async get() {
    this.browser ??= await chromium.launch({
      executablePath: ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((f) => fs.existsSync(f)),
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
    })
    return this.browser
  }

  async close() {
    await this.browser?.close()
  }
}

// A child that is stopped in order, and whose words are kept.
class Program {
  constructor(words) {
    this.words = words
    this.said = ''
    this.process = spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stderr.on('data', (data) => { this.said = (this.said + data).slice(-4000) })
    this.lines = readline.createInterface({ input: this.process.stdout })
    this.ended = new Promise((done) => { this.process.on('exit', (code) => { this.code = code; done(code) }) })
    this.ended.then(() => { this.over = true })
  }

  first() {
    return new Promise((done, no) => {
      this.lines.once('line', done)
      this.ended.then((code) => no(new Error(`${this.words.join(' ')} ended (${code}): ${this.said}`)))
    })
  }

  async stop(signal = 'SIGINT') {
    if (this.over) return this.code
    this.process.kill(signal)
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 20000)
    const code = await this.ended
    clearTimeout(timer)
    return code
  }
}

// One `skyfall run`.
export class World {
  constructor(name) {
    this.name = name
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), `skyfall-ui-${name}-`))
    this.programs = []
  }

  async run(...options) {
    const listen = this.port ? `127.0.0.1:${this.port}` : '127.0.0.1:0'
    const sflow = this.sflow ? `127.0.0.1:${this.sflow}` : '127.0.0.1:0'
    this.options = options
    this.server = new Program([SKYFALL, 'run', '--json', '--data', path.join(this.folder, 'data'), '--listen', listen,
      '--sflow', sflow, ...options])
    const block = JSON.parse(await this.server.first())
    this.url = block.api
    this.port = new URL(block.api).port
    this.sflow = block.sflow_port
    await until(async () => (await fetch(`${this.url}/readyz`)).ok, START_S, `${this.name}: the API answers`)
    return this
  }

  async kill() {
    await this.server.stop('SIGKILL')
  }

  // The same place again: same port, same data.
  again() {
    return this.run(...this.options)
  }

  // skyfall-gen's words for this world's fleet. The inventory has to be there before the server starts.
  fleet(...words) {
    this.inventory = path.join(this.folder, 'zones.yaml')
    this.fleetWords = [...words, '--inventory', this.inventory, '--quiet']
    const done = spawnSync(GEN, [...this.fleetWords, '--intervals', '0'], { encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`skyfall-gen: ${done.stderr ?? done.error}`)
    return this
  }

  // Starts sending; the truth is in this.truth(). Without --intervals until the end.
  gen(...words) {
    this.truthFile = path.join(this.folder, 'truth')
    const gen = new Program([GEN, ...this.fleetWords, '--collector', `127.0.0.1:${this.sflow}`, '--truth', this.truthFile, ...words])
    this.programs.push(gen)
    return gen
  }

  // A second fleet beside it, until the end.
  another(...words) {
    const gen = new Program([GEN, ...words, '--collector', `127.0.0.1:${this.sflow}`, '--inventory', this.inventory, '--quiet'])
    this.programs.push(gen)
    return gen
  }

  // {edges: {id: {line, sums}}, from, to} of what was sent in whole lines so far.
  truth() {
    const size = fs.existsSync(this.truthFile) ? fs.statSync(this.truthFile).size : 0
    if (this.truthKept?.size !== size) this.truthKept = { size, ...this.readTruth() }
    return this.truthKept
  }

  readTruth() {
    const edges = new Map()
    let from = Infinity
    let to = 0
    const text = fs.existsSync(this.truthFile) ? fs.readFileSync(this.truthFile, 'utf8') : ''
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter(Boolean)) {
      const o = JSON.parse(line)
      from = Math.min(from, o.interval)
      to = Math.max(to, o.interval + o.interval_s)
      if (!edges.has(o.id)) edges.set(o.id, { line: o, sums: {} })
      const { sums } = edges.get(o.id)
      for (const [name, n] of Object.entries(o.sums)) sums[name] = (sums[name] ?? 0) + n
    }
    return { edges, from, to }
  }

  async api(at, query = {}) {
    const url = new URL(`/api/v1/${at}`, this.url)
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
    const answer = await fetch(url, { signal: AbortSignal.timeout(15000) })
    if (!answer.ok) throw new Error(`${url.pathname}${url.search}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }

  // Waits until all of the truth is in the API. {edges, from, to}
  async settled(seconds = 20) {
    const truth = this.truth()
    const rows = [...truth.edges.values()].reduce((n, e) => n + (e.sums.client_rows ?? 0) + (e.sums.server_rows ?? 0), 0)
    await until(async () => {
      const { edges } = await this.api('edges', { from: truth.from, to: truth.to, limit: 10000 })
      return edges.reduce((n, e) => n + (e.client_rows ?? 0) + (e.server_rows ?? 0), 0) === rows
    }, seconds, `${this.name}: the API has all ${rows} rows`)
    return truth
  }

  async close() {
    for (const program of this.programs) await program.stop('SIGTERM')
    await this.server?.stop()
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}

const SMALL = ['--hosts', '12', '--services', '40', '--edges', '120', '--zones', '6']

// What there is to look at.
const MAKE = {
  // A fleet that was: 10 intervals, then silence. Nothing in a fixed range changes any more.
  async still(world) {
    await world.fleet(...SMALL).run('--no-agent', '--inventory', world.inventory)
    const code = await world.gen('--intervals', '4', '--past', '6').ended
    if (code !== 0) throw new Error(`skyfall-gen ended with ${code}`)
    await world.settled()
  },
  // A fleet that goes on.
  async moving(world) {
    await world.fleet(...SMALL, '--seed', '2').run('--no-agent', '--inventory', world.inventory)
    world.gen('--past', '6')
    await until(async () => (await world.api('edges', { limit: 1 })).matched >= 120, 30, 'the fleet is in the API')
  },
  async odd(world) {
    await world.fleet(...SMALL, '--odd-names').run('--no-agent', '--inventory', world.inventory)
    await world.gen('--intervals', '3').ended
    await world.settled()
  },
  async empty(world) {
    await world.run('--no-agent')
  },
  // The shop with its three faults, as a person would start it.
  async demo(world) {
    await world.run('--demo')
    await until(async () => {
      const { edges } = await world.api('edges', { from: '-1m' })
      const by = edges.flatMap((e) => Object.keys(e.derived.failed_by ?? {}))
      return by.includes('refused') && by.includes('unreachable')
    }, 60, async () => `the shop's faults show: ${JSON.stringify((await world.api('edges', { from: '-1m' })).edges.map((e) => [e.client_service, e.server_service, e.derived.failed_by]))}`)
  },
}

export class Worlds {
  constructor() {
    this.made = new Map()
  }

  // A shared one.
  get(name) {
    if (!this.made.has(name)) this.made.set(name, this.make(name))
    return this.made.get(name)
  }

  async make(name) {
    const world = new World(name)
    try {
      await MAKE[name](world)
    } catch (e) {
      const said = world.server?.said
      await world.close()
      throw new Error(`world ${name}: ${e.message ?? e}${said ? `\n${said}` : ''}`)
    }
    return world
  }

  async close() {
    for (const made of this.made.values()) {
      const world = await made.catch(() => null)
      await world?.close()
    }
  }
}
