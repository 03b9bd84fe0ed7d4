// SPDX-License-Identifier: Apache-2.0
// Numbers on the screen are the API's, and the API's are what was sent.
import { assert, until } from '../lab/test.mjs'
import { at, columns, fields, link, mapDrawn, rangeOf, rows } from '../lab/pages.mjs'

// Every field the page shows is the API's: names to values; what the API leaves out is 0 or not known.
function same(shown, answer, names) {
  let n = 0
  for (const name of names(Object.keys(shown))) {
    const want = at(answer, name)
    if (shown[name] === '') assert.ok(want === undefined || want === null, `${name}: not known on the page, ${want} in the API`)
    else assert.equal(Number(shown[name]), Number(want ?? 0), name)
    n++
  }
  return n
}

async function map(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const graph = await world.api('graph', { ...range, layout: 'none' })
  const page = await t.open(world, link({ page: 'map', ...range }))
  await mapDrawn(page, graph.nodes.length)
  const stat = await page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-stat]')].map((e) =>
    [e.dataset.stat, (e.matches('[data-value]') ? e : e.querySelector('[data-value]'))?.dataset.value])))
  const c = graph.completeness
  assert.deepEqual({ edges: stat.edges, nodes: stat.nodes, signs: stat.signs, agents: stat.agents, lost: stat.lost },
    { edges: String(graph.matched.edges), nodes: String(graph.matched.nodes), signs: String(graph.matched.signs), agents: String(c.hosts_reporting), lost: String(c.rows_lost) })
  assert.equal(Number(stat.both), c.both / c.edges)
  assert.equal(await page.locator('svg.map g.node').count(), graph.nodes.length)
  assert.equal(await page.locator('svg.map g.edge').count(), graph.edges.length)
  assert.ok(await page.locator('svg.map g.edge.one-sided').count() > 0, 'edges with one observer are drawn otherwise')
}

async function mapTable(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const { edges } = await world.api('graph', { ...range, layout: 'none' })
  const page = await t.open(world, link({ page: 'map', ...range }))
  await until(async () => Object.keys((await rows(page, 'Edges')) ?? {}).length === edges.length, 10, 'the table has all edges')
  const shown = await rows(page, 'Edges')
  const names = await columns(page, 'Edges')
  const cell = (e, label) => shown[e.id][names.indexOf(label)]
  for (const e of edges) {
    assert.equal(Number(cell(e, 'c2s')), e.derived.c2s_bytes, `${e.id} c2s`)
    assert.equal(Number(cell(e, 's2c')), e.derived.s2c_bytes, `${e.id} s2c`)
    assert.equal(Number(cell(e, 'failed')), e.derived.failed ?? 0, `${e.id} failed`)
    assert.equal(Number(cell(e, 'port')), e.ports[0], `${e.id} port`)
  }
}

async function services(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const answer = await world.api('services', { ...range, limit: 1000 })
  const page = await t.open(world, link({ page: 'services', ...range }))
  const shown = await rows(page, 'Services by')
  assert.equal(Object.keys(shown).length, Math.min(answer.services.length, 200))
  for (const s of answer.services) {
    const bytes = (s.as_client?.derived?.bytes ?? 0) + (s.as_server?.derived?.bytes ?? 0)
    assert.equal(Number(shown[s.service][1]), bytes, s.service)
  }
}

// The filter in the address is the one of the answer, and can be changed there.
async function servicesFilter(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const { services: all } = await world.api('services', { ...range, limit: 1000 })
  const port = Math.min(...[...world.truth().edges.values()].map((e) => e.line.port))
  const answer = await world.api('services', { ...range, port, limit: 1000 })
  assert.ok(answer.services.length < all.length)
  const page = await t.open(world, link({ page: 'services', filter: `port=${port}`, ...range }))
  assert.deepEqual(Object.keys(await rows(page, 'Services by')).sort(), answer.services.map((s) => s.service).sort())
  const field = page.getByRole('combobox', { name: 'Filter', exact: true })
  assert.equal(await field.inputValue(), `port=${port}`)
  await field.fill('')
  await field.press('Enter')
  await until(async () => Object.keys(await rows(page, 'Services by')).length === Math.min(all.length, 200), 10, 'all services without a filter')
  await page.goto(world.url + link({ page: 'services', filter: 'zone=nobody-is-there client=x', ...range }))
  for (const said of ['No service passes the filter', 'Not used on this page: client'])
    await until(async () => (await page.locator('main').innerText()).includes(said), 10, said)
}

