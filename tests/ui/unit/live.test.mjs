// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { applied, createLive } from '../../../web/js/live.js'
import { Random } from '../lab/random.mjs'

const E = (id, rest = {}) => ({ id, client_service: 'web', server_service: 'db', c2s_bytes: 1, signs: [], severity: 0, ...rest })
const ids = (edges) => [...edges.keys()].sort().join('')

test('snapshot_and_deltas', () => {
  let edges = applied(new Map([['old', E('old')]]), 'snapshot', { edges: [E('a'), E('b')] })
  assert.equal(ids(edges), 'ab', 'a snapshot is all there is')
  edges = applied(edges, 'delta', { add: [E('c')], update: [{ id: 'a', c2s_bytes: 7 }], remove: ['b'] })
  assert.equal(ids(edges), 'ac')
  assert.deepEqual(edges.get('a'), E('a', { c2s_bytes: 7 }), 'what an update does not name stays')
  edges = applied(edges, 'delta', { update: [E('a', { c2s_bytes: 0, severity: 2 })] })
  assert.deepEqual(edges.get('a'), E('a', { c2s_bytes: 0, severity: 2 }), '0 is a number')
})

test('messages_without_their_parts', () => {
  const edges = new Map([['a', E('a')]])
  assert.equal(ids(applied(edges, 'delta', {})), 'a')
  assert.equal(ids(applied(edges, 'delta', { remove: ['nobody'] })), 'a')
  assert.equal(ids(applied(edges, 'delta', { update: [{ id: 'new', c2s_bytes: 3 }] })), 'anew', 'an update of one not known yet is not lost')
  assert.equal(ids(applied(edges, 'snapshot', {})), '')
})

// Any sequence of changes, sent as the server does, leads to what a snapshot would have said.
test('deltas_add_up_to_a_snapshot', () => {
  const random = new Random(13)
  let truth = new Map()
  let edges = applied(new Map(), 'snapshot', { edges: [] })
  for (let step = 0; step < 500; step++) {
    const next = new Map()
    for (let i = 0; i < 30; i++) {
      const id = `e${i}`
      if (random.below(3)) next.set(id, truth.has(id) && random.below(2) ? truth.get(id) : E(id, { c2s_bytes: random.below(5) }))
    }
    const delta = { add: [], update: [], remove: [...truth.keys()].filter((id) => !next.has(id)) }
    for (const [id, edge] of next) {
      if (!truth.has(id)) delta.add.push(edge)
      else if (truth.get(id) !== edge) delta.update.push(edge)
    }
    edges = applied(edges, 'delta', JSON.parse(JSON.stringify(delta)))
    truth = next
    const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    assert.deepEqual(sorted(edges), sorted(applied(new Map(), 'snapshot', { edges: [...truth.values()] })))
  }
})

// The parts of a browser the stream uses, with a clock that is turned by hand.
function browser() {
  const b = { now: 0, timers: new Map(), sources: [], next: 1, visible: () => {} }
  class Source {
    constructor(url) {
      Object.assign(this, { url, readyState: 0, on: {} })
      b.sources.push(this)
    }

    addEventListener(type, listener) { this.on[type] = listener }

    close() { this.readyState = 2 }

    say(type, data) {
      this.readyState = 1
      this.on[type]({ data: typeof data === 'string' ? data : JSON.stringify(data) })
    }

    fail(state) {
      this.readyState = state
      this.on.error()
    }
  }
  Source.CLOSED = 2
  b.pass = (ms) => {
    const end = b.now + ms
    for (;;) {
      const [id, timer] = [...b.timers].filter(([, t]) => t.at <= end).sort((p, q) => p[1].at - q[1].at)[0] ?? []
      if (!timer) break
      b.timers.delete(id)
      b.now = timer.at
      timer.run()
    }
    b.now = end
  }
  b.open = () => b.sources.filter((source) => source.readyState !== 2).length
  b.document = { visibilityState: 'visible', addEventListener: (_type, listener) => { b.visible = (state) => {
    b.document.visibilityState = state
    listener()
  } } }
  const names = { window: { setTimeout: (run, ms) => {
    b.timers.set(b.next, { at: b.now + ms, run })
    return b.next++
  } }, document: b.document, EventSource: Source, clearTimeout: (id) => b.timers.delete(id) }
  b.put = (t) => {
    for (const [name, value] of Object.entries(names)) {
      const old = Object.getOwnPropertyDescriptor(globalThis, name)
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
      t.after(() => (old ? Object.defineProperty(globalThis, name, old) : delete globalThis[name]))
    }
  }
  return b
}

