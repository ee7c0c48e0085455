/**
 * Fills column batches row by row. Of a fixed capacity: `take` hands the rows over as a batch and starts with new memory.
 *
 * Two ways in: `append(row, time)` checks every value; or `const i = builder.next(time)` and writes into
 * `builder.columns.price[i]`, unchecked, with `builder.code('channel', text)` for strings.
 */
import { UsageError } from '../errors.ts'
import type { Origin } from './batch.ts'
import { type ColumnArray, type ColumnBatch, type ColumnStore, type ColumnsOf, columnBatch } from './columns.ts'
import type { CanonicalKey } from './key.ts'
import { type Cells, type RowTarget, type RowWriter, rowWriter } from './row-writer.ts'
import type { Column, Fields, RowOf, Schema } from './schema.ts'

/** A dictionary that reached this many strings is left to the batches that use it, and a new one is begun. */
const dictionaryMax = 65_536

interface Dictionary {
  readonly strings: string[]
  readonly codes: Map<string, number>
}

export class ColumnBuilder<F extends Fields = Fields> {
  readonly schema: Schema<F>
  readonly capacity: number
  /** Memory of the rows being built, replaced by `take`. */
  columns: ColumnsOf<F>
  /** Of nullable columns; all 1 at first. Write 0 for null. */
  validity: Readonly<Record<string, Uint8Array>>
  readonly #dictionaries: Record<string, Dictionary> = {}
  readonly #write: RowWriter
  #times: Float64Array
  #length = 0

  /** @throws UsageError `COLUMN_CAPACITY` when `capacity` is not an integer from 1 to 1,000,000 */
  constructor(schema: Schema<F>, capacity = 1024) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 1_000_000) {
      throw new UsageError('COLUMN_CAPACITY', `a column builder holds 1 to 1,000,000 rows; got ${String(capacity)}.`)
    }
    this.schema = schema
    this.capacity = capacity
    for (const { name, kind } of schema.columns) if (kind === 'string') this.#renewDictionary(name)
    this.columns = this.#newColumns()
    this.validity = this.#newValidity()
    this.#times = new Float64Array(capacity)
    this.#write = rowWriter(schema)
  }

  get length(): number {
    return this.#length
  }

  get isFull(): boolean {
    return this.#length === this.capacity
  }

  /** Opens the next row and returns its index; its cells are to be written before `take`. */
  next(time: number): number {
    if (this.#length === this.capacity) throw this.#full()
    this.#times[this.#length] = time
    return this.#length++
  }

  /** Code of a string in a column's dictionary. */
  code(name: keyof F & string, text: string): number {
    const { codes, strings } = this.#dictionaries[name]
    let code = codes.get(text)
    if (code === undefined) {
      code = strings.length
      strings.push(text)
      codes.set(text, code)
    }
    return code
  }

  /**
   * Adds a row; undefined counts as null.
   * @throws OperationalError `COLUMN_TYPE` when a value does not fit its column; the row is not added
   */
  append(row: RowOf<Schema<F>>, time: number): void {
    if (this.#length === this.capacity) throw this.#full()
    this.#write(row as Cells, this.#length, this as unknown as RowTarget)
    this.#times[this.#length++] = time
  }

  /** The rows so far as a batch. The builder is empty afterwards. */
  take(
    parts: {
      readonly origin?: Origin | undefined
      readonly keys?: ArrayLike<CanonicalKey> | undefined
      readonly weights?: Int8Array | undefined
    } = {},
  ): ColumnBatch<F> {
    const length = this.#length
    const dictionaries: Record<string, readonly string[]> = {}
    for (const name in this.#dictionaries) {
      dictionaries[name] = this.#dictionaries[name].strings
      if (dictionaries[name].length >= dictionaryMax) this.#renewDictionary(name)
    }
    // A batch that fills less than half of its memory is copied, so that a slow source does not hold full buffers.
    const fit = <A extends { slice(start: number, end: number): A }>(array: A): A =>
      length * 2 < this.capacity ? array.slice(0, length) : array
    const store: ColumnStore = {
      columns: mapValues(this.columns as Record<string, ColumnArray>, (array) =>
        Array.isArray(array) ? array.slice(0, length) : fit(array as Uint8Array),
      ),
      validity: mapValues(this.validity, fit),
      dictionaries,
    }
    const batch = columnBatch(this.schema, store, length, { times: this.#times.subarray(0, length), ...parts })
    this.columns = this.#newColumns()
    this.validity = this.#newValidity()
    this.#times = new Float64Array(this.capacity)
    this.#length = 0
    return batch
  }

  #newColumns(): ColumnsOf<F> {
    const columns: Record<string, ColumnArray> = {}
    for (const { name, kind } of this.schema.columns) columns[name] = columnArray(kind, this.capacity)
    return columns as ColumnsOf<F>
  }

  #newValidity(): Record<string, Uint8Array> {
    const validity: Record<string, Uint8Array> = {}
    for (const { name, isNullable } of this.schema.columns) {
      if (isNullable) validity[name] = new Uint8Array(this.capacity).fill(1)
    }
    return validity
  }

  #renewDictionary(name: string): void {
    this.#dictionaries[name] = { strings: [], codes: new Map() }
  }

  #full(): UsageError {
    return new UsageError(
      'COLUMN_CAPACITY',
      `a column builder of ${this.capacity} rows is full; take() its batch when isFull is true.`,
    )
  }
}

/** A batch of columns from plain rows. @throws OperationalError `COLUMN_TYPE` */
export function columnsFromRows<F extends Fields>(
  schema: Schema<F>,
  rows: readonly RowOf<Schema<F>>[],
  times: ArrayLike<number>,
): ColumnBatch<F> {
  const builder = new ColumnBuilder(schema, Math.max(1, rows.length))
  for (let i = 0; i < rows.length; i++) builder.append(rows[i], times[i])
  return builder.take()
}

/** Memory for `length` values of a kind. */
export function columnArray(kind: Column['kind'], length: number): ColumnArray {
  switch (kind) {
    case 'int32':
      return new Int32Array(length)
    case 'float64':
      return new Float64Array(length)
    case 'int64':
      return new BigInt64Array(length)
    case 'bool':
      return new Uint8Array(length)
    case 'string':
      return new Uint32Array(length)
    default:
      return new Array<unknown>(length).fill(undefined)
  }
}

function mapValues<A, B>(from: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  const out: Record<string, B> = {}
  for (const name in from) out[name] = map(from[name])
  return out
}
