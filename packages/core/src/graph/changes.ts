/**
 * Which sinks get changes: rows with weight +1 and -1. A sink that does not say `takesChanges` would write a row taken
 * back like a new one, so it gets none: refused here where the plan can tell, else when the first such row comes.
 */
import type { Batch } from '../batch/batch.ts'
import { WEIGHT } from '../batch/changes.ts'
import { UsageError } from '../errors.ts'
import type { GraphNode } from './node.ts'

/** @throws UsageError `SINK_CHANGES` when changes lead to a sink that cannot tell them apart */
export function checkChanges(nodes: readonly GraphNode[]): void {
  /** By node: the step whose changes it passes on. */
  const makers: (GraphNode | undefined)[] = []
  for (const node of nodes) {
    const { spec, inputs } = node
    const passed = spec.type === 'union' ? inputs : inputs.slice(0, 1)
    // A dead letter is a new row, whatever happened to the record.
    const maker = passed
      .map((e) => (e.output === 'dead' ? undefined : makers[e.from.id]))
      .find((found) => found !== undefined)
    if (spec.type === 'operator')
      makers.push(spec.changes === 'makes' ? node : spec.changes === 'keeps' ? maker : undefined)
    else makers.push(maker)
    if (maker !== undefined && spec.type === 'sink' && spec.sink.takesChanges !== true)
      throw refused(
        node,
        spec.sink.kind,
        `step "${maker.name}" (${maker.kind}) takes rows back when its result changes`,
      )
  }
}

/** @throws UsageError `SINK_CHANGES` when the batch of a sink that takes no changes has a row of weight -1 */
export function refuseChanges(node: GraphNode, batch: Batch): void {
  if (batch.weights === undefined || node.spec.type !== 'sink' || node.spec.sink.takesChanges === true) return
  const i = batch.weights.indexOf(-1)
  if (i !== -1) throw refused(node, node.spec.sink.kind, `a row is taken back at event time ${batch.times[i]}`)
}

function refused(node: GraphNode, kind: string, what: string): UsageError {
  return new UsageError(
    'SINK_CHANGES',
    `${what} (weight -1), and sink "${node.name}" (${kind}) cannot mark such rows: a reader would take them for new ones. Use a sink that marks them ("${WEIGHT}": -1 in JSON, a column "${WEIGHT}" in CSV, a format with takesChanges), aggregate the changes before it, or make rows of your own of them in a process step, where ctx.weight tells them apart.`,
    { step: node.name },
  )
}
