// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { METRICS, metricOf, rowOf, rowsOf, trendOf } from '../../../web/js/pages/services_model.js'

// As /api/v1/services answers: a side without edges has no `derived`.
const side = (derived, edges = 1) => ({ edges, derived })
const NONE = { edges: 0 }

test('metrics', () => {
  assert.equal(new Set(METRICS.map((m) => m.id)).size, METRICS.length)
  assert.equal(metricOf('failed').label, 'failed attempts')
  assert.equal(metricOf('nonsense').id, 'bytes')
  for (const m of METRICS) assert.equal(m.of({ [m.id === 'open_ms' ? 'mean_open' : m.id]: 7 }), 7, m.id)
})

test('rows', () => {
  const web = { service: 'web', bytes: 0, as_client: side({ bytes: 100, failed: 3, opened: 5 }, 2), as_server: side({ bytes: 20, failed: 9 }, 4) }
  assert.deepEqual(rowOf(web, metricOf('bytes')), { service: 'web', value: 120, as_client: 100, as_server: 20, before: null, callers: 4, callees: 2, failed: 3, trend: 'unknown', change: null })
  assert.equal(rowOf(web, metricOf('opened')).value, 5, 'a sum left out is 0')
  const compared = { ...web, previous: { bytes: 0, as_client: side({ bytes: 60 }), as_server: NONE } }
  assert.deepEqual([rowOf(compared, metricOf('bytes')).before, rowOf(compared, metricOf('bytes')).change, rowOf(compared, metricOf('bytes')).trend], [60, 1, 'up'])
  assert.deepEqual(rowsOf([], METRICS[0]), [])
  const first = { ...web, previous: { bytes: 0, as_client: NONE, as_server: NONE } }
  assert.deepEqual(rowsOf([first, compared], METRICS[0]).map((r) => r.trend), ['new', 'up'])
  assert.deepEqual(rowsOf([first, first], METRICS[0]).map((r) => r.trend), ['unknown', 'unknown'], 'nobody before: nothing to compare with')
})

test('members_that_are_absent', () => {
  for (const m of METRICS) {
    const idle = { service: '', bytes: 0, as_client: NONE, as_server: NONE }
    assert.deepEqual(rowOf(idle, m), { service: '', value: 0, as_client: 0, as_server: 0, before: null, callers: 0, callees: 0, failed: 0, trend: 'unknown', change: null })
    assert.equal(rowOf({ ...idle, previous: null }, m).before, null)
    const was = rowOf({ ...idle, previous: { bytes: 0, as_client: NONE, as_server: NONE } }, m)
    assert.deepEqual([was.before, was.trend, was.change], [0, 'same', null])
  }
})

test('trends', () => {
  for (const [now, before, trend] of [[5, null, 'unknown'], [0, 0, 'same'], [5, 0, 'new'], [0, 5, 'gone'], [1004, 1000, 'same'], [996, 1000, 'same'], [1006, 1000, 'up'], [994, 1000, 'down']]) assert.equal(trendOf(now, before), trend, `${before} to ${now}`)
})
