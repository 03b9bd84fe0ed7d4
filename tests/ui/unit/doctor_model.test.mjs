// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { chainOf, command, nextSteps, verdictOf } from '../../../web/js/pages/doctor_model.js'

const ORIGIN = 'http://127.0.0.1:9182'
// Hops and health as /api/v1/health answers them.
const hop = (name, given = {}) => ({ hop: name, unit: 'rows', in: 1200, out: 1200, lost: {}, lost_total: 0, missing: 0, adds_up: true, instances: 1, intervals: [], ...given })
const health = (chain, given = {}) => ({ status: 'ok', sentence: '', now: 1000, from: 700, to: 1000, interval_s: 10, newest: 990, newest_age_s: 10, settled_to: 980, adds_up: true, first_bad: null, first_loss: null,
  agents: { known: 1, reporting: 1, silent: [], by_mode: {} }, edges: { rows: 1, both: 1 }, writer: { retries: 0, poison: 0, duplicates: 0, error: '' }, chain, ...given })
const LOST = hop('collector', { out: 1190, lost: { queue_full: 4, bad_row: 4, late: 2 }, lost_text: { queue_full: 'the queue was full' }, lost_total: 10, likely: 'a burst', next: 'curl API/metrics' })
const MISSING = hop('pair', { out: 1199, missing: 1, adds_up: false, likely: 'a crash', next: 'curl API/api/v1/ledger?hop=pair API' })

test('verdicts', () => {
  for (const [given, verdict] of [
    [{}, 'ok'], [{ in: 0, out: 0 }, 'none'], [{ in: 0, out: 5 }, 'ok'], [{ lost_total: 1, out: 1199 }, 'loss'], [{ missing: 1, adds_up: false }, 'bad'], [{ lost_total: 3, missing: 1, adds_up: false }, 'bad'],
    [{ in: 0, out: 0, missing: -2, adds_up: false }, 'bad'],
  ]) assert.equal(verdictOf(hop('bus', given)), verdict, JSON.stringify(given))
})

test('sentences', () => {
  for (const [given, word, text] of [
    [{}, 'adds up', 'All 1\u202f200 rows arrived.'], [{ in: 1, out: 1 }, 'adds up', 'All 1 row arrived.'], [{ in: 0, out: 0, unit: 'connections' }, 'nothing passed', 'No connections passed here in this range.'],
    [{ lost_total: 1, unit: 'connections' }, 'known loss', '1 connection of 1\u202f200 lost, each with its reason; the rest arrived.'],
    [{ adds_up: false, missing: 12345 }, 'does not add up', '12\u202f345 rows of 1\u202f200 are missing and nobody knows why.'],
    [{ adds_up: false, missing: -1 }, 'does not add up', '1 row more came out than anybody counted going in.'],
  ]) {
    const [view] = chainOf(health([hop('bus', given)]))
    assert.deepEqual([view.word, view.text], [word, text])
  }
})

test('chain', () => {
  const views = chainOf(health([hop('kernel'), LOST, MISSING, hop('a new hop')], { first_bad: 'pair', first_loss: 'collector' }))
  assert.deepEqual(views.map((view) => [view.verdict, view.first]), [['ok', false], ['loss', false], ['bad', true], ['ok', false]])
  assert.deepEqual(views[1].losses, [{ reason: 'bad_row', count: 4, text: '' }, { reason: 'queue_full', count: 4, text: 'the queue was full' }, { reason: 'late', count: 2, text: '' }], 'largest first, with their texts')
  assert.deepEqual(views[0].does, ['opened by the kernels', 'counted by the agents'])
  assert.deepEqual(views[3].does, ['in', 'out'], 'a hop this page does not know')
  assert.deepEqual(chainOf(health([])), [])
})

test('commands', () => {
  assert.equal(command('curl API/metrics', ORIGIN), `curl ${ORIGIN}/metrics`)
  assert.equal(command('df -h /var/lib/APIS', ORIGIN), 'df -h /var/lib/APIS')
})

test('next_steps', () => {
  assert.deepEqual(nextSteps(health([hop('bus')]), ORIGIN), [])
  const silent = Array.from({ length: 7 }, (_, i) => `host-${i}`)
  const steps = nextSteps(health([LOST, MISSING], { status: 'no_data', first_bad: 'pair', first_loss: 'collector', agents: { known: 9, reporting: 2, silent, by_mode: {} },
    writer: { retries: 1, poison: 0, duplicates: 0, error: 'no space' } }), ORIGIN)
  assert.deepEqual(steps.map((step) => step.command), [`curl ${ORIGIN}/api/v1/ledger?hop=pair API`, `curl ${ORIGIN}/metrics`, 'skyfall hosts', 'systemctl status skyfall-agent', 'df -h'], 'most urgent first')
  assert.match(steps[0].text, /pair.*a crash/)
  assert.match(steps[1].text, /collector.*a burst/)
  assert.match(steps[3].text, /host-4 and 2 more\. On/)
  assert.doesNotMatch(steps[3].text, /host-5/)
})

test('members_that_are_absent', () => {
  const answer = health([hop('bus', { lost_total: 1, lost: { late: 1 } }), hop('pair', { missing: 1, adds_up: false })], { first_bad: 'pair', first_loss: 'bus' })
  assert.equal(chainOf(answer)[0].losses[0].text, '')
  assert.deepEqual(nextSteps(answer, ORIGIN).map((step) => step.command), ['skyfall doctor --json', 'skyfall doctor --json'])
  for (const step of nextSteps(answer, ORIGIN)) assert.doesNotMatch(step.text, /undefined|null/)
  delete answer.first_loss
  assert.equal(nextSteps(answer, ORIGIN).length, 1)
  const both = health([hop('pair', { missing: 1, adds_up: false, lost_total: 1, lost: { late: 1 } })], { first_bad: 'pair', first_loss: 'pair' })
  assert.equal(nextSteps(both, ORIGIN).length, 1, 'one hop, one step')
})
