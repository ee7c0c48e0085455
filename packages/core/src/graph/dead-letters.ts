/** Wires the dead-letter outputs of steps to the sinks their error policies name. */
import type { Sink } from '../connector.ts'
import { type DeadLetter, type Edge, type ErrorPolicy, edge, type Graph } from './node.ts'

/** One sink step per sink object, however many steps share it. Calling it again adds only what is new. */
export function addDeadLetterSinks(graph: Graph): void {
  const wired = new Set(
    graph.nodes.flatMap((node) => node.inputs.filter((e) => e.output === 'dead').map((e) => e.from)),
  )
  const bySink = new Map<Sink<DeadLetter>, Edge[]>()
  for (const node of graph.nodes) {
    const sink = deadLetterSink(node.onError)
    if (sink === undefined || wired.has(node)) continue
    const edges = bySink.get(sink)
    if (edges === undefined) bySink.set(sink, [edge(node, 'forward', 'dead')])
    else edges.push(edge(node, 'forward', 'dead'))
  }
  for (const [sink, inputs] of bySink) {
    const first = inputs[0].from.name
    const input = inputs.length === 1 ? inputs[0] : edge(graph.add({ kind: 'union', inputs, spec: { type: 'union' } }))
    graph.add({
      kind: 'sink',
      name: graph.nodes.some((n) => n.name === 'dead-letters')
        ? `dead-letters of ${first.replace('#', ' ')}`
        : 'dead-letters',
      inputs: [sink.isSingle === true ? { ...input, partitioning: 'single' } : input],
      spec: { type: 'sink', sink: sink as Sink<unknown> },
    })
  }
}

function deadLetterSink(policy: ErrorPolicy): Sink<DeadLetter> | undefined {
  if (policy.type === 'retry') return deadLetterSink(policy.otherwise)
  return policy.type === 'dead-letter' ? policy.sink : undefined
}
