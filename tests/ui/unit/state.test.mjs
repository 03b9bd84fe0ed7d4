// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { RANGES, VERSION, createState, formatUrl, parseUrl, patched } from '../../../web/js/state.js'
import { Random } from '../lab/random.mjs'

const PAGES = {
  map: { params: { group: { type: 'enum', values: ['service', 'host'], default: 'service' }, limit: { type: 'int', min: 1, max: 5000, default: 150 },
    focus: { type: 'text', default: '' }, table: { type: 'text', max: 20, default: '' } } },
  edge: { params: { id: { type: 'text', default: '' }, all: { type: 'flag', default: false }, table: { type: 'text', default: '' } } },
}
const parse = (search) => parseUrl(search, PAGES, 'map')
const format = (state) => formatUrl(state, PAGES)
const good = (search) => {
  const { state, problems } = parse(search)
  assert.deepEqual(problems, [], search)
  return state
}

test('defaults', () => {
  const defaults = { page: 'map', range: '5m', from: 0, to: 0, live: true, filter: '', group: 'service', limit: 150, focus: '', table: '' }
  for (const search of ['', '?', '?v=1', '?page=map', `?v=${VERSION}&page=map&range=5m&live=1&limit=150`]) assert.deepEqual(good(search), defaults)
  assert.equal(format(defaults), '/?v=1&page=map', 'what equals its default is not written')
})

test('values', () => {
  for (const [search, key, value] of [
    ['?range=7d', 'range', '7d'], ['?live=0', 'live', false], ['?filter=a+b%26c', 'filter', 'a b&c'], ['?limit=1', 'limit', 1], ['?limit=5000', 'limit', 5000],
    ['?limit=007', 'limit', 7], ['?page=edge&all=1', 'all', true], ['?focus=service%3Aweb', 'focus', 'service:web'], ['?table=12345678901234567890', 'table', '12345678901234567890'],
    [`?focus=${'x'.repeat(8192)}`, 'focus', 'x'.repeat(8192)], ['?limit=7&limit=8', 'limit', 8],
  ]) assert.equal(good(search)[key], value, search)
  assert.deepEqual([good('?from=10&to=20').from, good('?from=10&to=20').to], [10, 20])
  assert.deepEqual(Object.values(RANGES).map((s) => s / 60), [5, 15, 60, 360, 1440, 10080])
})

test('bad_values_are_told_and_defaults_used', () => {
  for (const [search, key, value, used] of [
    ['?range=5min', 'range', '5min', '5m'], ['?range=', 'range', '', '5m'], ['?live=yes', 'live', 'yes', '1'], ['?limit=0', 'limit', '0', '150'], ['?limit=5001', 'limit', '5001', '150'],
    ['?limit=1e3', 'limit', '1e3', '150'], ['?limit=1.5', 'limit', '1.5', '150'], ['?limit=-5', 'limit', '-5', '150'], ['?limit=', 'limit', '', '150'], ['?limit=+7', 'limit', ' 7', '150'],
    ['?limit=9999999999999999999', 'limit', '9999999999999999999', '150'], ['?limit=NaN', 'limit', 'NaN', '150'], ['?group=zone', 'group', 'zone', 'service'],
    ['?group=toString', 'group', 'toString', 'service'], ['?table=123456789012345678901', 'table', '123456789012345678901', 'nothing'],
    ['?id=7', 'id', '7', 'not used'], ['?__proto__=7', '__proto__', '7', 'not used'], ['?constructor=7', 'constructor', '7', 'not used'], ['?Range=7d', 'Range', '7d', 'not used'],
    ['?page=nonsense', 'page', 'nonsense', 'map'], ['?page=constructor', 'page', 'constructor', 'map'], ['?page=__proto__', 'page', '__proto__', 'map'], ['?page=', 'page', '', 'map'],
  ]) {
    const { state, problems } = parse(search)
    assert.deepEqual(problems, [{ key, value, used }], search)
    assert.deepEqual(state, good(''), search)
  }
  const { state, problems } = parse('?page=map&range=x&limit=7&focus=a&nonsense=1')
  assert.deepEqual(problems.map((p) => p.key), ['range', 'nonsense'])
  assert.deepEqual([state.range, state.limit, state.focus], ['5m', 7, 'a'], 'the good ones are kept')
})

test('fixed_range', () => {
  for (const search of ['?from=20&to=10', '?from=10&to=10', '?from=10', '?from=9&to=3&range=1h']) {
    const { state, problems } = parse(search)
    assert.equal(problems.length, 1, search)
    assert.equal(problems[0].key, 'from, to')
    assert.equal(problems[0].used, `the last ${state.range}`)
    assert.deepEqual([state.from, state.to], [0, 0])
  }
})

test('another_version_is_left_aside', () => {
  for (const version of ['2', '99', '0', '', '1.0', ' 1']) {
    const { state, problems } = parse(`?v=${encodeURIComponent(version)}&page=edge&live=0&range=7d`)
    assert.deepEqual(problems.map((p) => [p.key, p.value]), [['v', version]])
    assert.deepEqual(state, good(''))
  }
})

