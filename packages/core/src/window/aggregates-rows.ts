/**
 * Aggregates that keep rows or values: first, last, collect, topN, distinct, reduce, and the plain function of a
 * window's rows.
 */
import { type CanonicalKey, canonicalKey, type Key } from '../batch/key.ts'
import { OperationalError, UsageError } from '../errors.ts'
import { type Aggregate, type Arrival, BadValue, type ObjectPart, type RowOrder } from './types.ts'

export interface OrderOptions {
  /** Default 'arrival'. */
  readonly order?: RowOrder
}

/** A value and where its row stood; `Entry` of the state. */
interface Entry {
  readonly v: unknown
  readonly at: Arrival
}

/** The first row, or `value` of it. */
export function first<In>(options?: OrderOptions): Aggregate<In, In>
export function first<In, Value>(value: (row: In) => Value, options?: OrderOptions): Aggregate<In, Value>
export function first(
  value?: ((row: never) => unknown) | OrderOptions,
  options?: OrderOptions,
): Aggregate<never, unknown> {
  return edgeRow('first', value, options, (order) => order < 0)
}

/** The last row, or `value` of it. */
export function last<In>(options?: OrderOptions): Aggregate<In, In>
export function last<In, Value>(value: (row: In) => Value, options?: OrderOptions): Aggregate<In, Value>
export function last(
  value?: ((row: never) => unknown) | OrderOptions,
  options?: OrderOptions,
): Aggregate<never, unknown> {
  return edgeRow('last', value, options, (order) => order > 0)
}

function edgeRow(
  kind: string,
  value: ((row: never) => unknown) | OrderOptions | undefined,
  options: OrderOptions | undefined,
  isNearer: (order: number) => boolean,
): Aggregate<never, unknown> {
  const read = typeof value === 'function' ? value : identity
  const compare = comparator(typeof value === 'object' ? value : options)
  return {
    kind,
    part: {
      type: 'object',
      retains: true,
      read,
      create: () => null,
      add: (acc, v, arrival) =>
        acc === null || isNearer(compare(arrival, (acc as Entry).at))
          ? ({ v, at: { ...arrival } } satisfies Entry)
          : acc,
      merge: (into, from) => {
        if (into === null || from === null) return into ?? from
        return isNearer(compare((from as Entry).at, (into as Entry).at)) ? from : into
      },
      result: (acc) => (acc as Entry).v,
    },
  }
}

export interface CollectOptions extends OrderOptions {
  /** Most rows per key and window; the row beyond it goes to the step's error policy. Default 10 000. */
  readonly limit?: number
}

/** The rows in order. More than `limit` give OperationalError `AGGREGATE_LIMIT`. */
export function collect<In>(options: CollectOptions = {}): Aggregate<In, In[]> {
  return { kind: 'collect', part: rowsPart('collect', options, (rows) => rows) }
}

/** Most rows of a window that a plain function of its rows is given. */
const applyRowsMax = 100_000

/** The value of `fn` of all rows of the window. */
export function applyRows<In, Value>(fn: (rows: readonly In[]) => Value): Aggregate<In, Value> {
  return { kind: 'apply', part: rowsPart('apply', { limit: applyRowsMax }, (rows) => applied(fn(rows as In[]))) }
}

function applied<Value>(value: Value): Value {
  if (value !== undefined) return value
  throw new OperationalError(
    'CALLBACK_RETURN',
    'the function of the rows of a window returned undefined; it must return a value. Did you forget `return`?',
  )
}

function rowsPart(kind: string, options: CollectOptions, result: (rows: unknown[]) => unknown): ObjectPart {
  const limit = options.limit ?? 10_000
  checkCount(`${kind} limit`, limit)
  const compare = comparator(options)
  return {
    type: 'object',
    retains: true,
    read: identity,
    create: () => [],
    add(acc, v, arrival) {
      const entries = acc as Entry[]
      if (entries.length >= limit) throw limitError(kind, limit)
      entries.push({ v, at: { ...arrival } })
      return entries
    },
    merge(into, from) {
      const entries = into as Entry[]
      if (entries.length + (from as Entry[]).length > limit) throw limitError(kind, limit)
      for (const entry of from as Entry[]) entries.push(entry)
      return entries
    },
    result: (acc) => result([...(acc as Entry[])].sort((a, b) => compare(a.at, b.at)).map((entry) => entry.v)),
  }
}