async function service(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const { services: [first] } = await world.api('services', { ...range, limit: 1 })
  const answer = await world.api(`services/${encodeURIComponent(first.service)}`, range)
  const page = await t.open(world, link({ page: 'service', service: first.service, ...range }))
  const shown = await fields(page)
  let n = 0
  for (const side of ['as_client', 'as_server']) {
    const sums = answer[side] ?? first[side]
    for (const name of ['bytes', 'c2s_bytes', 's2c_bytes', 'attempts', 'opened', 'failed']) {
      if (shown[`${side}.${name}`] === undefined || shown[`${side}.${name}`] === '') continue
      assert.equal(Number(shown[`${side}.${name}`]), sums.derived[name] ?? 0, `${side}.${name}`)
      n++
    }
  }
  assert.ok(n >= 5, `few numbers: ${JSON.stringify(shown)}`)
}

async function edge(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const { edges } = world.truth()
  for (const kind of ['both', 'client', 'server']) {
    const [id, { line, sums }] = [...edges].find(([, e]) => e.line.observed_by === kind)
    const answer = await world.api(`edges/${id}`, range)
    const page = await t.open(world, link({ page: 'edge', id, ...range }))
    await until(async () => await page.locator('[data-part="numbers"]').count() > 0, 10, 'the numbers are there')
    const shown = await fields(page, '[data-part="numbers"]')
    const n = same(shown, answer.edge.derived, (all) => all.filter((f) => f in answer.edge.derived))
    assert.ok(n >= 6, `few numbers of ${line.client_service}: ${JSON.stringify(shown)}`)
    // and the truth of what was sent, past the API
    const view = kind === 'server' ? 'server' : 'client'
    assert.equal(Number(shown.c2s_bytes), sums[`${view}_c2s_bytes`])
    assert.equal(Number(shown.opened), sums[`${view}_opened`])
  }
}

async function edgeViews(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const [id, { sums }] = [...world.truth().edges].find(([, e]) => e.line.observed_by === 'both' && e.sums.client_failed_refused)
  const page = await t.open(world, link({ page: 'edge', id, ...range }))
  const shown = await fields(page, '[data-part="views"]')
  let n = 0
  for (const [name, value] of Object.entries(sums)) {
    const field = name.replace('_', '.')
    if (!(field in shown) || name.includes('turn_')) continue // turns are shown as shares
    assert.equal(Number(shown[field]), value, name)
    n++
  }
  assert.ok(n >= 8, `few sums of both views on the page: ${Object.keys(shown)}`)
  assert.equal(Number((await fields(page, '[data-part="failures"]'))['failed_by.refused']), sums.client_failed_refused)
}

async function hosts(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'hosts' }))
  const answer = await world.api('hosts')
  assert.equal(answer.hosts.length, 12)
  const shown = await rows(page, 'Agents')
  assert.deepEqual(Object.keys(shown).sort(), answer.hosts.map((h) => h.id).sort())
  assert.equal((await fields(page)).known, '12')
}

async function doctor(t) {
  const world = await t.world('still')
  const range = rangeOf(world)
  const answer = await world.api('health', range)
  assert.equal(answer.adds_up, true)
  const page = await t.open(world, link({ page: 'doctor', ...range }))
  const shown = await fields(page)
  assert.equal(Number(shown['agents.known']), answer.agents.known)
  const names = await columns(page, 'chain')
  const hops = Object.values((await rows(page, 'chain')) ?? {})
  assert.equal(hops.length, answer.chain.length, 'the hops have their table')
  answer.chain.forEach((hop, i) => {
    assert.equal(Number(hops[i][names.indexOf('lost')]), hop.lost_total, `lost at ${i}`)
    assert.equal(Number(hops[i][names.indexOf('missing')]), hop.missing, `missing at ${i}`)
  })
}

// A table's CSV holds the same rows.
async function csv(t) {
  const world = await t.world('still')
  const page = await t.open(world, link({ page: 'services', ...rangeOf(world) }))
  const href = await page.getByRole('link', { name: 'CSV' }).first().getAttribute('href')
  const answer = await fetch(new URL(href, world.url))
  assert.match(answer.headers.get('content-type'), /csv/)
  const lines = (await answer.text()).trim().split(/\r?\n/)
  assert.equal(lines.length - 1, Object.keys(await rows(page, 'Services by')).length)
}

export const cases = [
  ['map', map], ['map_table', mapTable], ['services', services], ['services_filter', servicesFilter], ['service', service], ['edge', edge],
  ['edge_views', edgeViews], ['hosts', hosts], ['doctor', doctor], ['csv', csv],
]
