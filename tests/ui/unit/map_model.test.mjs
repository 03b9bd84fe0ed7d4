// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { bothSaw, lineWidth, neighbour, observedText, portsText, shape } from '../../../web/js/map/model.js'
import { graph, edge, node, randomGraph } from '../lab/graphs.mjs'
import { Random } from '../lab/random.mjs'

test('line_width', () => {
  assert.equal(lineWidth(0), 1.4)
  assert.equal(lineWidth(999), 1.4)
  assert.equal(lineWidth(999999), 3.05)
  assert.equal(lineWidth(1e30), 6.35)
  for (let bytes = 1, last = 0; bytes < 1e15; bytes *= 1.5) {
    assert.ok(lineWidth(bytes) >= last)
    last = lineWidth(bytes)
  }
})

test('who_saw_it', () => {
  for (const [observed, both, text] of [
    ['both', true, 'seen from both ends'], ['both+network', true, 'seen from both ends'], ['client+server', true, 'seen from both ends'], ['client', false, 'seen by the client only'],
    ['server', false, 'seen by the server only'], ['network', false, 'seen by the network only'], ['client+network', false, 'seen by the client and the network only'], ['', false, 'not known who saw it'],
  ]) assert.deepEqual([bothSaw(observed), observedText(observed)], [both, text], observed)
})

test('ports', () => {
  for (const [ports, text] of [[[], ''], [[0], ''], [[5432], ':5432'], [[80, 443], ':80 :443'], [[80, 443, 8080], ':80 :443 +1'], [[0, 80], ':80'], [[1, 2, 3, 4, 5], ':1 :2 +3']]) assert.equal(portsText(ports), text)
  assert.equal(portsText([1, 2, 3], 1), ':1 +2')
})

test('shape', () => {
  const one = graph([node('a', 100, 50), node('b', 400, 50), node('c', 700, 50)], [edge('e1', 'a', 'b'), edge('e2', 'b', 'c', { severity: 2 }), edge('e3', 'a', 'gone'), edge('e0', 'b', 'a', { severity: 2 })])
  const { nodes, lines, labels } = shape(one, (e) => e.id === 'e1' ? '' : 'text')
  assert.deepEqual([...nodes.keys()], ['a', 'b', 'c'])
  assert.deepEqual(lines.map((line) => line.edge.id), ['e0', 'e2', 'e1'], 'the worst first; one without a box is left out')
  assert.deepEqual([...labels.keys()], ['e0', 'e2'], 'no text, no label')
  assert.deepEqual(shape(graph([], []), () => 'x').lines, [])
})

test('the_same_graph_the_same_picture', () => {
  const random = new Random(9)
  for (let i = 0; i < 40; i++) {
    const one = randomGraph(random)
    const turned = { ...one, nodes: [...one.nodes].reverse(), edges: [...one.edges].reverse() }
    const said = (g) => shape(g, (e) => e.id).lines.map((line) => [line.edge.id, line.way])
    assert.deepEqual(said(one), said(one))
    if (new Set(one.nodes.map((n) => `${n.x} ${n.y}`)).size === one.nodes.length) assert.deepEqual(said(turned), said(one), 'in any order')
  }
})

test('neighbours', () => {
  //  a - b - d
  //   \  c /      e calls itself
  const g = graph([node('a', 100, 100), node('b', 400, 60), node('c', 400, 160), node('d', 700, 60), node('e', 700, 300)],
    [edge('1', 'a', 'b'), edge('2', 'a', 'c'), edge('3', 'b', 'd'), edge('4', 'c', 'd'), edge('5', 'e', 'e'), edge('6', 'a', 'gone')])
  for (const [id, key, to] of [
    ['a', 'ArrowRight', 'b'], ['b', 'ArrowRight', 'd'], ['d', 'ArrowRight', null], ['d', 'ArrowLeft', 'b'], ['c', 'ArrowLeft', 'a'], ['a', 'ArrowLeft', null], ['b', 'ArrowDown', 'c'], ['c', 'ArrowUp', 'b'],
    ['d', 'ArrowDown', 'e'], ['b', 'ArrowUp', null], ['a', 'ArrowUp', 'b'], ['e', 'ArrowRight', null], ['e', 'ArrowLeft', null], ['nobody', 'ArrowUp', null],
  ]) assert.equal(neighbour(g, id, key), to, `${id} ${key}`)
  assert.deepEqual(g.nodes.map((n) => n.id), ['a', 'b', 'c', 'd', 'e'], 'the graph stays as it was')
})
