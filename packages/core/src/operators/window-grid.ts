/**
 * Tumbling and hopping windows: a row is added to one slice, whatever the size and the slide; the slices of a window are
 * merged when it fires.
 *
 * State: `numbers`, accumulators by (slice start, key), and `objects`, the same for aggregates that are not numeric.
 *
 * Invariants:
 *  W1  A window fires once on time, in the call of the first watermark >= its end; windows fire in order of their end.
 *  W2  A slice lives until the last window that contains it is `lateness` behind the watermark, and no longer.
 *  W3  The set of live slices is the set of `numbers`' subs; nothing else is needed to know what is due.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator } from '../graph/operator.ts'
import type { NumericSlice, NumericTable, Table } from '../state/table.ts'
import type { Grid } from '../window/grid.ts'
import type { Pane } from '../window/types.ts'
import { isPartial, type Partial } from './aggregate-partial.ts'
import { Scratch } from './window-scratch.ts'
import { bounds, type ObjectCell, type WindowStep } from './window-step.ts'

export class GridWindows implements Operator {
  readonly #step: WindowStep
  readonly #grid: Grid
  readonly #numbers: NumericTable
  readonly #objects: Table<ObjectCell> | undefined
  /** Starts of the live slices, rising. */
  readonly #live: number[]
  readonly #scratch: Scratch
  readonly #failure: { thrown: unknown } = { thrown: undefined }
  /** End of the next window to fire, Infinity when nothing is open. */
  #nextEnd = Number.POSITIVE_INFINITY
  /** Bounds of the slice used last. */
  #start = Number.NaN
  #end = Number.NaN
  /** Keys changed since the last early result, by slice. */
  readonly #changed = new Map<number, Set<CanonicalKey>>()
  #earlyAt: number | undefined
  readonly #partial: Float64Array[]
  readonly #takesPartials: boolean

  /** `takesPartials`: rows may come combined by `PartialAggregate`. */
  constructor(step: WindowStep, grid: Grid, takesPartials: boolean) {
    this.#step = step
    this.#takesPartials = takesPartials
    this.#grid = grid
    const { state } = step.ctx
    this.#numbers = state.numericTable('numbers', step.plan.initial)
    this.#objects = step.plan.isNumeric ? undefined : state.table<ObjectCell>('objects', { major: 'sub' })
    this.#objects?.forEach((_key, _sub, cell) => {
      step.continueAfter(cell.s)
    })
    this.#live = [...this.#numbers.subs()].sort((a, b) => a - b)
    this.#scratch = new Scratch(step.plan)
    this.#partial = step.plan.initial.map(() => new Float64Array(1))
    this.#nextEnd = this.#findNextEnd()
  }

  process(input: Batch): void {
    const batch = this.#step.input(input)
    let from = 0
    if (this.#takesPartials) {
      for (let i = 0; i < batch.length; i++) {
        const row = batch.row(i)
        if (!isPartial(row)) continue
        this.#processRows(batch, from, i)
        this.#takePartial(row, batch, i)
        from = i + 1
      }
    }
    this.#processRows(batch, from, batch.length)
  }

  #processRows(batch: Batch, from: number, until: number): void {
    const { times } = batch
    while (from < until) {
      this.#moveTo(times[from])
      const start = this.#start
      const end = this.#end
      let to = from + 1
      while (to < until && times[to] >= start && times[to] < end) to++
      if (this.#isLate(start)) for (let i = from; i < to; i++) this.#step.late(batch, i)
      else this.#take(batch, from, to, start)
      from = to
    }
  }

  watermark(time: number): void {
    const step = this.#step
    const before = step.watermark
    step.watermark = time
    if (this.#nextEnd <= time) {
      this.#fire(before, time)
      this.#nextEnd = this.#findNextEnd()
    }
    this.#dropExpired()
  }

  /** Windows end on whole milliseconds, so the next result has a time of at least the whole part of the watermark. */
  hold(): number {
    return Math.floor(this.#step.watermark)
  }

  wake(now: number): void {
    if (this.#earlyAt === undefined) return
    if (now < this.#earlyAt) {
      this.#step.ctx.wakeAt(this.#earlyAt)
      return
    }
    this.#earlyAt = undefined
    this.#emitEarly()
  }

  /** Makes `#start` and `#end` those of the slice that contains `time`. */
  #moveTo(time: number): void {
    if (time >= this.#start && time < this.#end) return
    this.#start = this.#grid.sliceStart(time)
    this.#end = this.#grid.sliceEnd(this.#start)
  }

  #lastEnd(slice: number): number {
    return this.#grid.windowEnd(this.#grid.lastStart(slice))
  }

  #isLate(slice: number): boolean {
    const { watermark, latenessMs } = this.#step
    return slice < watermark && this.#lastEnd(slice) <= watermark - latenessMs
  }

  /** Rows `from .. to` lie in the slice that starts at `start`. */
  #take(batch: Batch, from: number, to: number, start: number): void {
    const step = this.#step
    const slice = this.#open(start)
    const isFired = step.latenessMs > 0 && this.#grid.windowEnd(this.#grid.firstStart(start)) <= step.watermark
    if (this.#objects === undefined && !isFired) this.#takeNumbers(batch, from, to, slice)
    else {
      for (let i = from; i < to; i++) {
        if (this.#takeRow(batch, i, start, slice) && isFired) this.#emitLate(step.keyOf(batch, i), start)
      }
    }
    if (step.earlyMs > 0) for (let i = from; i < to; i++) this.#change(start, step.keyOf(batch, i))
  }

  #takeNumbers(batch: Batch, from: number, to: number, slice: NumericSlice): void {
    const step = this.#step
    let merged = to - from
    for (let i = from; (i = step.plan.addRows(batch, i, to, slice, this.#failure)) < to; i++) {
      merged--
      step.fail(this.#failure.thrown, batch, i)
    }
    step.ctx.metrics.merged(merged)
  }

  #takeRow(batch: Batch, i: number, start: number, slice: NumericSlice): boolean {
    const step = this.#step
    const weight = batch.weights?.[i] ?? 1
    if (!step.read(batch, i, weight)) return false
    const key = step.keyOf(batch, i)
    const objects = this.#objects
    if (objects !== undefined) {
      const cell = objects.get(key, start) ?? { s: 0, a: step.plan.createObjects() }
      const arrival = step.arrive(batch, i)
      try {
        step.plan.addObjects(cell.a, arrival, weight)
      } catch (thrown) {
        step.fail(thrown, batch, i)
        return false
      }
      cell.s = arrival.sequence
      objects.set(key, cell, start)
    }
    const slot = slice.slot(key)
    step.plan.addNumbers(slice.columns, slot, weight)
    step.ctx.metrics.merged(1)
    return true
  }

  #takePartial(row: Partial, batch: Batch, i: number): void {
    const step = this.#step
    if (this.#isLate(row.$slice)) {
      // One of its rows counts as arrived here, the others were counted as merged where they were combined.
      step.ctx.metrics.late(row.$rows)
      step.ctx.metrics.merged(1 - row.$rows)
      return
    }
    const slice = this.#open(row.$slice)
    const key = step.keyOf(batch, i)
    const slot = slice.slot(key)
    for (let c = 0; c < this.#partial.length; c++) this.#partial[c][0] = row.$columns[c]
    step.plan.mergeNumbers(slice.columns, slot, this.#partial, 0)
    step.ctx.metrics.merged(1)
    if (step.latenessMs > 0) this.#emitLate(key, row.$slice)
    if (step.earlyMs > 0) this.#change(row.$slice, key)
  }

  #open(start: number): NumericSlice {
    const slice = this.#numbers.peek(start)
    if (slice !== undefined) return slice
    const live = this.#live
    let at = live.length
    while (at > 0 && live[at - 1] > start) at--
    live.splice(at, 0, start)
    const end = this.#endAfter(start, this.#step.watermark)
    if (end < this.#nextEnd) this.#nextEnd = end
    return this.#numbers.slice(start)
  }

  /** Earliest end > `time` among the windows that contain the slice; Infinity when there is none. */
  #endAfter(slice: number, time: number): number {
    const grid = this.#grid
    const last = grid.lastStart(slice)
    for (let start = grid.firstStart(slice); start <= last; start = grid.nextStart(start)) {
      const end = grid.windowEnd(start)
      if (end > time) return end
    }
    return Number.POSITIVE_INFINITY
  }

  #findNextEnd(): number {
    for (const slice of this.#live) {
      const end = this.#endAfter(slice, this.#step.watermark)
      if (end !== Number.POSITIVE_INFINITY) return end
    }
    return Number.POSITIVE_INFINITY
  }

  /** Fires the windows with before < end <= time that hold a live slice, each once, in order. */
  #fire(before: number, time: number): void {
    const grid = this.#grid
    let next = Number.NEGATIVE_INFINITY
    for (let at = 0; at < this.#live.length; at++) {
      const slice = this.#live[at]
      const last = grid.lastStart(slice)
      for (let start = Math.max(next, grid.firstStart(slice)); start <= last; start = next) {
        next = grid.nextStart(start)
        const end = grid.windowEnd(start)
        if (end > time) return
        // The first live slice of the window is this one: earlier ones would have fired it.
        if (end > before) this.#fireWindow(start, end, at)
      }
    }
  }

  /** `at` is the index of the window's first live slice. */
  #fireWindow(start: number, end: number, at: number): void {
    const live = this.#live
    const window = bounds(start, end)
    if (at + 1 === live.length || live[at + 1] >= end) {
      const slice = this.#numbers.slice(live[at])
      const cells = this.#objects?.group(live[at])
      for (let slot = 0; slot < slice.count; slot++) {
        const key = slice.keyAt(slot)
        this.#step.emit(key, window, slice.columns, slot, cells?.get(key)?.a, 'onTime')
      }
      return
    }
    const scratch = this.#scratch
    scratch.clear()
    for (; at < live.length && live[at] < end; at++) {
      const slice = this.#numbers.slice(live[at])
      const cells = this.#objects?.group(live[at])
      for (let slot = 0; slot < slice.count; slot++) this.#merge(slice.keyAt(slot), slice, slot, cells, window.end)
    }
    for (let slot = 0; slot < scratch.keys.length; slot++) {
      this.#step.emit(scratch.keys[slot], window, scratch.columns, slot, scratch.objects[slot], 'onTime')
    }
  }

  #merge(
    key: CanonicalKey,
    slice: NumericSlice,
    slot: number,
    cells: ReadonlyMap<CanonicalKey, ObjectCell> | undefined,
    end: number,
  ): void {
    try {
      this.#scratch.merge(key, slice, slot, cells?.get(key)?.a)
    } catch (thrown) {
      this.#step.failResult(thrown, key, end - 1)
      // Not positive, so nothing is emitted for the key.
      this.#scratch.columns[0][this.#scratch.slot(key)] = Number.NaN
    }
  }

  /** Results of the windows around a slice that have fired already and still take rows. */
  #emitLate(key: CanonicalKey, slice: number): void {
    const { watermark, latenessMs } = this.#step
    this.#emitWindowsOf(slice, (start, end) => {
      if (end <= watermark && end > watermark - latenessMs) this.#emitKey(key, start, end, 'late')
    })
  }

  #emitWindowsOf(slice: number, visit: (start: number, end: number) => void): void {
    const grid = this.#grid
    const last = grid.lastStart(slice)
    for (let start = grid.firstStart(slice); start <= last; start = grid.nextStart(start)) {
      visit(start, grid.windowEnd(start))
    }
  }

  #emitKey(key: CanonicalKey, start: number, end: number, pane: Pane): void {
    const scratch = this.#scratch
    const slices = this.#live.filter((at) => at >= start && at < end && this.#numbers.slice(at).find(key) >= 0)
    if (slices.length === 1) {
      const slice = this.#numbers.slice(slices[0])
      const objects = this.#objects?.get(key, slices[0])?.a
      this.#step.emit(key, bounds(start, end), slice.columns, slice.find(key), objects, pane)
      return
    }
    scratch.clear()
    for (const at of slices) {
      const slice = this.#numbers.slice(at)
      this.#merge(key, slice, slice.find(key), this.#objects?.group(at), end)
    }
    if (scratch.keys.length === 0) return
    this.#step.emit(key, bounds(start, end), scratch.columns, 0, scratch.objects[0], pane)
  }

  #change(slice: number, key: CanonicalKey): void {
    let keys = this.#changed.get(slice)
    if (keys === undefined) this.#changed.set(slice, (keys = new Set()))
    keys.add(key)
    if (this.#earlyAt !== undefined) return
    this.#earlyAt = this.#step.ctx.now() + this.#step.earlyMs
    this.#step.ctx.wakeAt(this.#earlyAt)
  }

  #emitEarly(): void {
    const due = new Map<number, { end: number; keys: Set<CanonicalKey> }>()
    for (const [slice, keys] of this.#changed) {
      this.#emitWindowsOf(slice, (start, end) => {
        if (end <= this.#step.watermark) return
        const known = due.get(start)
        if (known === undefined) due.set(start, { end, keys: new Set(keys) })
        else for (const key of keys) known.keys.add(key)
      })
    }
    this.#changed.clear()
    for (const start of [...due.keys()].sort((a, b) => a - b)) {
      const { end, keys } = due.get(start) as { end: number; keys: Set<CanonicalKey> }
      for (const key of keys) this.#emitKey(key, start, end, 'early')
    }
  }

  #dropExpired(): void {
    const { watermark, latenessMs } = this.#step
    const live = this.#live
    let count = 0
    while (count < live.length && this.#lastEnd(live[count]) <= watermark - latenessMs) {
      this.#numbers.drop(live[count])
      this.#objects?.deleteGroup(live[count])
      this.#changed.delete(live[count])
      count++
    }
    if (count > 0) live.splice(0, count)
  }
}
