// SPDX-License-Identifier: Apache-2.0
// Answers of /api/v1/graph, as small as a test of the map's modules needs them.
export const node = (id, x, y, rest = {}) => ({ id, name: id, kind: 'service', zone: 'z', layer: 0, x, y, w: 120, h: 44, bytes: 0, in_bytes: 0, out_bytes: 0, edges: 1, severity: 0, ...rest })

export const edge = (id, source, target, rest = {}) => ({ id, source, target, kind: 'edge', edge: id, client_service: source, server_service: target, ports: [80], protocol: 'tcp', edges: 1,
  observed_by: 'both', derived: { bytes: 0 }, signs: [], severity: 0, ...rest })

export const graph = (nodes, edges) => ({ from: 0, to: 300, group: 'service', metric: 'bytes', completeness: {}, matched: {}, nodes, edges, bands: [],
  width: Math.max(400, ...nodes.map((n) => n.x + n.w)), height: Math.max(200, ...nodes.map((n) => n.y + n.h)), other: { nodes: 0, edges: 0, bytes: 0 } })

// Boxes in columns, none on another, as the server lays them; edges between any two, also back and to itself.
export function randomGraph(random) {
  const nodes = []
  const columns = 1 + random.below(6)
  for (let column = 0; column < columns; column++)
    for (let i = 0, many = 1 + random.below(5); i < many; i++)
      nodes.push(node(`n${nodes.length}`, 130 + column * 320, 50 + i * (66 + random.below(3) * 22), { w: 96 + random.below(125), layer: column }))
  for (let column = 0; column < columns; column++) {
    const own = nodes.filter((n) => n.layer === column).sort((p, q) => p.y - q.y)
    own.forEach((n, i) => { n.y = i ? Math.max(n.y, own[i - 1].y + 66) : n.y })
  }
  const edges = Array.from({ length: random.below(30) }, (_, i) => edge(`e${String(i).padStart(2, '0')}`, random.one(nodes).id, random.one(nodes).id, { severity: random.below(3) }))
  return graph(nodes, edges)
}