/** The `n` rows with the greatest `by`, greatest first; of equal ones the earlier. @throws UsageError `AGGREGATE_SHAPE` */
export function topN<In>(n: number, by: (row: In) => number, options: OrderOptions = {}): Aggregate<In, In[]> {
  checkCount('topN', n)
  const compare = comparator(options)
  type Ranked = Entry & { readonly score: number }
  const insert = (ranked: Ranked[], entry: Ranked): void => {
    const isBefore = (a: Ranked, b: Ranked): boolean =>
      a.score > b.score || (a.score === b.score && compare(a.at, b.at) < 0)
    if (ranked.length === n && !isBefore(entry, ranked[n - 1])) return
    let low = 0
    for (let high = ranked.length; low < high; ) {
      const middle = (low + high) >>> 1
      if (isBefore(entry, ranked[middle])) high = middle
      else low = middle + 1
    }
    ranked.splice(low, 0, entry)
    if (ranked.length > n) ranked.pop()
  }
  return {
    kind: 'topN',
    part: {
      type: 'object',
      retains: true,
      read(row: In) {
        const score = by(row)
        return typeof score === 'number' && !Number.isNaN(score)
          ? { row, score: score + 0 }
          : new BadValue(score, 'a number')
      },
      create: () => [],
      add(acc, value, arrival) {
        const { row, score } = value as { row: unknown; score: number }
        insert(acc as Ranked[], { v: row, score, at: { ...arrival } })
        return acc
      },
      merge(into, from) {
        for (const entry of from as Ranked[]) insert(into as Ranked[], entry)
        return into
      },
      result: (acc) => (acc as Ranked[]).map((entry) => entry.v),
    },
  }
}

/** Exact number of different values: strings, numbers, bigints, booleans, or tuples of them. Takes retractions. */
export function distinct<In>(value: (row: In) => Key): Aggregate<In, number> {
  type Counts = Map<CanonicalKey, number>
  const shift = (counts: Counts, key: CanonicalKey, by: number): Counts => {
    const n = (counts.get(key) ?? 0) + by
    if (n === 0) counts.delete(key)
    else counts.set(key, n)
    return counts
  }
  return {
    kind: 'distinct',
    part: {
      type: 'object',
      retains: false,
      read(row: In) {
        const got = value(row)
        try {
          return canonicalKey(got)
        } catch {
          return new BadValue(got, 'a string, a number, a bigint, a boolean or a tuple of them')
        }
      },
      create: () => new Map(),
      add: (acc, key) => shift(acc as Counts, key as CanonicalKey, 1),
      retract: (acc, key) => shift(acc as Counts, key as CanonicalKey, -1),
      merge(into, from) {
        for (const [key, n] of from as Counts) shift(into as Counts, key, n)
        return into
      },
      result: (acc) => (acc as Counts).size,
    },
  }
}

/** Rows folded pairwise. `combine` must be associative, and commutative where windows are put together from parts. */
export function reduce<In>(combine: (a: In, b: In) => In): Aggregate<In, In> {
  type Box = { readonly v: In } | null
  return {
    kind: 'reduce',
    part: {
      type: 'object',
      retains: true,
      read: identity,
      create: () => null,
      add: (acc, row) => ({ v: acc === null ? (row as In) : combine((acc as { v: In }).v, row as In) }) satisfies Box,
      merge: (into, from) => {
        if (into === null || from === null) return into ?? from
        return { v: combine((into as { v: In }).v, (from as { v: In }).v) }
      },
      result: (acc) => (acc as { v: In }).v,
    },
  }
}

/** Compares rows of a step: by arrival, or by event time, source, partition, offset. */
export function comparator(options: OrderOptions | undefined): (a: Arrival, b: Arrival) => number {
  return options?.order === 'eventTime' ? compareEventTime : (a, b) => a.sequence - b.sequence
}

export function compareEventTime(a: Arrival, b: Arrival): number {
  return (
    a.time - b.time ||
    compareText(a.source, b.source) ||
    compareText(a.partition, b.partition) ||
    comparePositions(a.at, b.at) ||
    a.sequence - b.sequence
  )
}

function comparePositions(a: number | string, b: number | string): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : compareText(String(a), String(b))
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function identity(row: unknown): unknown {
  return row
}

function checkCount(what: string, n: number): void {
  if (Number.isSafeInteger(n) && n >= 1) return
  throw new UsageError('AGGREGATE_SHAPE', `${what} is ${String(n)}; it must be a whole number from 1.`, {
    data: { got: n },
  })
}

function limitError(kind: string, limit: number): OperationalError {
  return new OperationalError(
    'AGGREGATE_LIMIT',
    `${kind} holds ${limit} rows of one key and window, its limit. Use a smaller window, an aggregate that does not keep rows, or collect({ limit }).`,
    { data: { limit } },
  )
}
