/** A copy of a flow's graph with other sources and sinks, for running it in a test. */
import type { Sink, Source } from '../connector.ts'
import { UsageError } from '../errors.ts'
import { type Edge, Graph, type GraphNode, type NodeSpec } from '../graph/node.ts'

export interface Ends {
  source(name: string, node: GraphNode): Source<unknown>
  sink(name: string, node: GraphNode): Sink<unknown>
  /** Wraps the other steps; default: as they are. */
  step?(spec: NodeSpec, node: GraphNode): NodeSpec
}

export function replaceEnds(graph: Graph, ends: Ends): Graph {
  const copy = new Graph(graph.name)
  const copies = new Map<GraphNode, GraphNode>()
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((edge): Edge => ({ ...edge, from: copies.get(edge.from) as GraphNode }))
    const replaced: GraphNode = { ...node, inputs, spec: replaceSpec(node, ends) }
    copies.set(node, replaced)
    copy.nodes.push(replaced)
  }
  return copy
}

/** Names of the sources, or of the sinks. */
export function endNames(graph: Graph, type: 'source' | 'sink'): string[] {
  return graph.nodes.filter((node) => node.spec.type === type).map((node) => node.name)
}

/** @throws UsageError `TEST_END` when the flow has no such source or sink */
export function checkEnd(graph: Graph, type: 'source' | 'sink', name: string): void {
  const names = endNames(graph, type)
  if (names.includes(name)) return
  const known = names.map((n) => `"${n}"`).join(', ')
  throw new UsageError('TEST_END', `flow "${graph.name}" has no ${type} "${name}"; it has ${known || 'none'}.`)
}

function replaceSpec(node: GraphNode, ends: Ends): NodeSpec {
  const { spec } = node
  if (spec.type === 'source') return { ...spec, source: ends.source(node.name, node) }
  if (spec.type === 'sink') return { ...spec, sink: ends.sink(node.name, node) }
  return ends.step?.(spec, node) ?? spec
}
