/** How a row that is taken back (weight -1) is written, so that a reader can tell it from a new one. */
import { UsageError } from '../errors.ts'
import type { Batch } from './batch.ts'

/** The member that marks a row taken back: `{ ..., $weight: -1 }`. Rows with weight +1 have no such member. */
export const WEIGHT = '$weight'

/**
 * Row `i` as a sink with `takesChanges` writes it: `row` itself, or a copy marked `"$weight": -1` when it is taken back.
 * @throws UsageError `SINK_CHANGES` when a row taken back has no room for the mark: it is no plain object
 * @example markedRow(new RowBatch([{ rank: 1 }], [0], undefined, Int8Array.of(-1)), 0) // => { rank: 1, $weight: -1 }
 */
export function markedRow<T>(batch: Batch<T>, i: number, row: T = batch.row(i)): T {
  if (batch.weights === undefined || batch.weights[i] !== -1) return row
  const problem = whyUnmarkable(row)
  if (problem === undefined) return { ...row, [WEIGHT]: -1 }
  throw new UsageError(
    'SINK_CHANGES',
    `a row is taken back (weight -1 at event time ${batch.times[i]}) and cannot be marked so with a member "${WEIGHT}": ${problem}. Unmarked it would be taken for a new row. Map rows to plain objects without such a member before the sink.`,
  )
}

function whyUnmarkable(row: unknown): string | undefined {
  if (typeof row !== 'object' || row === null) return `it is ${row === null ? 'null' : `a ${typeof row}`}`
  if (Array.isArray(row)) return 'it is an array'
  // What these write is not their members.
  if (row instanceof Map || row instanceof Set) return `it is a ${row instanceof Map ? 'Map' : 'Set'}`
  if ('toJSON' in row) return 'it has a toJSON of its own'
  return WEIGHT in row ? 'it has one already' : undefined
}
