/**
 * Sliding windows: one result per record, over the rows of its key with a time in `(time - size, time]`.
 *
 * State: `pending`, the rows the watermark has not passed, and `rows`, by (key, arrival), those a window may still hold.
 * Per key the rows are kept in event-time order in memory too, rebuilt at restore.
 *
 * The rows of a window are added up anew for each result: results of object aggregates are as large as the window anyway.
 * Numeric aggregates without lateness have an operator of their own, window-sliding-numbers.ts.
 *
 * Invariants:
 *  L1  A record's result is emitted in the call of the first watermark > its time, in event-time order.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import type { Operator } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { compareEventTime } from '../window/aggregates-rows.ts'
import type { Inputs } from '../window/plan.ts'
import type { Arrival, Pane, SlidingWindow } from '../window/types.ts'
import { type Flat, FlatAccumulators } from './window-flat.ts'
import { PendingRows } from './window-pending.ts'
import { bounds, type WindowStep } from './window-step.ts'

interface SlidingRow {
  readonly at: Arrival
  readonly inputs: Inputs
}

export class SlidingWindows implements Operator {
  readonly #step: WindowStep
  readonly #sizeMs: number
  readonly #table: Table<SlidingRow>
  readonly #pending: PendingRows
  readonly #flat: FlatAccumulators
  /** Rows of each key in event-time order. */
  readonly #keys = new Map<CanonicalKey, SlidingRow[]>()
  /** Rows that windows may still hold, in the order they came to be: whom to look at when time has passed. */
  #passed: { readonly time: number; readonly key: CanonicalKey }[] = []
  #oldest = 0

  constructor(step: WindowStep, window: SlidingWindow) {
    this.#step = step
    this.#sizeMs = window.sizeMs
    this.#table = step.ctx.state.table<SlidingRow>('rows')
    this.#flat = new FlatAccumulators(step)
    this.#pending = new PendingRows(step)
    this.#table.forEach((key, sub, row) => {
      step.continueAfter(sub as number)
      this.#rowsOf(key).push(row)
    })
    for (const [key, rows] of this.#keys) {
      rows.sort((a, b) => compareEventTime(a.at, b.at))
      for (const { at } of rows) this.#passed.push({ time: at.time, key })
    }
    this.#passed.sort((a, b) => a.time - b.time)
  }

  process(input: Batch): void {
    const step = this.#step
    const batch = step.input(input)
    for (let i = 0; i < batch.length; i++) {
      const time = batch.times[i]
      if ((batch.weights?.[i] ?? 1) < 0) step.fail(noRetraction(step.ctx.step), batch, i)
      else if (time < step.watermark - step.latenessMs) step.late(batch, i)
      else if (step.read(batch, i, 1)) {
        const key = step.keyOf(batch, i)
        const arrival = step.arrive(batch, i)
        step.ctx.metrics.merged(1)
        if (time >= step.watermark) this.#pending.add(key, arrival)
        else this.#takeLate(key, { at: { ...arrival }, inputs: step.plan.inputs() })
      }
    }
  }

  watermark(time: number): void {
    const step = this.#step
    const ready: SlidingRow[] = []
    const keys: CanonicalKey[] = []
    this.#pending.takeBefore(time, (key, { at, inputs }) => {
      // Rows of one time are in each other's windows: all are added before the first of them gives its result.
      if (ready.length > 0 && ready[0].at.time !== at.time) this.#emitAll(keys, ready)
      const row = { at, inputs }
      this.#add(key, row)
      keys.push(key)
      ready.push(row)
    })
    this.#emitAll(keys, ready)
    step.watermark = time
    this.#expire()
  }

  #rowsOf(key: CanonicalKey): SlidingRow[] {
    let rows = this.#keys.get(key)
    if (rows === undefined) this.#keys.set(key, (rows = []))
    return rows
  }

  #add(key: CanonicalKey, row: SlidingRow): void {
    this.#rowsOf(key).push(row)
    this.#passed.push({ time: row.at.time, key })
    this.#table.set(key, row, row.at.sequence)
  }

  #addTo(acc: Flat, row: SlidingRow): void {
    const { plan, arrival } = this.#step
    plan.use(row.inputs)
    Object.assign(arrival, row.at)
    this.#flat.add(acc)
  }

  #emitAll(keys: CanonicalKey[], rows: SlidingRow[]): void {
    for (let i = 0; i < rows.length; i++) this.#emit(keys[i], rows[i].at.time, 'onTime')
    keys.length = 0
    rows.length = 0
  }

  #emit(key: CanonicalKey, time: number, pane: Pane): void {
    const window = bounds(time + 1 - this.#sizeMs, time + 1)
    try {
      this.#flat.emit(key, [this.#sum(this.#rowsOf(key), time)], () => window, pane)
    } catch (thrown) {
      this.#step.failResult(thrown, key, time)
    }
  }

  /** The rows with a time in (time - size, time], added up. */
  #sum(rows: readonly SlidingRow[], time: number): Flat {
    const acc = this.#flat.create()
    for (let i = firstAfter(rows, time - this.#sizeMs); i < rows.length && rows[i].at.time <= time; i++) {
      this.#addTo(acc, rows[i])
    }
    return acc
  }

  /** A row behind the watermark, within the lateness: gives its own result and counts in later ones. */
  #takeLate(key: CanonicalKey, row: SlidingRow): void {
    const rows = this.#rowsOf(key)
    let at = rows.length
    while (at > 0 && compareEventTime(rows[at - 1].at, row.at) > 0) at--
    rows.splice(at, 0, row)
    this.#passed.push({ time: row.at.time, key })
    this.#table.set(key, row, row.at.sequence)
    this.#emit(key, row.at.time, 'late')
  }

  /** Drops the rows no window can hold any more. */
  #expire(): void {
    const limit = this.#step.watermark - this.#step.latenessMs - this.#sizeMs
    for (; this.#oldest < this.#passed.length && this.#passed[this.#oldest].time <= limit; this.#oldest++) {
      const { key } = this.#passed[this.#oldest]
      const rows = this.#keys.get(key)
      if (rows === undefined) continue
      const count = firstAfter(rows, limit)
      for (let i = 0; i < count; i++) this.#table.delete(key, rows[i].at.sequence)
      if (count > 0) rows.splice(0, count)
      if (rows.length === 0) this.#keys.delete(key)
    }
    if (this.#oldest * 2 >= this.#passed.length) {
      this.#passed = this.#passed.slice(this.#oldest)
      this.#oldest = 0
    }
  }
}

/** Index of the first row with a time > `limit`. */
function firstAfter(rows: readonly SlidingRow[], limit: number): number {
  let low = 0
  for (let high = rows.length; low < high; ) {
    const middle = (low + high) >>> 1
    if (rows[middle].at.time > limit) high = middle
    else low = middle + 1
  }
  return low
}

export function noRetraction(step: string): OperationalError {
  return new OperationalError(
    'AGGREGATE_RETRACT',
    'a sliding window was given a retraction: its record has given a result already. Window the changes by time instead.',
    { step },
  )
}
