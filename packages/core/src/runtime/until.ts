/** Where a run stops reading: an event time for all sources, or positions by source and partition. */
import type { Position } from '../connector.ts'
import { UsageError } from '../errors.ts'
import type { Plan } from '../graph/plan.ts'
import type { StartPositions } from './start-positions.ts'

/** Event time in ms since the epoch, or positions by source and partition (`'*'` for all). */
export type Until = number | StartPositions

/** @throws UsageError `UNTIL` for something that is neither, or that names a source the flow does not have */
export function checkUntil(plan: Plan, until: Until | undefined): void {
  if (until === undefined || (typeof until === 'number' && !Number.isNaN(until))) return
  const sources = plan.nodes.filter((node) => node.spec.type === 'source').map((node) => node.name)
  if (typeof until === 'object' && until !== null && Object.keys(until).every((name) => sources.includes(name))) return
  throw new UsageError(
    'UNTIL',
    `"until" is ${JSON.stringify(until)}; it must be an event time in ms since the epoch, or positions by source and partition. Sources of flow "${plan.flow}": ${sources.join(', ')}.`,
  )
}

/** Has a partition come as far as it should? A partition without a bound never has. */
export function hasPassed(
  until: Until,
  source: string,
  partition: string,
  position: Position | undefined,
  watermark: number,
): boolean {
  if (typeof until === 'number') return watermark >= until
  const bound = until[source]?.[partition] ?? until[source]?.['*']
  if (bound === undefined) return false
  return position === undefined ? bound === 0 : isAtLeast(position, bound)
}

/** Rows that may still be read where positions count records; Infinity where they do not. */
export function rowsLeft(until: Until, source: string, partition: string, position: Position | undefined): number {
  if (typeof until === 'number') return Number.POSITIVE_INFINITY
  const bound = until[source]?.[partition] ?? until[source]?.['*']
  if (typeof bound !== 'number') return Number.POSITIVE_INFINITY
  return Math.max(1, bound - (typeof position === 'number' ? position : 0))
}

/** Positions are opaque; numbers are compared as such, and objects by the numbers both have. */
function isAtLeast(position: Position, bound: Position): boolean {
  if (typeof position === 'number' && typeof bound === 'number') return position >= bound
  if (typeof position !== 'object' || typeof bound !== 'object' || position === null || bound === null) return false
  const fields = Object.entries(bound).filter(([, value]) => typeof value === 'number')
  const here = position as Readonly<Record<string, Position>>
  return fields.length > 0 && fields.every(([name, value]) => (here[name] as number) >= (value as number))
}
