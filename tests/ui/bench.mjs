// SPDX-License-Identifier: Apache-2.0
// What ./bench ui measures in a browser, and of the live stream. Lines 'name=value unit'; the rest to stderr. Method and
// goals: docs/performance.md.
import fs from 'node:fs'
import http from 'node:http'
import { Browser, World } from './lab/worlds.mjs'
import { Test } from './lab/test.mjs'
import { link, rangeOf } from './lab/pages.mjs'
import { until } from './lab/wait.mjs'

const quick = process.argv.includes('--quick')
const LOADS = quick ? 3 : 5
const HOVERS = quick ? 15 : 40
const CLIENTS = 200
const CPU_S = quick ? 8 : 20
const LARGE = ['--hosts', '200', '--services', '2000', '--edges', '10000', '--zones', '6']
const STREAM = ['--hosts', '40', '--services', '200', '--edges', '500', '--zones', '6']

const put = (name, value, unit, digits) => console.log(`${name}=${value.toFixed(digits)} ${unit}`)
const note = (text) => console.error(text)
const sorted = (list) => [...list].sort((a, b) => a - b)
const quantile = (list, p) => sorted(list)[Math.min(list.length - 1, Math.floor(list.length * p))]

// Time from the navigation's start to the frame after which boxes of the map or rows of a table are on the screen.
function watchPaint() {
  const look = () => {
    if (document.querySelector('svg.map g.node, main tbody tr[data-key]')) requestAnimationFrame(() => { window.painted = performance.now() })
    else requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}

// Bytes over the network: files of the page, and answers of the API.
async function countBytes(page, sizes) {
  const cdp = await page.context().newCDPSession(page)
  const urls = new Map()
  await cdp.send('Network.enable')
  cdp.on('Network.responseReceived', (e) => urls.set(e.requestId, new URL(e.response.url).pathname))
  cdp.on('Network.loadingFinished', (e) => {
    const path = urls.get(e.requestId) ?? ''
    sizes[path.startsWith('/api/') ? 'data' : 'page'] += e.encodedDataLength
  })
}

async function firstPaint(t, world, at) {
  const times = []
  let sizes
  for (let i = 0; i < LOADS; i++) {
    sizes = { page: 0, data: 0 }
    const page = await t.open(world, at, {
      raw: true,
      before: async (p) => {
        await p.addInitScript(watchPaint)
        await countBytes(p, sizes)
      },
    })
    times.push(await until(() => page.evaluate(() => window.painted), 30, 'something useful is painted'))
    await until(async () => await page.locator('svg.map g.node').count() > 0, 30, 'the map is painted')
    // the pages beside the first are part of what the page loads
    for (const id of ['services', 'hosts', 'doctor']) {
      await page.locator(`header nav a[href*="page=${id}"]`).click()
      await until(async () => await page.locator('main h1').count() > 0, 10, id)
    }
    await page.context().close()
  }
  note(`first paint, ms: ${times.map((n) => n.toFixed(0)).join(' ')}`)
  put('first_paint_ms', quantile(times, 0.5), 'ms', 0)
  put('page_kb', sizes.page / 1000, 'kB', 1)
  put('page_data_kb', sizes.data / 1000, 'kB', 1)
}

// The longest frame of each interaction, by the times between animation frames from just before it until 150 ms after.
async function frames(t, world, at) {
  const page = await t.open(world, at)
  await until(async () => await page.locator('svg.map g.node').count() > 0, 30, 'the map is painted')
  await page.evaluate(() => {
    window.longest = 0
    let last = performance.now()
    const tick = (now) => {
      window.longest = Math.max(window.longest, now - last)
      last = now
      requestAnimationFrame(tick)
    }
    requestAnimationFrame(tick)
  })
  const boxes = await page.locator('svg.map g.node').evaluateAll((list) => list.map((g) => {
    const r = g.getBoundingClientRect()
    return [r.x + r.width / 2, r.y + r.height / 2, r.width]
  }))
  const map = await page.locator('svg.map').boundingBox()
  const inside = boxes.filter(([x, y, w]) => w > 0 && x > map.x && y > map.y && x < map.x + map.width && y < map.y + map.height)
  const measure = async (what) => {
    await page.evaluate(() => { window.longest = 0 })
    await what()
    await page.evaluate(() => new Promise((done) => { setTimeout(done, 150) }))
    return page.evaluate(() => window.longest)
  }
  const found = { hover: [], pan: [], select: [] }
  for (let i = 0; i < HOVERS; i++) {
    const [x, y] = inside[(i * 7) % inside.length]
    found.hover.push(await measure(() => page.mouse.move(x, y)))
  }
  for (let i = 0; i < HOVERS / 5; i++)
    found.pan.push(await measure(async () => {
      await page.mouse.move(map.x + 8, map.y + map.height / 2)
      await page.mouse.down()
      for (let k = 1; k <= 10; k++) await page.mouse.move(map.x + 8 + k * 12 * (i % 2 ? -1 : 1) + 140, map.y + map.height / 2 + k * 4)
      await page.mouse.up()
    }))
  for (let i = 0; i < HOVERS / 3; i++) {
    const box = page.locator('svg.map g.node').nth((i * 11) % boxes.length)
    found.select.push(await measure(() => box.dispatchEvent('click')))
  }
  for (const [kind, list] of Object.entries(found)) note(`frames, ${kind}, ms: ${sorted(list).map((n) => n.toFixed(0)).join(' ')}`)
  put('frame_ms', quantile(Object.values(found).flat(), 0.95), 'ms', 1)
}

// CPU of all threads of a process, s.
function cpu(pid) {
  let ns = 0
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) ns += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'ascii').split(' ')[0])
  return ns / 1e9
}

