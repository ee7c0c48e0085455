/** Which worker reads which partitions. */
import type { SourceContext } from '../connector.ts'
import type { Plan } from '../graph/plan.ts'
import { connectorError } from './failures.ts'

/** Partitions by source step, for one worker. */
export type Assignment = Record<string, string[]>

/** Asks each source for its partitions and deals them to the workers, round robin. @throws what the connectors throw */
export async function assignPartitions(plan: Plan, context: (step: string) => SourceContext): Promise<Assignment[]> {
  const assignments = Array.from({ length: plan.workers }, (): Assignment => ({}))
  let next = 0
  for (const { name, spec } of plan.nodes) {
    if (spec.type !== 'source') continue
    let partitions: readonly string[]
    try {
      partitions = await spec.source.partitions(context(name))
    } catch (error) {
      throw connectorError(error, 'SOURCE_FAILED', name)
    }
    for (const partition of partitions) {
      const own = assignments[next++ % plan.workers]
      own[name] = [...(own[name] ?? []), partition]
    }
  }
  return assignments
}
