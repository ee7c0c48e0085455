/** Input of the operator benchmarks: readings of 1000 keys at 10,000 a second of event time, in memory, in batches. */
import { type Batch, ColumnBuilder, RowBatch, type Source, schema } from 'millrace/connector'

export interface Reading {
  readonly id: number
  readonly key: number
  readonly value: number
  /** Event time, ms. */
  readonly at: number
}

/** What the runtime asks for at most. */
const BATCH_ROWS = 1000
const KEYS = 1000
const START_MS = 1_700_000_000_000

export function makeRows(count: number): Reading[] {
  const rows: Reading[] = []
  let random = 7
  for (let id = 0; id < count; id++) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    rows.push({ id, key: (random >>> 8) % KEYS, value: (random >>> 20) / 16, at: START_MS + id / 10 })
  }
  return rows
}

export function inRows(rows: readonly Reading[]): Batch<Reading>[] {
  return batches(rows, (part) => new RowBatch(part, new Float64Array(part.length)))
}

const readings = schema({ id: 'int32', key: 'int32', value: 'float64', at: 'float64' })

export function inColumns(rows: readonly Reading[]): Batch<Reading>[] {
  const builder = new ColumnBuilder(readings, BATCH_ROWS)
  return batches(rows, (part) => {
    for (const row of part) builder.append(row, row.at)
    return builder.take()
  })
}

function batches(rows: readonly Reading[], make: (part: Reading[]) => Batch<Reading>): Batch<Reading>[] {
  const made: Batch<Reading>[] = []
  for (let from = 0; from < rows.length; from += BATCH_ROWS) made.push(make(rows.slice(from, from + BATCH_ROWS)))
  return made
}

/** Gives ready batches, as they are. A position is the number of batches given. */
export function batchSource<T>(batches: readonly Batch<T>[]): Source<T> {
  return {
    kind: 'bench.batches',
    bounded: true,
    replayable: true,
    describe: () => ({ batches: batches.length }),
    partitions: () => ['0'],
    open: (_, position) => {
      let next = (position as number) ?? 0
      return {
        read() {
          if (next === batches.length) return 'end'
          const rows = batches[next++]
          return { rows, next, caughtUp: next === batches.length, at: (i) => i }
        },
        close() {},
      }
    },
  }
}
