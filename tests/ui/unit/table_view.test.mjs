// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { arranged, formatView, parseView } from '../../../web/js/table_view.js'
import { Random } from '../lab/random.mjs'

test('views', () => {
  for (const [text, view] of [
    ['', { sort: 'worst', filters: {} }], ['-bytes', { sort: '-bytes', filters: {} }], ['-bytes;client:web;port:>1000', { sort: '-bytes', filters: { client: 'web', port: '>1000' } }],
    [';client:a:b', { sort: 'worst', filters: { client: 'a:b' } }], [';c:1%3B2%25', { sort: 'worst', filters: { c: '1;2%' } }], [';c:%3b', { sort: 'worst', filters: { c: ';' } }],
  ]) assert.deepEqual(parseView(text, 'worst'), view, text)
  assert.deepEqual(parseView(';nothing;:x;a:', 'worst').filters, { a: '' }, 'what is no filter is left out')
  assert.equal(formatView({ sort: 'worst', filters: { a: ' ', b: '' } }, 'worst'), '')
  assert.equal(formatView({ sort: '-bytes', filters: { port: '>5%', client: 'a;b' } }, 'worst'), '-bytes;port:>5%25;client:a%3Bb')
})

test('round_trips', () => {
  const random = new Random(6)
  for (let i = 0; i < 5000; i++) {
    const view = { sort: random.one(['worst', 'bytes', '-bytes']), filters: {} }
    for (const id of ['client', 'port', 'now']) {
      const typed = random.text(8)
      if (typed.trim() !== '') view.filters[id] = typed
    }
    assert.deepEqual(parseView(formatView(view, 'worst'), 'worst'), view)
  }
})

// A link comes from anywhere: a broken escape is text.
test('any_text_is_a_view', () => {
  for (const text of [';client:%ff', ';client:%e4%b8', ';client:%', ';client:%4', ';client:%zz', '%;%:%', ';;;', ':::', ';__proto__:x', ';constructor:x'])
    assert.equal(typeof parseView(text, 'worst').sort, 'string', text)
  assert.equal(parseView(';client:%ff', 'worst').filters.client, '%ff')
  const random = new Random(7)
  for (let i = 0; i < 5000; i++) {
    const once = formatView(parseView(random.text(), 'worst'), 'worst')
    assert.equal(formatView(parseView(once, 'worst'), 'worst'), once)
  }
})

const ROWS = [{ id: 'a', name: 'web', n: 10 }, { id: 'b', name: 'db', n: null }, { id: 'c', name: 'web', n: 2 }, { id: 'd', name: 'api', n: 0 }, { id: 'e', name: 'api' }]
const OPTIONS = {
  key: (row) => row.id, sort: '-n',
  columns: [{ id: 'name', kind: 'text', value: (row) => row.name }, { id: 'n', kind: 'number', value: (row) => row.n }],
}
const ids = (view, options = OPTIONS, rows = ROWS) => arranged(rows, options, { sort: '-n', filters: {}, ...view }).rows.map((row) => row.id).join('')

test('sorting', () => {
  assert.equal(ids({}), 'acdbe', 'what is not known is last')
  assert.equal(ids({ sort: 'n' }), 'dcabe', 'and last the other way round')
  assert.equal(ids({ sort: 'name' }), 'debac', 'the key decides between equals')
  assert.equal(ids({ sort: '-name' }), 'acbde')
  assert.equal(ids({ sort: 'nonsense' }), 'abcde')
  assert.equal(ids({}, OPTIONS, [...ROWS].reverse()), 'acdbe', 'whatever order they came in')
  const first = (p, q) => Number(q.name === 'api') - Number(p.name === 'api')
  assert.equal(ids({}, { ...OPTIONS, first }), 'deacb', 'an order of its own first')
  assert.equal(ids({ sort: 'n' }, { ...OPTIONS, first }), 'dcabe', 'but not when another is chosen')
  const rows = [...ROWS]
  arranged(rows, OPTIONS, { sort: 'n', filters: {} })
  assert.deepEqual(rows, ROWS, 'the rows given stay as they were')
})

test('filters', () => {
  assert.equal(ids({ filters: { name: 'web' } }), 'ac')
  assert.equal(ids({ filters: { name: '!web', n: '<5' } }), 'd')
  assert.equal(ids({ filters: { n: '>=0' } }), 'acd', 'what is not known is not 0')
  assert.equal(ids({ filters: { nonsense: 'x', n: ' ' } }), 'acdbe')
  assert.deepEqual(arranged(ROWS, OPTIONS, { sort: 'n', filters: { n: 'many', name: 'web' } }).bad, ['n'])
  assert.equal(ids({ filters: { n: 'many', name: 'web' } }), 'ac', 'one not understood does not count')
})
