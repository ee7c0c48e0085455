/**
 * Batches whose rows lie in columns: a typed array per column, strings as codes into a dictionary.
 *
 * Invariants:
 *  L1  A store never changes once a batch holds it, but for its dictionaries, which only grow.
 *  L2  Row i of a batch lies at `selection[i]` of its store, or at i without a selection; times, keys and weights are
 *      already in the batch's order.
 *  L3  All batches of one schema share one row view: it is valid until `row` is called on any of them.
 */
import { type Batch, type Origin, selectOrigin, selectWeights } from './batch.ts'
import type { CanonicalKey } from './key.ts'
import { batchClass } from './row-view.ts'
import type { Fields, RowOf, Schema } from './schema.ts'

export type ColumnArray = Int32Array | Float64Array | BigInt64Array | Uint8Array | Uint32Array | unknown[]

interface KindArrays {
  int32: Int32Array
  float64: Float64Array
  int64: BigInt64Array
  bool: Uint8Array
  string: Uint32Array
  bytes: Uint8Array[]
}

/** Memory of a column: codes for 'string', 0 and 1 for 'bool', 0 where null. */
export type ColumnArrayOf<C> = C extends `${infer K}?`
  ? ColumnArrayOf<K>
  : C extends keyof KindArrays
    ? KindArrays[C]
    : unknown[]

export type ColumnsOf<F extends Fields> = { readonly [K in keyof F]: ColumnArrayOf<F[K]> }

/** The memory of some rows, by column name. */
export interface ColumnStore {
  readonly columns: Readonly<Record<string, ColumnArray>>
  /** Of nullable columns: 1 where there is a value, 0 where there is null. */
  readonly validity: Readonly<Record<string, Uint8Array>>
  /** Of string columns. */
  readonly dictionaries: Readonly<Record<string, readonly string[]>>
}

export abstract class ColumnBatch<F extends Fields = Fields> implements Batch<RowOf<Schema<F>>> {
  abstract readonly schema: Schema<F>
  readonly length: number
  readonly store: ColumnStore
  readonly selection: Int32Array | undefined
  readonly times: ArrayLike<number>
  readonly keys: ArrayLike<CanonicalKey> | undefined
  readonly weights: Int8Array | undefined
  readonly origin: Origin | undefined

  constructor(
    store: ColumnStore,
    length: number,
    selection: Int32Array | undefined,
    times: ArrayLike<number>,
    keys: ArrayLike<CanonicalKey> | undefined,
    weights: Int8Array | undefined,
    origin: Origin | undefined,
  ) {
    this.store = store
    this.length = length
    this.selection = selection
    this.times = times
    this.keys = keys
    this.weights = weights
    this.origin = origin
  }

  abstract row(i: number): RowOf<Schema<F>>
  abstract keep(i: number): RowOf<Schema<F>>

  /** Memory of a column, in the order of the store: see L2. */
  column<K extends keyof F & string>(name: K): ColumnArrayOf<F[K]> {
    return this.store.columns[name] as ColumnArrayOf<F[K]>
  }

  /** Strings of a string column by code. */
  dictionary(name: keyof F & string): readonly string[] {
    return this.store.dictionaries[name]
  }

  select(indices: ArrayLike<number>, count: number, keys?: ArrayLike<CanonicalKey>): ColumnBatch<F> {
    const { selection: from, times: allTimes } = this
    const selection = new Int32Array(count)
    const times = new Float64Array(count)
    for (let j = 0; j < count; j++) {
      const i = indices[j]
      selection[j] = from === undefined ? i : from[i]
      times[j] = allTimes[i]
    }
    return columnBatch(this.schema, this.store, count, {
      selection,
      times,
      keys: keys ?? this.#selectKeys(indices, count),
      weights: selectWeights(this.weights, indices, count),
      origin: selectOrigin(this.origin, indices, count),
    })
  }

  rekey(keys: ArrayLike<CanonicalKey> | undefined, times: ArrayLike<number> = this.times): ColumnBatch<F> {
    const { selection, weights, origin } = this
    return columnBatch(this.schema, this.store, this.length, { selection, times, keys, weights, origin })
  }

  #selectKeys(indices: ArrayLike<number>, count: number): CanonicalKey[] | undefined {
    if (this.keys === undefined) return undefined
    const out = new Array<CanonicalKey>(count)
    for (let j = 0; j < count; j++) out[j] = this.keys[indices[j]]
    return out
  }
}

export interface ColumnBatchParts {
  readonly times: ArrayLike<number>
  readonly selection?: Int32Array | undefined
  readonly keys?: ArrayLike<CanonicalKey> | undefined
  readonly weights?: Int8Array | undefined
  readonly origin?: Origin | undefined
}

/** A batch over a store, which it owns from here on. */
export function columnBatch<F extends Fields>(
  schema: Schema<F>,
  store: ColumnStore,
  length: number,
  { times, selection, keys, weights, origin }: ColumnBatchParts,
): ColumnBatch<F> {
  const Made = batchClass(schema, ColumnBatch)
  return new Made(store, length, selection, times, keys, weights, origin)
}
