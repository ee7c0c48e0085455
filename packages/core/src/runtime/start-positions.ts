/** Positions given by the user at start, checked against the plan. */
import type { Position } from '../connector.ts'
import { UsageError } from '../errors.ts'
import type { Plan } from '../graph/plan.ts'
import type { PartitionState } from './source-input.ts'

/** By source, then by partition; `'*'` stands for every partition. */
export type StartPositions = Readonly<Record<string, Readonly<Record<string, Position>>>>

/** @throws UsageError `FROM_SOURCE` for a source that the flow does not have */
export function startStates(plan: Plan, from: StartPositions = {}): Record<string, Record<string, PartitionState>> {
  const sources = plan.nodes.filter((node) => node.spec.type === 'source').map((node) => node.name)
  const out: Record<string, Record<string, PartitionState>> = {}
  for (const [source, positions] of Object.entries(from)) {
    if (!sources.includes(source)) {
      throw new UsageError(
        'FROM_SOURCE',
        `"from" names source "${source}", which flow "${plan.flow}" does not have; its sources are ${sources.join(', ')}.`,
      )
    }
    out[source] = Object.fromEntries(
      Object.entries(positions).map(([partition, position]) => [partition, { position, watermark: null, rows: 0 }]),
    )
  }
  return out
}
