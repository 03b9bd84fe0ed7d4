// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { NOT_KNOWN, ago, bytes, change, clock, count, exact, micros, perSecond, plural, rate, seconds, share, time, zoneName } from '../../../web/js/format.js'
import { Random } from '../lab/random.mjs'

process.env.TZ = 'Europe/Berlin'
// Spaces as one types them.
const typed = (text) => text.replace(/[\u00a0\u202f]/g, ' ')
const table = (format, rows) => rows.forEach(([value, text]) => assert.equal(typed(format(value)), text, `${format.name}(${value})`))
const ONES = { ago, bytes, clock, count, exact, micros, perSecond, rate, seconds, share, time }

test('not_known_is_not_0', () => {
  for (const [name, format] of Object.entries(ONES)) {
    for (const value of [null, undefined, NaN, Infinity, -Infinity]) assert.equal(format(value), NOT_KNOWN, `${name}(${value})`)
    assert.notEqual(format(0), NOT_KNOWN, `${name}(0)`)
  }
})

test('count', () => table(count, [
  [0, '0'], [1, '1'], [999, '999'], [1000, '1 000'], [1005, '1 005'], [9999, '9 999'], [10000, '10.0 k'], [12400, '12.4 k'], [999499, '999 k'], [999500, '1.00 M'], [1234567, '1.23 M'],
  [2 ** 53, '9.01 P'], [2 ** 64, '18.4 E'], [-7, '-7'], [-1234, '-1 234'], [-12400, '-12.4 k'], [1.5, '1.50'], [0.25, '0.250'],
]))

test('bytes_and_rates', () => {
  table(bytes, [[0, '0 B'], [5, '5 B'], [999, '999 B'], [999.6, '1.00 kB'], [1000, '1.00 kB'], [9994, '9.99 kB'], [9996, '10.0 kB'], [99960, '100 kB'], [1e6, '1.00 MB'], [1.5e9, '1.50 GB'], [2e12, '2.00 TB'],
    [1.8e19, '18.0 EB'], [-2048, '-2.05 kB'], [1e-9, '< 0.001 B'], [-1e-9, '> -0.001 B'], [0.001, '0.00100 B']])
  table(rate, [[0, '0 b/s'], [1, '8 b/s'], [125, '1.00 kb/s'], [125e6, '1.00 Gb/s'], [0.1, '0.800 b/s']])
  table(perSecond, [[0, '0 /s'], [12, '12 /s'], [0.5, '0.500 /s'], [12.34, '12.3 /s'], [0.0001, '< 0.001 /s']])
})

test('share', () => table(share, [
  [0, '0 %'], [1, '100 %'], [0.5, '50.0 %'], [0.021, '2.10 %'], [0.09996, '10.0 %'], [0.999, '99.9 %'], [0.9995, '> 99.9 %'], [0.9999999, '> 99.9 %'], [0.0001, '0.0100 %'], [0.00005, '< 0.01 %'], [1.5, '150 %'],
  [-0.5, '-50.0 %'],
]))

test('times', () => {
  table(micros, [[0, '0 µs'], [1, '1.00 µs'], [999, '999 µs'], [999.6, '1.00 ms'], [1500, '1.50 ms'], [9996, '10.0 ms'], [212000, '212 ms'], [999499, '999 ms'], [999600, '1 s'], [1.5e6, '1.5 s'], [7.2e9, '2 h'], [-5, '-5.00 µs'], [-5000, '-5.00 ms'], [-2e6, '-2 s']])
  table(seconds, [[0, '0 s'], [1, '1 s'], [0.25, '0.25 s'], [10, '10 s'], [100, '100 s'], [119, '119 s'], [120, '2 min'], [150, '2.5 min'], [3600, '60 min'], [7200, '2 h'], [172800, '2 d'], [1e8, '1157 d'], [-300, '-5 min'], [1e-9, '< 0.001 s']])
  table(ago, [[-5, 'now'], [0, 'now'], [0.9, 'now'], [1, '1 s ago'], [4.4, '4 s ago'], [180, '3 min ago']])
  assert.equal(time(0, { zone: false }), '1970-01-01 01:00:00')
  assert.equal(time(1795424671, { zone: false }), '2026-11-23 10:04:31')
  assert.equal(time(1795424671), `2026-11-23 10:04:31 ${zoneName()}`)
  assert.equal(clock(1795424671.9), '10:04:31')
  assert.equal(time(8e13), NOT_KNOWN)
})

test('exact', () => table(exact, [[0, '0'], [999, '999'], [1000, '1 000'], [1234567, '1 234 567'], [-1234567, '-1 234 567'], [1234.56789, '1 234.56789'], [2 ** 53, '9 007 199 254 740 992']]))

test('change', () => {
  for (const [now, before, text] of [
    [0, 0, 'same'], [1, 0, 'new'], [0, 1, 'gone'], [100, 100, 'same'], [1004, 1000, 'same'], [112, 100, '+12.0 %'], [50, 100, '\u221250.0 %'], [1000, 100, '+900 %'], [1100, 100, '11.0 ×'], [1e9, 1, '1000000000 ×'],
    [null, 1, NOT_KNOWN], [1, null, NOT_KNOWN], [undefined, undefined, NOT_KNOWN], [NaN, 1, NOT_KNOWN], [1, NaN, NOT_KNOWN],
  ]) assert.equal(typed(change(now, before)), text, `${before} to ${now}`)
})

test('plural', () => {
  assert.deepEqual([0, 1, 2, 1000].map((n) => typed(plural(n, 'edge'))), ['0 edges', '1 edge', '2 edges', '1 000 edges'])
  assert.equal(plural(2, 'box', 'boxes'), '2 boxes')
})

// Read back, a text is the number to three digits, and has no more than three (whole numbers aside) and no exponent.
test('three_significant_digits', () => {
  const random = new Random(8)
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P', 'E']
  const near = (x, y, what) => assert.ok(Math.abs(x - y) <= Math.abs(y) * 0.00501, `${what}: ${x} is not ${y}`)
  for (let i = 0; i < 20000; i++) {
    const value = 10 ** (random.unit() * 21 - 2.9)
    const m = /^(\d+(?:\.\d+)?)\u00a0([kMGTPE]?)B$/.exec(bytes(value))
    assert.ok(m, bytes(value))
    assert.equal(m[1].replace('.', '').replace(/^0+/, '').length, 3, `${value}: ${bytes(value)}`)
    near(Number(m[1]) * 1000 ** prefixes.indexOf(m[2]), value, 'bytes')
    const us = random.unit() * 10 ** random.below(6)
    const n = /^(\d+(?:\.\d+)?)\u00a0(µs|ms|s)$/.exec(micros(us))
    if (us >= 0.001) near(Number(n[1]) * { 'µs': 1, ms: 1e3, s: 1e6 }[n[2]], us, 'micros')
  }
})

test('larger_is_not_shown_as_less', () => {
  const scale = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 }
  let last = 0
  for (let value = 1; value < 1e20; value *= 1.0007) {
    const [number, unit = ''] = count(value).replace('\u202f', '').split('\u00a0')
    const shown = Number(number) * scale[unit]
    assert.ok(shown >= last * (1 - 1e-12), `${value}: ${count(value)}`)
    last = shown
  }
})
