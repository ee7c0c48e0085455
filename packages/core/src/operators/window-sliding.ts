/**
 * Sliding windows: one result per record, over the rows of its key with a time in `(time - size, time]`.
 *
 * State: `pending`, the rows the watermark has not passed, and `rows`, by (key, arrival), those a window may still hold.
 * Per key the rows are kept in event-time order in memory too, rebuilt at restore.
 *
 * Invariants:
 *  L1  A record's result is emitted in the call of the first watermark > its time, in event-time order.
 *  L2  Numeric aggregates cost O(1) merges per record, whatever the window holds: rows leave at the front of a queue of
 *      two stacks. Object aggregates are added up per result: their results are as large as the window anyway.
 * @see Tangwongsan, Hirzel, Schneider: Low-latency sliding-window aggregation in worst-case constant time, DEBS 2017
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

/** Rows of a key in order; those before `from` have left every window. */
interface SlidingKey {
  rows: SlidingRow[]
  from: number
  /** Numeric aggregates: rows `from .. middle` as sums of all rows up to `middle`, the last on top. */
  front: Flat[]
  middle: number
  /** Sum of the rows from `middle` on. */
  back: Flat
}

export class SlidingWindows implements Operator {
  readonly #step: WindowStep
  readonly #sizeMs: number
  readonly #table: Table<SlidingRow>
  readonly #pending: PendingRows
  readonly #flat: FlatAccumulators
  readonly #keys = new Map<CanonicalKey, SlidingKey>()
  readonly #isQueue: boolean
  /** Rows that windows may still hold, in the order they came to be: whom to look at when time has passed. */
  #passed: { readonly time: number; readonly key: CanonicalKey }[] = []
  #oldest = 0

  constructor(step: WindowStep, window: SlidingWindow) {
    this.#step = step
    this.#sizeMs = window.sizeMs
    this.#table = step.ctx.state.table<SlidingRow>('rows')
    this.#flat = new FlatAccumulators(step)
    this.#pending = new PendingRows(step)
    this.#isQueue = step.plan.isNumeric && step.latenessMs === 0
    this.#table.forEach((key, sub, row) => {
      step.continueAfter(sub as number)
      this.#key(key).rows.push(row)
    })
    for (const state of this.#keys.values()) {
      state.rows.sort((a, b) => compareEventTime(a.at, b.at))
      if (this.#isQueue) for (const row of state.rows) this.#addTo(state.back, row)
    }
    for (const [key, { rows }] of this.#keys) for (const { at } of rows) this.#passed.push({ time: at.time, key })
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

  #key(key: CanonicalKey): SlidingKey {
    let state = this.#keys.get(key)
    if (state === undefined) {
      this.#keys.set(key, (state = { rows: [], from: 0, front: [], middle: 0, back: this.#flat.create() }))
    }
    return state
  }

  #add(key: CanonicalKey, row: SlidingRow): void {
    const state = this.#key(key)
    state.rows.push(row)
    this.#passed.push({ time: row.at.time, key })
    if (this.#isQueue) this.#addTo(state.back, row)
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
    const state = this.#key(key)
    try {
      if (this.#isQueue) {
        this.#evict(key, state, time - this.#sizeMs)
        const front = state.front.at(-1)
        this.#flat.emit(key, front === undefined ? [state.back] : [front, state.back], () => window, pane)
      } else this.#flat.emit(key, [this.#sum(state.rows, time)], () => window, pane)
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

  /** Drops the rows with a time <= `limit` from the queue. */
  #evict(key: CanonicalKey, state: SlidingKey, limit: number): void {
    while (state.from < state.rows.length && state.rows[state.from].at.time <= limit) {
      if (state.from === state.middle) this.#turn(state)
      this.#table.delete(key, state.rows[state.from].at.sequence)
      state.front.pop()
      state.from++
    }
    if (state.from > 64 && state.from * 2 > state.rows.length) {
      state.rows = state.rows.slice(state.from)
      state.middle -= state.from
      state.from = 0
    }
  }

  /** Moves the back of the queue to its front: sums from the newest row to each older one. */
  #turn(state: SlidingKey): void {
    state.front = []
    for (let i = state.rows.length - 1; i >= state.from; i--) {
      const acc = this.#flat.create()
      this.#addTo(acc, state.rows[i])
      const newer = state.front.at(-1)
      if (newer !== undefined) this.#flat.merge(acc, newer)
      state.front.push(acc)
    }
    state.middle = state.rows.length
    state.back = this.#flat.create()
  }

  /** A row behind the watermark, within the lateness: gives its own result and counts in later ones. */
  #takeLate(key: CanonicalKey, row: SlidingRow): void {
    const state = this.#key(key)
    let at = state.rows.length
    while (at > 0 && compareEventTime(state.rows[at - 1].at, row.at) > 0) at--
    state.rows.splice(at, 0, row)
    this.#passed.push({ time: row.at.time, key })
    this.#table.set(key, row, row.at.sequence)
    this.#emit(key, row.at.time, 'late')
  }

  /** Drops the rows no window can hold any more. */
  #expire(): void {
    const limit = this.#step.watermark - this.#step.latenessMs - this.#sizeMs
    for (; this.#oldest < this.#passed.length && this.#passed[this.#oldest].time <= limit; this.#oldest++) {
      const { key } = this.#passed[this.#oldest]
      const state = this.#keys.get(key)
      if (state === undefined) continue
      if (this.#isQueue) this.#evict(key, state, limit)
      else {
        const count = firstAfter(state.rows, limit)
        for (let i = 0; i < count; i++) this.#table.delete(key, state.rows[i].at.sequence)
        if (count > 0) state.rows.splice(0, count)
      }
      if (state.from === state.rows.length) this.#keys.delete(key)
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

function noRetraction(step: string): OperationalError {
  return new OperationalError(
    'AGGREGATE_RETRACT',
    'a sliding window was given a retraction: its record has given a result already. Window the changes by time instead.',
    { step },
  )
}
