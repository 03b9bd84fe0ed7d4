// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { ARROW, arrowText, labels, offsets, pathText, pointAt, routes } from '../../../web/js/map/route.js'
import { edge, node, randomGraph } from '../lab/graphs.mjs'
import { Random } from '../lab/random.mjs'

const byId = (nodes) => new Map(nodes.map((n) => [n.id, n]))
const straight = [[{ x: 0, y: 0 }, { x: 100, y: 0 }, { x: 200, y: 0 }, { x: 300, y: 0 }]]

// Every line of some hundred graphs.
function* ways(seed) {
  const random = new Random(seed)
  for (let i = 0; i < 150; i++) {
    const { nodes, edges, width, height } = randomGraph(random)
    const at = byId(nodes)
    const places = offsets(edges, at)
    const way = routes(nodes)
    yield { nodes, edges, size: { width, height }, places, lines: edges.map((e) => ({ edge: e, a: at.get(e.source), b: at.get(e.target), text: e.id, way: way(at.get(e.source), at.get(e.target), places.get(e.id)) })) }
  }
}

test('a_way_goes_from_box_to_box', () => {
  for (const { lines, places } of ways(10))
    for (const { edge: e, a, b, way } of lines) {
      const start = way[0][0]
      const end = way[way.length - 1][3]
      for (let i = 1; i < way.length; i++) assert.deepEqual(way[i][0], way[i - 1][3], 'end to end')
      if (a === b) {
        assert.ok(Math.abs(start.y - (a.y - a.h / 2)) < 0.01 && Math.abs(end.x - (a.x + a.w / 2 + ARROW)) < 0.01, 'a loop over the corner')
        continue
      }
      const level = a.x === b.x
      const side = level || b.x > a.x ? 1 : -1
      assert.equal(start.x, a.x + side * a.w / 2, 'out of the side that faces the other')
      assert.equal(end.x, level ? b.x + b.w / 2 + ARROW : b.x - side * (b.w / 2 + ARROW), 'room for the arrow')
      assert.equal(start.y, a.y + places.get(e.id).out)
      assert.equal(end.y, b.y + places.get(e.id).in)
      assert.ok(Math.abs(start.y - a.y) < a.h / 2 && Math.abs(end.y - b.y) < b.h / 2, 'at the boxes, not beside them')
    }
})

test('a_way_goes_around_the_boxes_between', () => {
  const nodes = [node('a', 100, 100), node('b', 420, 100), node('c', 740, 100)]
  const at = byId(nodes)
  for (const [from, to] of [['a', 'c'], ['c', 'a']]) {
    const way = routes(nodes)(at.get(from), at.get(to), { out: 0, in: 0 })
    assert.equal(way.length, 3)
    for (let t = 0; t <= 1; t += 0.005) {
      const p = pointAt(way, t)
      assert.ok(Math.abs(p.x - 420) > 60 || Math.abs(p.y - 100) > 22, `${p.x} ${p.y} is on the box between`)
    }
  }
  assert.equal(routes(nodes)(at.get('a'), at.get('b'), { out: 0, in: 0 }).length, 1)
  assert.equal(routes([nodes[0], node('b', 420, 400), nodes[2]])(nodes[0], nodes[2], { out: 0, in: 0 }).length, 1, 'nothing in the way, no way around')
})

test('ends_are_spread_in_the_order_of_the_others', () => {
  const nodes = [node('a', 100, 200), node('b', 420, 300), node('c', 420, 100), node('d', 420, 200)]
  const found = offsets([edge('1', 'a', 'b'), edge('2', 'a', 'c'), edge('3', 'a', 'd'), edge('4', 'a', 'gone'), edge('5', 'd', 'd')], byId(nodes))
  assert.ok(found.get('2').out < found.get('3').out && found.get('3').out < found.get('1').out)
  assert.equal(found.get('2').out, -found.get('1').out, 'about the middle')
  assert.equal(found.get('3').in, 0, 'alone: the middle')
  assert.deepEqual([found.get('4'), found.get('5')], [{ out: 0, in: 0 }, { out: 0, in: 0 }])
  const many = Array.from({ length: 60 }, (_, i) => edge(String(i).padStart(2, '0'), 'a', 'b'))
  const outs = [...offsets(many, byId(nodes)).values()].map((place) => place.out)
  assert.equal(Math.max(...outs) - Math.min(...outs), 30, 'however many, within the side')
  assert.equal(new Set(outs).size, 60)
})

test('points', () => {
  assert.deepEqual(pointAt(straight, 0), { x: 0, y: 0 })
  assert.deepEqual(pointAt(straight, 1), { x: 300, y: 0 })
  assert.deepEqual(pointAt(straight, 0.5), { x: 150, y: 0 })
  const two = [...straight, [{ x: 300, y: 0 }, { x: 300, y: 40 }, { x: 300, y: 80 }, { x: 300, y: 120 }]]
  assert.deepEqual(pointAt(two, 0.5), { x: 300, y: 0 })
  assert.deepEqual(pointAt(two, 1), { x: 300, y: 120 })
})

test('texts', () => {
  assert.equal(pathText(straight), 'M0 0C100 0 200 0 300 0')
  assert.equal(pathText([[{ x: 0.04, y: 0.06 }, { x: 1.25, y: -1.25 }, { x: 2, y: 2 }, { x: 3, y: 3 }]]), 'M0 0.1C1.3 -1.2 2 2 3 3')
  assert.equal(arrowText(straight), 'M309 0L299 5L299 -5Z')
  for (const { lines } of ways(11))
    for (const { way } of lines) {
      assert.match(pathText(way), /^M[-\d.]+ [-\d.]+(C[-\d.]+ [-\d.]+ [-\d.]+ [-\d.]+ [-\d.]+ [-\d.]+)+$/)
      assert.match(arrowText(way), /^M[-\d.]+ [-\d.]+L[-\d.]+ [-\d.]+L[-\d.]+ [-\d.]+Z$/)
    }
})

test('labels_have_room', () => {
  const overlap = (a, b) => Math.abs(a.x - b.x) * 2 < a.w + b.w && Math.abs(a.y - b.y) * 2 < a.h + b.h
  let all = 0
  let bad = 0
  for (const { nodes, lines, size } of ways(12)) {
    const few = lines.filter(({ a, b }) => a !== b).slice(0, 5)
    const found = [...labels(few, nodes, size).values()]
    assert.equal(found.length, few.length)
    found.forEach((box, i) => {
      all++
      bad += [...nodes, ...found.slice(0, i)].some((other) => overlap(box, other))
      assert.ok(box.x - box.w / 2 >= 0 && box.x + box.w / 2 <= size.width && box.y - box.h / 2 >= 0, 'within the picture')
    })
  }
  assert.ok(all > 400 && bad <= all * 0.01, `${bad} of ${all} labels lie on something`)
})

test('crowded_labels_still_have_a_place', () => {
  const nodes = [node('a', 60, 30), node('b', 200, 30)]
  const lines = Array.from({ length: 200 }, (_, i) => ({ edge: edge(`e${i}`, 'a', 'b'), text: 'a long text that has no room here', way: routes(nodes)(nodes[0], nodes[1], { out: 0, in: 0 }) }))
  const found = labels(lines, nodes, { width: 260, height: 60 })
  assert.equal(found.size, 200)
  for (const box of found.values()) assert.ok(Number.isFinite(box.x) && Number.isFinite(box.y))
})
