/**
 * What operators hold across records. All durable state of an operator lies in tables: the runtime snapshots, restores,
 * redistributes and measures them, and an operator never writes snapshot code.
 *
 * An entry's address is (key, sub): `key` is the record's canonical key and decides which worker owns the entry; `sub`
 * tells entries of one key apart (a slice start, a map key, a sequence number).
 */
import type { CanonicalKey } from '../batch/key.ts'

/** How values become bytes. Identity of state = step name + table name + codec name + version. */
export interface Codec<V> {
  readonly name: string
  /** 0..255; written before the data, so that old state is recognised. */
  readonly version: number
  encode(value: V): unknown
  /** From what `encode` returned (JSON-safe or tagged JSON). `version` is the one it was written with. */
  decode(data: unknown, version: number): V
  /** Hash of the schema, where the values have one. */
  readonly schema?: string
}

export interface TableOptions<V> {
  readonly codec?: Codec<V>
  /** Which of the two address parts is the outer map: the record's key (default) or `sub` (windows drop whole slices). */
  readonly major?: 'key' | 'sub'
  /** Entries not written for this long (in the time the caller passes to `expire`) may be dropped. */
  readonly ttlMs?: number
}

/** Generic keyed table of values. Values are live: after mutating one in place, call `set` to mark it dirty. */
export interface Table<V> {
  readonly name: string
  readonly size: number
  get(key: CanonicalKey, sub?: CanonicalKey): V | undefined
  has(key: CanonicalKey, sub?: CanonicalKey): boolean
  /**
   * Stores a value; an omitted `sub` is the sub ''. `time` counts for tables with `ttlMs`: the entry expires once
   * `expire(now)` is called with now >= time + ttlMs (at most an eighth of the ttl later); an earlier time than the
   * entry already has is ignored, an omitted one is the newest time the table has been told.
   * @throws OperationalError `STATE_VALUE` (checked on the first set), `STATE_LIMIT`
   */
  set(key: CanonicalKey, value: V, sub?: CanonicalKey, time?: number): void
  delete(key: CanonicalKey, sub?: CanonicalKey): boolean
  /** Entries of one outer key (a record's key, or a `sub` when the table is sub-major): inner address -> value. */
  group(outer: CanonicalKey): ReadonlyMap<CanonicalKey, V> | undefined
  /** Calls `visit` for each entry of one outer key; it may delete the entry and add others, which may be visited. */
  forEachOf(outer: CanonicalKey, visit: (inner: CanonicalKey, value: V) => void): void
  deleteGroup(outer: CanonicalKey): void
  /** All outer keys. */
  outers(): Iterable<CanonicalKey>
  /**
   * Drops the entries whose ttl has passed at `now` (same time base as `set`), calling `visit` for each first; returns
   * how many. O(expired). Without `ttlMs` nothing expires.
   */
  expire(now: number, visit?: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): number
  /** Calls `visit(key, sub, value)` for every entry; `sub` is '' where it was omitted. */
  forEach(visit: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): void
}

/**
 * Table of fixed-width numeric accumulators, sub-major: one open-addressing table of keys per `sub`, accumulators in
 * Float64Array columns. The hot path of window aggregation.
 */
export interface NumericTable {
  readonly name: string
  readonly width: number
  /** The slice for `sub`, made when missing. */
  slice(sub: number): NumericSlice
  peek(sub: number): NumericSlice | undefined
  drop(sub: number): void
  /** The `sub`s that exist, unordered. */
  subs(): Iterable<number>
  readonly size: number
}

export interface NumericSlice {
  readonly count: number
  /** `columns[c][slot]`; replaced when the slice grows, so read it again after `slot()`. */
  readonly columns: readonly Float64Array[]
  /** Slot of `key`; a new key's columns start at the table's initial values. Marks the slot dirty. */
  slot(key: CanonicalKey): number
  /** Slot of `key`, or -1. Does not mark it dirty. */
  find(key: CanonicalKey): number
  keyAt(slot: number): CanonicalKey
}

export interface StateAccess {
  /** A table of this step; the same name gives the same table. Call it in `create`, never per record. */
  table<V>(name: string, options?: TableOptions<V>): Table<V>
  /** `initial` holds the start value of each column; its length is the width. */
  numericTable(name: string, initial: readonly number[]): NumericTable
}
