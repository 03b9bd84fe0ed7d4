// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { counts, rowOf } from '../../../web/js/pages/hosts_model.js'

const host = (given = {}) => ({ net: '', id: 'ff', hostname: 'a', kernel: '6.1', mode: 'ebpf', version: '0.4', agent: 'skyfall', interval_s: 10, last_seen: 0, age_s: 0, reporting: true, addresses: [], listeners: [], ...given })

test('rows', () => {
  const row = rowOf(host({ cost: { user_us: 250000, bpf_ns: 7000, rss_bytes: 1e6, cpu_busy_pm: 125 }, loss: { rows_in: 900, rows_out: 890, lost: { ring_full: 7, late: 3, never: 0 } } }))
  delete row.host
  assert.deepEqual(row, { cpu: 0.025, kernel: 7000, rss: 1e6, busy: 0.125, lost: 10, rows: 900, reasons: 'ring_full 7, late 3' })
})

test('members_that_are_absent', () => {
  const row = rowOf(host())
  delete row.host
  assert.deepEqual(row, { cpu: null, kernel: null, rss: null, busy: null, lost: null, rows: null, reasons: '' }, 'not known is not 0')
  const zero = rowOf(host({ cost: { user_us: 0, cpu_busy_pm: 0 }, loss: { rows_in: 0, rows_out: 0, lost: {} } }))
  assert.deepEqual([zero.cpu, zero.kernel, zero.busy, zero.lost, zero.rows], [0, null, 0, 0, 0])
})

test('counts', () => {
  const hosts = ['ebpf', 'sockdiag', 'ebpf', '', 'af_packet'].map((mode) => host({ mode }))
  assert.deepEqual(counts(hosts, (h) => h.mode), [['ebpf', 2], ['af_packet', 1], ['not said', 1], ['sockdiag', 1]])
  assert.deepEqual(counts([], (h) => h.mode), [])
})
