// SPDX-License-Identifier: Apache-2.0
// The stream's numbers beside the graph's answer, and the order of the rows under the map.
import assert from 'node:assert/strict'
import test from 'node:test'
import { applied } from '../../../web/js/live.js'
import { COLUMNS, worstFirst } from '../../../web/js/map/columns.js'
import { VIEW_ROWS } from '../../../web/js/map/views.js'
import { liveNumbers } from '../../../web/js/pages/map.js'
import { arranged } from '../../../web/js/table_view.js'
import { edge } from '../lab/graphs.mjs'

const E = (id, client_service, server_service, c2s_bytes, s2c_bytes, opened) => ({ id, client_service, server_service, c2s_bytes, s2c_bytes, opened })
const EDGES = applied(new Map(), 'snapshot', { edges: [E('1', 'web', 'db', 100, 900, 20), E('2', 'web', 'db', 50, 0, 0), E('3', 'api', 'db', 0, 0, 0), { id: '4', client_service: 'a', server_service: 'b' }] })
const context = ({ edges = EDGES, newest = { interval: 100, interval_s: 10 }, ...state } = {}) =>
  ({ live: { edges: () => edges, newest: () => newest }, state: () => ({ live: true, from: 0, group: 'service', ...state }) })
const group = edge('g', 'service:web', 'service:db', { kind: 'group', edge: undefined, client_service: 'web', server_service: 'db' })

test('numbers_of_the_newest_interval', () => {
  const now = liveNumbers(context())
  assert.deepEqual(now(edge('x', 'a', 'b', { edge: '1' })), { bytes_s: 100, opens_s: 2 }, 'one edge by its id')
  assert.deepEqual(now(edge('x', 'a', 'b', { edge: '3' })), { bytes_s: 0, opens_s: 0 }, 'nothing moved: 0')
  assert.deepEqual(now(edge('x', 'a', 'b', { edge: '4' })), { bytes_s: 0, opens_s: 0 })
  assert.deepEqual(now(group), { bytes_s: 105, opens_s: 2 }, 'several by their services')
})

test('numbers_that_are_not_known', () => {
  const now = liveNumbers(context())
  assert.equal(now(edge('x', 'a', 'b', { edge: 'not in the stream' })), null)
  assert.equal(now({ ...group, server_service: 'nobody' }), null)
  assert.equal(now({ ...group, client_service: undefined }), null)
  assert.equal(now({ ...group, kind: 'other' }), null)
  assert.equal(liveNumbers(context({ group: 'zone' }))(group), null, 'zones have no such sum')
  for (const given of [{ newest: null }, { live: false }, { from: 5 }, { edges: new Map() }]) assert.equal(liveNumbers(context(given))(edge('x', 'a', 'b', { edge: '1' })), null, JSON.stringify(given))
})

test('numbers_follow_the_deltas', () => {
  const edges = applied(new Map(EDGES), 'delta', { add: [E('5', 'web', 'db', 10, 0, 10)], update: [{ id: '1', c2s_bytes: 0 }], remove: ['2'] })
  const now = liveNumbers(context({ edges }))
  assert.deepEqual(now(group), { bytes_s: 91, opens_s: 3 })
  assert.equal(now(edge('x', 'a', 'b', { edge: '2' })), null)
})

const row = (id, rest, now = null) => ({ edge: edge(id, 'a', 'b', rest), client: 'a', server: 'b', now })
const ROWS = [row('quiet', { derived: { bytes: 9 } }), row('worst', { severity: 2, derived: { bytes: 1, failed: 5, segs: 10, retransmit_ratio: 0.5 } }, { bytes_s: 7, opens_s: 0 }), row('bare', { ports: [], derived: {} }),
  row('look', { severity: 1, derived: { bytes: 5, failed: 0, segs: 0, retransmit_ratio: 0 }, signs: [{ sign: 'reset' }, { sign: 'refused' }] }, { bytes_s: 0, opens_s: 0 })]
const OPTIONS = { columns: COLUMNS, key: (r) => r.edge.id, sort: 'worst', first: worstFirst }
const ids = (sort, filters = {}) => arranged(ROWS, OPTIONS, { sort, filters }).rows.map((r) => r.edge.id).join(' ')

test('rows', () => {
  assert.equal(ids('worst'), 'worst look quiet bare', 'worst first, then by bytes')
  assert.equal(ids('-failed'), 'worst look bare quiet', 'what is not known is last')
  assert.equal(ids('-now'), 'worst look bare quiet')
  assert.equal(ids('retransmits'), 'worst bare look quiet', 'a share of nothing is not known')
  assert.equal(ids('worst', { now: '>=0' }), 'worst look')
  assert.equal(ids('worst', { signs: 'refused' }), 'look')
  assert.equal(ids('worst', { port: '80', retransmits: '<51%' }), 'worst')
  for (const column of COLUMNS) for (const r of ROWS) assert.ok(['number', 'string', 'undefined'].includes(typeof (column.value(r) ?? undefined)), column.id)
})

test('what_the_two_ends_saw', () => {
  const view = { c2s_bytes: 5, c2s_segs: 10, c2s_retransmitted: 1, c2s_busy_us: 100, c2s_rwnd_limited_us: 25, failed_refused: 2, failed_timed_out: 1, turn_samples: 4, turn_self: 3 }
  assert.deepEqual(VIEW_ROWS.map(({ of }) => of(view, 'client')), [5, 0, 0, 3, 0.1, 0.25, 0.75])
  assert.deepEqual(VIEW_ROWS.map(({ of }) => of(view, 'server')), [5, 0, 0, undefined, undefined, undefined, 0.75])
  assert.deepEqual(VIEW_ROWS.map(({ of }) => of({}, 'client')), [0, 0, 0, 0, undefined, undefined, undefined])
})
