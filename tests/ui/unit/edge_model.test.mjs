// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { GROUPS, calm, cellOf, difference, observers, oneSided, rungText, silent } from '../../../web/js/pages/edge_model.js'

const ROWS = new Map(GROUPS.flatMap((group) => group.rows).map((row) => [row.id, row]))
// As /api/v1/edges/{id} answers: a column of a view that is 0 is left out, so is a derived number that is not known.
const answer = (given = {}) => ({ from: 1000, to: 1010, tiers: ['10s'], histograms: {}, bucket_floors_us: [], pairs: [], pairs_matched: 0, views: {
  client: { c2s_bytes: 5000, s2c_bytes: 70000, c2s_segs: 40, s2c_segs: 60, attempts: 12, opened: 10, open_ms: 25000, c2s_retransmitted: 2, c2s_busy_us: 100, turn_peer: 6, turn_samples: 8 },
  server: { c2s_bytes: 5000, s2c_bytes: 69000, s2c_segs: 60, opened: 10, open_ms: 25001 },
  network: { c2s_bytes: 4096 },
}, ...given, edge: { observed_by: 'both+network', client_service: 'web', server_service: 'db', derived: { rwnd_limited_share_c2s: 0.25 }, ...given.edge } })
const cell = (id, observer, of = answer()) => {
  const { state, value } = cellOf(ROWS.get(id), of, observer)
  return state === 'known' ? value : state
}

test('observers', () => {
  for (const [text, list] of [['both', ['client', 'server']], ['both+network', ['client', 'server', 'network']], ['client', ['client']], ['server+client', ['client', 'server']], ['network', ['network']], ['', []], ['other', []]])
    assert.deepEqual(observers({ observed_by: text }), list, text)
})

test('cells', () => {
  for (const [id, client, server, network] of [
    ['c2s_bytes', 5000, 5000, 4096], ['s2c_bytes', 70000, 69000, 0], ['attempts', 12, 'unseen', 'unseen'], ['opened', 10, 10, 'unseen'], ['closed', 0, 0, 'unseen'], ['mean_open', 2.5, 2.5001, 'unseen'],
    ['retransmit_ratio', 0.05, 0, 'unseen'], ['retransmitted', 2, 0, 'unseen'], ['rwnd_share', 0.25, 'unknown', 'unseen'], ['turn_peer', 0.75, 'unknown', 'unseen'], ['jitter_mean', 'unknown', 'unknown', 'unseen'],
    ['busy_us', 100, 0, 'unseen'],
  ]) assert.deepEqual(['client', 'server', 'network'].map((observer) => cell(id, observer)), [client, server, network], id)
})

test('nobody_there_is_not_0', () => {
  const one = answer({ edge: { observed_by: 'client' } })
  for (const id of ROWS.keys()) assert.equal(cell(id, 'server', one), 'nobody', id)
  assert.equal(cell('c2s_bytes', 'client', one), 5000)
})

test('members_that_are_absent', () => {
  const bare = answer({ views: {}, edge: { derived: {} } })
  for (const id of ROWS.keys())
    for (const observer of ['client', 'server', 'network']) assert.ok([0, 'unknown', 'unseen'].includes(cell(id, observer, bare)), `${id} ${observer}`)
  assert.equal(cell('c2s_bytes', 'server', bare), 0, 'a column left out is 0')
  assert.equal(cell('rwnd_share', 'client', bare), 'unknown', 'a share left out is not')
  assert.equal(cell('mean_open', 'client', answer({ to: 1000 })), 'unknown', 'an empty range')
})

test('rows', () => {
  const ids = GROUPS.flatMap((group) => group.rows.map((row) => row.id))
  assert.equal(new Set(ids).size, ids.length)
  for (const row of ROWS.values()) assert.ok(row.label && row.about && ['bytes', 'count', 'mean', 'share', 'us'].includes(row.unit), row.id)
})

test('differences', () => {
  const known = (value) => ({ state: 'known', value })
  const bytes = ROWS.get('c2s_bytes')
  assert.equal(difference(bytes, known(5), known(5)), null)
  assert.equal(difference(bytes, known(0), known(0)), null)
  assert.equal(difference(bytes, known(5), { state: 'nobody', value: null }), null)
  assert.equal(difference(ROWS.get('retransmitted'), known(5), known(6)), null, 'what is not the same thing is not compared')
  assert.deepEqual(difference(bytes, known(100), known(99)), { part: 0.01, more: 'client', large: true })
  assert.deepEqual(difference(bytes, known(999), known(1000)), { part: 0.001, more: 'server', large: false })
  assert.deepEqual(difference(bytes, known(0), known(7)), { part: 1, more: 'server', large: true })
  assert.equal(difference(ROWS.get('mean_open'), known(2.5), known(2.5001)), null, 'clocks')
  assert.ok(difference(ROWS.get('mean_open'), known(2.5), known(2.6)))
})

test('silence', () => {
  assert.equal(silent({ derived: {} }), true)
  assert.equal(silent({ derived: { bytes: 0, attempts: 0, opened: 0, closed: 0, failed: 0, segs: 0, failed_by: {} } }), true)
  for (const key of ['bytes', 'attempts', 'opened', 'closed', 'failed', 'mean_open', 'segs']) assert.equal(silent({ derived: { [key]: 1 } }), false, key)
})

test('calm', () => {
  for (const [derived, text] of [
    [{}, 'Nothing stands out.'], [{ attempts: 0, failed: 0, segs: 0 }, 'Nothing stands out.'], [{ attempts: 12, failed: 0 }, 'Nothing stands out: none of 12 attempts failed.'],
    [{ attempts: 1, failed: 0, segs: 9, retransmitted: 0, retransmit_ratio: 0 }, 'Nothing stands out: none of 1 attempt failed, no segment was retransmitted.'],
    [{ attempts: 100, failed: 1, segs: 900, retransmitted: 9, retransmit_ratio: 0.01 }, 'Nothing stands out: 1 of 100 attempts failed, 1.00\u00a0% of the segments were retransmitted.'],
    [{ segs: 9 }, 'Nothing stands out.'], [{ rwnd_limited_share_c2s: 0 }, 'Nothing stands out: nobody waited for a slow reader.'],
    [{ rwnd_limited_share_c2s: 0.05, rwnd_limited_share_s2c: 0.1 }, 'Nothing stands out: waiting for a reader took 10.0\u00a0% of the time there was data to send.'],
    [{ rwnd_limited_share_s2c: 0.3 }, 'Nothing stands out.'],
    [{ attempts: 0, failed: 2 }, 'Nothing stands out: 2 of 2 attempts failed.'], [{ failed: 1 }, 'Nothing stands out: 1 of 1 attempt failed.'],
  ]) assert.equal(calm({ derived }), text)
})

test('one_side', () => {
  const said = (observed_by) => oneSided({ observed_by, client_service: 'web', server_service: 'd\u202eb' })
  assert.equal(said('both'), null)
  assert.equal(said('client+server'), null)
  assert.match(said('client'), /^Only the client's end was watched: what d\ufffdb saw is not known/, 'a name from outside stays in its line')
  assert.match(said('server+network'), /^Only the server's end was watched: what web saw/)
  assert.match(said('network'), /^Seen by the network only/)
  assert.equal(said(''), null)
  assert.equal(rungText([]), 'nothing was named in this range')
  assert.equal(rungText(['agent', 'a new rule']), 'the agent on its host saw the process; a new rule')
})
