/** Test only: a keyed input for window steps under test. */
import { type Edge, edge, type Graph } from '../graph/node.ts'

export function testInput(graph: Graph, partitioning: Edge['partitioning'] = 'key'): Edge {
  const from = graph.add({ kind: 'map', inputs: [], spec: { type: 'inline', op: 'map', fn: (row: unknown) => row } })
  return edge(from, partitioning)
}
