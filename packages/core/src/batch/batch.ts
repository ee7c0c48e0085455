/**
 * The unit that moves through the engine: some rows with their event times, and once keyed, their keys.
 *
 * Invariants:
 *  B1  A batch is immutable once it has left the operator that made it.
 *  B2  `row(i)` of a column batch returns one shared view that the next `row` call moves: whatever retains a row keeps
 *      `keep(i)`. Row batches return the object itself from both.
 *  B3  `times`, `keys` and `weights`, where present, have `length` entries.
 */
import type { CanonicalKey } from './key.ts'

export interface Batch<T = unknown> {
  readonly length: number
  /** Event time of each row: ms since the epoch, fractions allowed. */
  readonly times: ArrayLike<number>
  /** Canonical keys, once the stream is keyed. */
  readonly keys: ArrayLike<CanonicalKey> | undefined
  /** +1 for an insert, -1 for a retraction; undefined means all +1. */
  readonly weights: Int8Array | undefined
  /** Where the rows came from, for error messages, dead letters and idempotent sinks; undefined after aggregation. */
  readonly origin: Origin | undefined
  /** Row `i`, valid until the next call of `row` on any batch with the same columns. */
  row(i: number): T
  /** Row `i` as an object the caller may retain. */
  keep(i: number): T
  /**
   * The rows at `indices[0 .. count)`, in that order, with the same keys unless `keys` (one per index) are given.
   * `indices` is copied: the caller may use its memory again.
   */
  select(indices: ArrayLike<number>, count: number, keys?: ArrayLike<CanonicalKey>): Batch<T>
  /** The same rows under other keys and, where given, other times. */
  rekey(keys: ArrayLike<CanonicalKey> | undefined, times?: ArrayLike<number>): Batch<T>
}

/** Position of the rows of a batch in a source partition. */
export interface Origin {
  readonly source: string
  readonly partition: string
  /** Human-readable and stable position of row `i`: a line number, an offset. */
  at(i: number): string | number
}

/** Where row `i` came from, for messages and dead letters: 'readings logs/a.jsonl:17'. */
export function describeOrigin(origin: Origin | undefined, i: number): string | undefined {
  return origin === undefined ? undefined : `${origin.source} ${origin.partition}:${origin.at(i)}`
}

/** A batch of plain values. */
export class RowBatch<T = unknown> implements Batch<T> {
  readonly length: number
  readonly rows: readonly T[]
  readonly times: ArrayLike<number>
  readonly keys: ArrayLike<CanonicalKey> | undefined
  readonly weights: Int8Array | undefined
  readonly origin: Origin | undefined

  constructor(
    rows: readonly T[],
    times: ArrayLike<number>,
    keys?: ArrayLike<CanonicalKey>,
    weights?: Int8Array,
    origin?: Origin,
  ) {
    this.length = rows.length
    this.rows = rows
    this.times = times
    this.keys = keys
    this.weights = weights
    this.origin = origin
  }

  row(i: number): T {
    return this.rows[i]
  }

  keep(i: number): T {
    return this.rows[i]
  }

  select(indices: ArrayLike<number>, count: number, keys?: ArrayLike<CanonicalKey>): RowBatch<T> {
    const rows = new Array<T>(count)
    const times = new Array<number>(count)
    const kept = keys === undefined && this.keys !== undefined ? new Array<CanonicalKey>(count) : undefined
    for (let j = 0; j < count; j++) {
      const i = indices[j]
      rows[j] = this.rows[i]
      times[j] = this.times[i]
      if (kept !== undefined) kept[j] = (this.keys as ArrayLike<CanonicalKey>)[i]
    }
    return new RowBatch(
      rows,
      times,
      keys ?? kept,
      selectWeights(this.weights, indices, count),
      selectOrigin(this.origin, indices, count),
    )
  }

  rekey(keys: ArrayLike<CanonicalKey> | undefined, times: ArrayLike<number> = this.times): RowBatch<T> {
    return new RowBatch(this.rows, times, keys, this.weights, this.origin)
  }
}

export function selectWeights(
  weights: Int8Array | undefined,
  indices: ArrayLike<number>,
  count: number,
): Int8Array | undefined {
  if (weights === undefined) return undefined
  const out = new Int8Array(count)
  for (let j = 0; j < count; j++) out[j] = weights[indices[j]]
  return out
}

export function selectOrigin(
  origin: Origin | undefined,
  indices: ArrayLike<number>,
  count: number,
): Origin | undefined {
  if (origin === undefined) return undefined
  const picked = new Int32Array(count)
  for (let j = 0; j < count; j++) picked[j] = indices[j]
  return { source: origin.source, partition: origin.partition, at: (i) => origin.at(picked[i]) }
}