const MESSAGE = { interval: 100, interval_s: 10, edges: [E('a')], totals: { bytes: 5 } }

test('stream_opens_while_somebody_listens', (t) => {
  const b = browser()
  b.put(t)
  const live = createLive('/api/v1/stream')
  assert.deepEqual([live.state(), b.open(), live.newest()], ['off', 0, null])
  const seen = []
  const end = live.subscribe((event) => seen.push(event.type))
  const end2 = live.subscribe(() => {})
  assert.deepEqual([live.state(), b.open(), b.sources[0].url], ['connecting', 1, '/api/v1/stream'], 'one stream for all')
  b.sources[0].say('snapshot', MESSAGE)
  assert.deepEqual([live.state(), live.newest().interval, live.newest().totals, ids(live.edges())], ['connected', 100, { bytes: 5 }, 'a'])
  b.sources[0].say('delta', { interval: 110, interval_s: 10, remove: ['a'] })
  assert.deepEqual([live.newest().interval, live.newest().totals, live.edges().size], [110, {}, 0])
  assert.deepEqual(seen, ['state', 'state', 'snapshot', 'delta'])
  b.visible('hidden')
  assert.deepEqual([live.state(), b.open()], ['off', 0], 'not while nobody looks')
  b.visible('visible')
  assert.deepEqual([live.state(), b.open()], ['connecting', 1])
  live.turn(false)
  assert.equal(b.open(), 0)
  live.turn(true)
  end()
  assert.equal(b.open(), 1)
  end2()
  assert.deepEqual([live.state(), b.open(), b.timers.size], ['off', 0, 0])
})

test('stream_is_stale_when_it_says_nothing', (t) => {
  const b = browser()
  b.put(t)
  const live = createLive('/s')
  live.subscribe(() => {})
  b.sources[0].say('snapshot', MESSAGE)
  b.pass(29000)
  assert.equal(live.state(), 'connected', 'three intervals')
  b.pass(2000)
  assert.equal(live.state(), 'stale')
  b.sources[0].say('delta', { interval: 140, interval_s: 1 })
  assert.equal(live.state(), 'connected')
  b.pass(9000)
  assert.equal(live.state(), 'connected', 'short intervals: ten seconds')
  b.pass(2000)
  assert.equal(live.state(), 'stale')
  assert.equal(b.sources.length, 1, 'it is still the same stream')
})

test('stream_is_tried_again_with_growing_pauses', (t) => {
  const b = browser()
  b.put(t)
  const live = createLive('/s')
  live.subscribe(() => {})
  b.sources[0].fail(0)
  assert.deepEqual([live.state(), b.sources.length], ['retry', 1], 'the browser tries again itself')
  b.sources[0].say('snapshot', MESSAGE)
  assert.equal(live.state(), 'connected')
  for (const pause of [1000, 2000, 4000, 8000, 16000, 30000, 30000]) {
    const before = b.sources.length
    b.sources[before - 1].fail(2)
    assert.equal(live.state(), 'retry')
    b.pass(pause - 1)
    assert.equal(b.sources.length, before, `not before ${pause} ms`)
    b.pass(1)
    assert.deepEqual([b.sources.length, b.open(), live.state()], [before + 1, 1, 'connecting'])
  }
  b.sources[b.sources.length - 1].say('snapshot', MESSAGE)
  b.sources[b.sources.length - 1].fail(2)
  b.pass(1000)
  assert.equal(b.open(), 1, 'after a message the pauses are short again')
})

test('stream_begins_anew_after_a_reset_or_a_broken_message', (t) => {
  const b = browser()
  b.put(t)
  const live = createLive('/s')
  live.subscribe(() => {})
  b.sources[0].say('snapshot', MESSAGE)
  b.sources[0].say('reset', '{}')
  assert.deepEqual([live.state(), b.open()], ['retry', 0])
  b.pass(1000)
  b.sources[1].say('snapshot', '{"interval":')
  assert.deepEqual([live.state(), b.open(), ids(live.edges())], ['retry', 0, 'a'], 'what is shown stays')
  b.visible('hidden')
  b.pass(60000)
  assert.equal(b.open(), 0, 'no try for nobody')
})