async function cpuShare(pid) {
  const [before, began] = [cpu(pid), performance.now()]
  await until(() => performance.now() - began >= CPU_S * 1000, CPU_S + 5, 'time to pass')
  return (cpu(pid) - before) / ((performance.now() - began) / 1000) * 100
}

// CPU of skyfall with 200 clients of the stream, less without. A client just reads.
async function stream(world) {
  const { pid } = world.server.process
  await cpuShare(pid) // the first intervals are not like the others
  const without = await cpuShare(pid)
  let events = 0
  const clients = []
  const agent = new http.Agent({ maxSockets: Infinity })
  for (let i = 0; i < CLIENTS; i++)
    clients.push(http.get(`${world.url}/api/v1/stream`, { agent, headers: { accept: 'text/event-stream', 'accept-encoding': 'gzip' } }, (answer) => {
      if (answer.statusCode !== 200) note(`stream: ${answer.statusCode}`)
      answer.on('data', (data) => { events += data.includes('event: delta') })
    }).on('error', () => {}))
  await until(() => events >= 2 * CLIENTS, 30, () => `every client hears: ${events} events`)
  const [began, heard] = [performance.now(), events]
  const withThem = await cpuShare(pid)
  note(`CPU of a core: ${without.toFixed(1)} % without, ${withThem.toFixed(1)} % with ${CLIENTS} clients, ${((events - heard) / CLIENTS / ((performance.now() - began) / 1000)).toFixed(2)} deltas a second each`)
  clients.forEach((c) => c.destroy())
  put('sse_200_cpu_pct', withThem - without, '%', 1)
}

async function main() {
  const browser = new Browser()
  const t = new Test(null, browser)
  const world = new World('bench')
  let second = null
  try {
    world.fleet(...LARGE)
    await world.run('--no-agent', '--inventory', world.inventory)
    await world.gen('--intervals', '3').ended
    await world.settled(60)
    const at = link({ page: 'map', ...rangeOf(world) })
    await firstPaint(t, world, at)
    await frames(t, world, at)
    await t.close()
    await browser.close()
    await world.close()
    second = new World('stream')
    second.fleet(...STREAM)
    await second.run('--no-agent', '--inventory', second.inventory)
    second.gen()
    await until(async () => (await second.api('edges', { limit: 1 })).matched >= 500, 30, 'the fleet is in the API')
    await stream(second)
  } finally {
    await browser.close()
    await world.close()
    await second?.close()
  }
}

await main()
