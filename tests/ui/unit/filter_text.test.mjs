// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { KEYS, columnTest, completions, parseFilter, term } from '../../../web/js/filter_text.js'
import { Random } from '../lab/random.mjs'

test('good_lines', () => {
  for (const [line, terms] of [
    ['', {}], ['   \t ', {}], ['service=web', { service: 'web' }], ['  service=web   port=80 ', { service: 'web', port: '80' }], ['service="a b" zone=x', { service: 'a b', zone: 'x' }],
    ['service="a \\"b\\" \\\\"', { service: 'a "b" \\' }], ['client=a=b', { client: 'a=b' }], ['net=', { net: '' }], ['net="" host=10.0.0.0/8', { net: '', host: '10.0.0.0/8' }],
    ['port=0 protocol=tcp', { port: '0', protocol: 'tcp' }], ['port=65535', { port: '65535' }], ['server=a>b', { server: 'a>b' }], ['host=fe80::1', { host: 'fe80::1' }], ['service=\u00e9\ud83d\udca5', { service: '\u00e9\ud83d\udca5' }],
  ]) assert.deepEqual(parseFilter(line), { terms, error: '' }, line)
})

// Each sentence names the term it is about; what was understood before it is kept, nothing after it.
test('bad_lines', () => {
  for (const [line, said, terms = {}] of [
    ['web', '"web" has no key: did you mean service=web?'], ['service=a web zone=b', '"web" has no key', { service: 'a' }], ['"a b"', 'did you mean service=a b?'],
    ['colour=red', '"colour" is not a key: service, client,'], ['Service=a', '"Service" is not a key'], ['__proto__=a', '"__proto__" is not a key'], ['toString=a', '"toString" is not a key'], ['=a', '"" is not a key'],
    ['port=80 port=81', '"port" is there twice', { port: '80' }], ['service=', '"service=" has no value'], ['service= web', '"service=" has no value'], ['zone=""', '"zone=" has no value'],
    ['port=', 'port is a number from 0 to 65535, not ""'], ['port=65536', 'not "65536"'], ['port=http', 'not "http"'], ['port=-1', 'not "-1"'], ['port=8e1', 'not "8e1"'], ['port=000080', 'not "000080"'],
    ['service!=web', '"service!=web": only key=value'], ['net=a port>1000', '"port>1000": only key=value', { net: 'a' }], ['port>=1000', '"port>=1000": only key=value'], ['port<7', '"port<7": only key=value'],
    ['service="a"b', '"b" has no key', { service: 'a' }], ['service="a b', '"b" has no key', { service: '"a' }],
  ]) {
    const answer = parseFilter(line)
    assert.ok(answer.error.includes(said), `${line}: ${answer.error}`)
    assert.deepEqual(answer.terms, terms, line)
  }
})

test('term_round_trips', () => {
  assert.equal(term('service', 'web'), 'service=web')
  assert.equal(term('service', 'a "b"'), 'service="a \\"b\\""')
  assert.equal(term('net', ''), 'net=""')
  const random = new Random(3)
  const keys = Object.keys(KEYS).filter((key) => key !== 'port')
  for (let i = 0; i < 5000; i++) {
    const terms = {}
    for (const key of keys) {
      const value = random.text(10)
      if (random.below(3) === 0 && (value !== '' || key === 'net')) terms[key] = value
    }
    const line = Object.entries(terms).map(([key, value]) => term(key, value)).join(' ')
    assert.deepEqual(parseFilter(line), { terms, error: '' }, line)
  }
})

test('any_line_ends', () => {
  const random = new Random(4)
  for (let i = 0; i < 10000; i++) {
    const line = random.text(12)
    const { terms, error } = parseFilter(line)
    assert.equal(typeof error, 'string')
    for (const [key, value] of Object.entries(terms)) assert.ok(Object.hasOwn(KEYS, key) && typeof value === 'string', line)
    assert.ok(error || line.trim() === '' || Object.keys(terms).length > 0, line)
    for (const { text } of completions(line)) assert.ok(text.startsWith(line), line)
  }
})

test('completions', () => {
  const texts = (line) => completions(line).map((one) => one.text)
  assert.deepEqual(texts(''), Object.keys(KEYS).map((key) => `${key}=`))
  assert.deepEqual(texts('p'), ['port=', 'protocol='])
  assert.deepEqual(texts('zone=a p'), ['zone=a port=', 'zone=a protocol='])
  assert.deepEqual(texts('port=80 p'), ['port=80 protocol='], 'a key only once')
  assert.deepEqual(texts('port='), [])
  assert.deepEqual(texts('x'), [])
  assert.equal(completions('zo')[0].label, KEYS.zone)
})

test('column_of_text', () => {
  const rows = ['web', 'Web-2', 'database', '', null, undefined]
  const kept = (typed) => rows.filter(columnTest(typed, 'text'))
  assert.deepEqual(kept(''), rows)
  assert.deepEqual(kept(' WEB '), ['web', 'Web-2'])
  assert.deepEqual(kept('=web'), ['web'])
  assert.deepEqual(kept('!web'), ['database', '', null, undefined])
  assert.deepEqual(kept('='), ['', null, undefined])
  assert.deepEqual(kept('.*'), [], 'no regular expression')
  assert.ok(columnTest('80', 'text')(8080), 'a number is searched as text')
})

test('column_of_numbers', () => {
  const rows = [0, 0.05, 7, 1000, 1500, 2e6, 2.5e6, -3, null, undefined, NaN]
  for (const [typed, kept] of [
    ['7', [7]], ['=7', [7]], ['0', [0]], ['5%', [0.05]], ['>2M', [2.5e6]], ['>= 2m', [2e6, 2.5e6]], ['<0', [-3]], ['<=0', [0, -3]], ['1k..2k', [1000, 1500]], ['1k .. 2.5M', [1000, 1500, 2e6, 2.5e6]],
    ['2k..1k', []], ['>1T', []], ['-3', [-3]], ['> -4', [0, 0.05, 7, 1000, 1500, 2e6, 2.5e6, -3]],
  ]) assert.deepEqual(rows.filter(columnTest(typed, 'number')), kept, typed)
  for (const typed of ['a', '>', '>=', '1..', '..1', '1..2..3', '1e3', '>>1', '1x', '.5', '1 2', '%', 'NaN', 'Infinity']) assert.equal(columnTest(typed, 'number'), null, typed)
  const random = new Random(5)
  for (let i = 0; i < 5000; i++) {
    const typed = random.text(5)
    for (const kind of ['text', 'number']) for (const value of [null, undefined, 0, 1.5, 'x']) assert.match(String(columnTest(typed, kind)?.(value)), /^(true|false|undefined)$/)
  }
})
