/**
 * One side of an as-of join: per key its rows in event-time order, found by binary search.
 *
 * Invariants:
 *  AR1 For every time >= the horizon of the last `add`, the row as of that time is the one that an unpruned buffer gives,
 *      unless `maxPerKey` was exceeded, which is counted.
 *  AR2 A key holds at most `maxPerKey` rows; the oldest go first.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { StepMetrics } from '../graph/operator.ts'
import type { StateAccess, Table } from '../state/table.ts'
import { interpolate } from './as-of-interpolate.ts'
import { addRow, dropOldest, type TimeBuffer, timeBuffer, upperBound } from './join-buffer.ts'

export type FillPolicy =
  | { readonly type: 'none' | 'last' | 'interpolate' }
  | { readonly type: 'default'; readonly value: unknown }

export interface RightSide {
  /** Name of the table. */
  readonly name: string
  /** Infinity: any age. */
  readonly withinMs: number
  readonly required: boolean
  readonly fill: FillPolicy
  readonly maxPerKey: number
}

/** The row says that there is none from its time on. */
const DELETED = 1

/** Pruning moves the rows that stay: of longer buffers only when it frees half. */
const cheapToMove = 32
/** Keys are searched for expired ones after as many adds as the last search left keys, and never more often than this. */
const addsPerSweepMin = 1024

export class AsOfRight {
  readonly side: RightSide
  readonly #table: Table<TimeBuffer>
  readonly #metrics: StepMetrics
  #rowCount = 0
  #addsSinceSweep = 0
  #addsPerSweep = addsPerSweepMin

  constructor(side: RightSide, state: StateAccess, metrics: StepMetrics) {
    this.side = side
    this.#table = state.table(`right:${side.name}`)
    this.#metrics = metrics
    this.#table.forEach((_key, _sub, buffer) => {
      this.#rowCount += buffer.times.length
    })
  }

  /** Rows kept. */
  get rowCount(): number {
    return this.#rowCount
  }

  /**
   * Takes a row in; no left row older than `horizon` will be asked for any more, and no row older than it be added.
   * O(log n) for rows in order.
   */
  add(key: CanonicalKey, time: number, row: unknown, isDeleted: boolean, horizon: number): void {
    const buffer = this.#table.get(key) ?? timeBuffer()
    addRow(buffer, time, isDeleted ? null : row, isDeleted ? DELETED : 0)
    this.#rowCount++
    this.#prune(buffer, horizon)
    const excess = buffer.times.length - this.side.maxPerKey
    if (excess > 0) {
      dropOldest(buffer, excess)
      this.#rowCount -= excess
      this.#metrics.dropped(excess, 'expired')
    }
    this.#table.set(key, buffer)
    if (++this.#addsSinceSweep >= this.#addsPerSweep) this.#sweep(horizon)
  }

  /** Is the row as of `time` known, when every row before `watermark` has been seen? */
  isKnown(key: CanonicalKey, time: number, watermark: number): boolean {
    if (watermark <= time) return false
    const { withinMs, fill } = this.side
    if (fill.type !== 'interpolate' || watermark > time + withinMs) return true
    const times = this.#table.get(key)?.times
    if (times === undefined) return true
    const at = upperBound(times, time)
    if (at === 0 || time - times[at - 1] > withinMs || times[at - 1] === time) return true
    return at < times.length && watermark > times[at]
  }

  /** The row as of `time`, or what fills its place; undefined when there is neither. O(log n). */
  valueAt(key: CanonicalKey, time: number): unknown {
    const { withinMs, fill } = this.side
    const absent = fill.type === 'default' ? fill.value : undefined
    const buffer = this.#table.get(key)
    if (buffer === undefined) return absent
    const { times, rows, flags } = buffer
    const at = upperBound(times, time) - 1
    if (at < 0 || (flags[at] & DELETED) !== 0) return absent
    if (fill.type !== 'last' && time - times[at] > withinMs) return absent
    if (fill.type !== 'interpolate' || times[at] === time || at + 1 === times.length) return rows[at]
    const nextTime = times[at + 1]
    if (nextTime - time > withinMs) return rows[at]
    const next = rows[upperBound(times, nextTime) - 1]
    return interpolate(rows[at], next, (time - times[at]) / (nextTime - times[at]))
  }

  /** Of the rows up to the horizon only the latest can still be the answer. */
  #prune(buffer: TimeBuffer, horizon: number): void {
    const { times } = buffer
    if (times.length < 2 || times[1] > horizon) return
    const count = upperBound(times, horizon) - 1
    if (count < times.length >>> 1 && times.length > cheapToMove && times.length < this.side.maxPerKey) return
    dropOldest(buffer, count)
    this.#rowCount -= count
    this.#metrics.merged(count)
  }

  /** Forgets keys whose last row cannot be the answer any more. Linear in the keys, constant per row added. */
  #sweep(horizon: number): void {
    this.#addsSinceSweep = 0
    const { withinMs, fill } = this.side
    const expired: CanonicalKey[] = []
    this.#table.forEach((key, _sub, { times, flags }) => {
      const last = times.length - 1
      const isTooOld = fill.type !== 'last' && times[last] < horizon - withinMs
      if (isTooOld || ((flags[last] & DELETED) !== 0 && times[last] <= horizon)) expired.push(key)
    })
    for (const key of expired) {
      const count = this.#table.get(key)?.times.length ?? 0
      this.#rowCount -= count
      this.#metrics.merged(count)
      this.#table.delete(key)
    }
    // Counted from what is left: compared with the growing table, as many keys as adds, it would never be due again.
    this.#addsPerSweep = Math.max(addsPerSweepMin, this.#table.size)
  }
}