test('round_trips', () => {
  for (const link of ['/?v=1&page=map', '/?v=1&page=map&range=1h', '/?v=1&page=map&from=10&to=20&live=0', '/?v=1&page=edge&id=00ff&all=1', '/?v=1&page=map&filter=service%3Dweb+port%3D80&limit=7'])
    assert.equal(format(good(link.slice(1))), link)
  assert.equal(format(good('?limit=7&page=map&live=0&range=7d')), format(good('?range=7d&live=0&limit=7')), 'equal states have equal links')
  const random = new Random(1)
  for (let i = 0; i < 2000; i++) {
    const from = random.below(1e6)
    const state = { ...good(''), range: random.one(Object.keys(RANGES)), live: !random.below(2), filter: random.text(), group: random.one(['service', 'host']),
      limit: 1 + random.below(5000), focus: random.text(), ...random.below(2) ? { from, to: from + 1 + random.below(1e9) } : {} }
    assert.deepEqual(good(format(state).slice(1)), state)
  }
})

test('any_address_is_understood_or_told', () => {
  const random = new Random(2)
  const names = ['v', 'page', 'range', 'from', 'to', 'live', 'filter', 'limit', 'group', 'table', 'id', '']
  for (let i = 0; i < 5000; i++) {
    const search = '?' + Array.from({ length: random.below(6) }, () => `${random.below(3) ? random.one(names) : random.text(4)}=${random.one([random.text(), '1', 'map', 'edge', '5m', String(random.below(99))])}`).join('&')
    const { state } = parse(search)
    assert.deepEqual(good(format(state).slice(1)), state, search)
  }
})

test('patched', () => {
  const map = good('?range=1h&live=0&filter=port%3D80&group=host&table=x&limit=7')
  assert.deepEqual(patched(map, {}, PAGES), map)
  assert.deepEqual(patched(map, { limit: 9, focus: undefined }, PAGES), { ...map, limit: 9 })
  assert.deepEqual(patched(map, { limit: null, group: null }, PAGES), { ...map, limit: 150, group: 'service' }, 'null is the default')
  assert.deepEqual(patched(map, { page: 'edge', id: 'ff' }, PAGES), { page: 'edge', range: '1h', from: 0, to: 0, live: false, filter: 'port=80', id: 'ff', all: false, table: '' },
    'another page keeps the common parameters only, a namesake not')
  assert.deepEqual(patched(map, { page: 'map', limit: 8 }, PAGES), { ...map, limit: 8 }, 'the same page keeps its own')
  assert.equal(map.limit, 7, 'the old state is as it was')
  const fixed = good('?from=10&to=20')
  assert.deepEqual(patched(fixed, { range: '5m' }, PAGES), good(''), 'a range ends from and to')
  assert.equal(patched(fixed, { limit: 7 }, PAGES).to, 20)
  assert.deepEqual(patched(fixed, { range: '1h', from: 30, to: 40 }, PAGES), { ...fixed, range: '1h', from: 30, to: 40 })
  for (const patch of [{ nonsense: 1 }, { id: 'of another page' }, { limit: 0 }, { limit: 1.5 }, { limit: NaN }, { limit: 1e21 }, { range: '2h' }, { live: 2 }, { toString: 1 }, { page: 'nonsense' }, { table: 'x'.repeat(21) }])
    assert.throws(() => patched(map, patch, PAGES), JSON.stringify(patch))
})

// The parts of a window that the state uses.
function makeWindow(search) {
  const win = { location: { search }, log: [], history: {} }
  for (const how of ['pushState', 'replaceState'])
    win.history[how] = (_data, _title, link) => {
      win.location.search = link.slice(1)
      win.log.push([how, link])
    }
  win.addEventListener = (type, listener) => {
    if (type === 'popstate') win.back = (to) => {
      win.location.search = to
      listener()
    }
  }
  return win
}

test('store', () => {
  const win = makeWindow('?limit=7&nonsense=1')
  const store = createState(PAGES, 'map', win)
  let told = 0
  store.subscribe(() => told++)
  assert.equal(store.problems().length, 1)
  assert.equal(store.href({ page: 'edge', id: 'a b' }), '/?v=1&page=edge&id=a+b')
  assert.deepEqual(win.log, [], 'a link changes nothing')
  store.patch({ limit: 7 })
  assert.deepEqual([store.problems(), win.log, told], [[], [['pushState', '/?v=1&page=map&limit=7']], 1], 'a bad address is put right')
  store.patch({ limit: 7 })
  assert.deepEqual([win.log.length, told], [1, 1], 'no change, no entry')
  store.patch({ limit: 8 }, { replace: true })
  assert.deepEqual([win.log[1], told], [['replaceState', '/?v=1&page=map&limit=8'], 2])
  win.back('?page=edge&id=7&x=1')
  assert.deepEqual([store.get().page, store.get().id, store.problems().length, told], ['edge', '7', 1, 3])
  assert.throws(() => store.patch({ limit: 9 }))
  assert.equal(store.get().id, '7', 'after a mistake of ours all is as it was')
})
