/**
 * Session windows: accumulators of merging gaps, in buckets by their last row.
 *
 * State: `numbers`, by (bucket, key): the accumulators, then first and last time; `objects`, the same address.
 * A bucket is `gap` wide. Sessions of a key lie at least `gap` apart, so a bucket holds at most one per key, and it is
 * done with as a whole when the watermark has passed `gap` beyond it (and the lateness).
 *
 * Invariants:
 *  S1  A session fires in the call of the first watermark >= last + gap (> where touching sessions are one); those due together in order of their end.
 *  S2  Rows at or after the watermark cannot change a bucket's sessions that end behind `watermark + gap` in place, only
 *      move them to a later bucket: so a bucket is sorted by end once, when the watermark enters it, and again only
 *      after rows from behind the watermark.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import type { Operator } from '../graph/operator.ts'
import type { NumericSlice, NumericTable, Table } from '../state/table.ts'
import type { SessionWindow } from '../window/types.ts'
import { bounds, type ObjectCell, type WindowStep } from './window-step.ts'

/** Slots of a bucket by rising end; slots before `next` are behind the watermark. */
interface Schedule {
  readonly ends: Float64Array
  readonly slots: Int32Array
  next: number
}

export class SessionWindows implements Operator {
  readonly #step: WindowStep
  readonly #gap: number
  readonly #touches: boolean
  readonly #numbers: NumericTable
  readonly #objects: Table<ObjectCell> | undefined
  /** Columns of the first and the last time. */
  readonly #first: number
  readonly #last: number
  readonly #initial: readonly number[]
  /** Bucket starts, rising. */
  readonly #buckets: number[]
  readonly #schedules = new Map<number, Schedule>()
  readonly #changed = new Set<CanonicalKey>()
  #earlyAt: number | undefined

  constructor(step: WindowStep, window: SessionWindow) {
    this.#step = step
    this.#gap = window.gapMs
    this.#touches = window.merge === 'touching'
    if (this.#touches) step.watermark = below(step.watermark)
    const { state } = step.ctx
    this.#first = step.plan.initial.length
    this.#last = this.#first + 1
    this.#initial = [...step.plan.initial, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    this.#numbers = state.numericTable('numbers', this.#initial)
    this.#objects = step.plan.isNumeric ? undefined : state.table<ObjectCell>('objects', { major: 'sub' })
    this.#objects?.forEach((_key, _sub, cell) => {
      step.continueAfter(cell.s)
    })
    this.#buckets = [...this.#numbers.subs()].sort((a, b) => a - b)
  }

  process(input: Batch): void {
    const batch = this.#step.input(input)
    for (let i = 0; i < batch.length; i++) this.#take(batch, i)
  }

  watermark(watermark: number): void {
    // Where touching sessions are one, a row exactly at the end can still come: only ends below the watermark are over.
    const time = this.#touches ? below(watermark) : watermark
    const before = this.#step.watermark
    this.#step.watermark = time
    const gap = this.#gap
    for (const bucket of this.#buckets) {
      if (bucket + gap > time) break
      if (bucket + 2 * gap > before) this.#fire(bucket, before, time)
    }
    let expired = 0
    while (expired < this.#buckets.length && this.#buckets[expired] + 2 * gap <= time - this.#step.latenessMs) {
      this.#numbers.drop(this.#buckets[expired])
      this.#objects?.deleteGroup(this.#buckets[expired])
      this.#schedules.delete(this.#buckets[expired])
      expired++
    }
    if (expired > 0) this.#buckets.splice(0, expired)
  }

  /** A session may end on a fraction of a millisecond, and its result has the time end - 1. */
  hold(): number {
    const { watermark } = this.#step
    let hold = watermark
    for (const bucket of this.#buckets) {
      if (bucket + this.#gap >= watermark + 1) break
      if (bucket + 2 * this.#gap <= watermark) continue
      const { ends, next } = this.#schedule(bucket, watermark)
      if (next < ends.length) hold = Math.min(hold, ends[next] - 1)
    }
    return hold
  }

  wake(now: number): void {
    if (this.#earlyAt === undefined) return
    if (now < this.#earlyAt) {
      this.#step.ctx.wakeAt(this.#earlyAt)
      return
    }
    this.#earlyAt = undefined
    for (const bucket of this.#buckets) {
      const slice = this.#numbers.slice(bucket)
      for (const key of this.#changed) {
        const slot = slice.find(key)
        if (slot >= 0 && slice.columns[this.#last][slot] + this.#gap > this.#step.watermark) {
          this.#emit(bucket, slice, slot, 'early')
        }
      }
    }
    this.#changed.clear()
  }

  #take(batch: Batch, i: number): void {
    const step = this.#step
    const weight = batch.weights?.[i] ?? 1
    if (weight < 0) {
      step.fail(noRetraction(step.ctx.step), batch, i)
      return
    }
    const key = step.keyOf(batch, i)
    const time = batch.times[i]
    const gap = this.#gap
    // At most two sessions are near enough: the one before the row and the one after it.
    let near = Number.NaN
    let second = Number.NaN
    for (let b = this.#buckets.length - 1; b >= 0; b--) {
      const bucket = this.#buckets[b]
      if (bucket + gap <= time - gap) break
      const slice = this.#numbers.slice(bucket)
      const slot = slice.find(key)
      if (slot < 0 || !this.#isNear(slice, slot, time)) continue
      if (Number.isNaN(near)) near = bucket
      else second = bucket
    }
    const isNew = Number.isNaN(near)
    if (isNew && time + gap <= step.watermark - step.latenessMs) {
      step.late(batch, i)
      return
    }
    if (!step.read(batch, i, 1)) return
    if (!this.#addObjects(batch, i, key, isNew ? Math.floor(time / gap) * gap : near, isNew)) return
    const first = isNew ? time : this.#join(key, near, second, time)
    const last = isNew ? time : Math.max(time, this.#lastOf(near, key))
    const bucket = Math.floor(last / gap) * gap
    if (!isNew && near !== bucket) this.#move(key, near, bucket)
    this.#addNumbers(key, bucket, isNew, first, last)
    if (time < step.watermark + 1) this.#schedules.delete(bucket)
    if (last + gap <= step.watermark) this.#emit(bucket, this.#numbers.slice(bucket), this.#slotOf(bucket, key), 'late')
    else if (step.earlyMs > 0) this.#change(key)
    step.ctx.metrics.merged(1)
  }

  /** Is the session alive and near enough to `time` to take it? */
  #isNear(slice: NumericSlice, slot: number, time: number): boolean {
    const first = slice.columns[this.#first][slot]
    const last = slice.columns[this.#last][slot]
    if (!(last + this.#gap > this.#step.watermark - this.#step.latenessMs)) return false
    return this.#touches
      ? time >= first - this.#gap && time <= last + this.#gap
      : time > first - this.#gap && time < last + this.#gap
  }

  #lastOf(bucket: number, key: CanonicalKey): number {
    return this.#numbers.slice(bucket).columns[this.#last][this.#slotOf(bucket, key)]
  }

  #slotOf(bucket: number, key: CanonicalKey): number {
    return this.#numbers.slice(bucket).find(key)
  }

  /** Joins the earlier session `second`, if any, into `near`; returns the first time with the row at `time`. */
  #join(key: CanonicalKey, near: number, second: number, time: number): number {
    const slice = this.#numbers.slice(near)
    const slot = slice.slot(key)
    let first = Math.min(time, slice.columns[this.#first][slot])
    if (Number.isNaN(second)) return first
    const other = this.#numbers.slice(second)
    const from = other.slot(key)
    first = Math.min(first, other.columns[this.#first][from])
    this.#step.plan.mergeNumbers(slice.columns, slot, other.columns, from)
    const objects = this.#objects
    if (objects !== undefined) {
      const into = objects.get(key, near) as ObjectCell
      const earlier = objects.get(key, second) as ObjectCell
      try {
        this.#step.plan.mergeObjects(into.a, earlier.a)
      } catch (thrown) {
        this.#step.failResult(thrown, key, time)
      }
      into.s = Math.max(into.s, earlier.s)
      objects.set(key, into, near)
      objects.delete(key, second)
    }
    this.#reset(other, from)
    return first
  }

  #move(key: CanonicalKey, from: number, to: number): void {
    const source = this.#numbers.slice(from)
    const slot = source.slot(key)
    const target = this.#open(to)
    const into = target.slot(key)
    for (let c = 0; c < this.#initial.length; c++) target.columns[c][into] = source.columns[c][slot]
    this.#reset(source, slot)
    const cell = this.#objects?.get(key, from)
    if (cell !== undefined) {
      this.#objects?.set(key, cell, to)
      this.#objects?.delete(key, from)
    }
  }

  /** Adds the row to the object accumulators of the session in `bucket`; false when it went to the error policy. */
  #addObjects(batch: Batch, i: number, key: CanonicalKey, bucket: number, isNew: boolean): boolean {
    const step = this.#step
    const objects = this.#objects
    if (objects === undefined) return true
    const known = isNew ? undefined : objects.get(key, bucket)
    const cell = known ?? { s: 0, a: step.plan.createObjects() }
    const arrival = step.arrive(batch, i)
    try {
      step.plan.addObjects(cell.a, arrival, 1)
    } catch (thrown) {
      step.fail(thrown, batch, i)
      return false
    }
    cell.s = arrival.sequence
    objects.set(key, cell, bucket)
    return true
  }

  #addNumbers(key: CanonicalKey, bucket: number, isNew: boolean, first: number, last: number): void {
    const slice = this.#open(bucket)
    const slot = slice.slot(key)
    // A slot may still hold a session of the key that is over.
    if (isNew) this.#reset(slice, slot)
    this.#step.plan.addNumbers(slice.columns, slot, 1)
    slice.columns[this.#first][slot] = first
    slice.columns[this.#last][slot] = last
  }

  #open(bucket: number): NumericSlice {
    const slice = this.#numbers.peek(bucket)
    if (slice !== undefined) return slice
    const buckets = this.#buckets
    let at = buckets.length
    while (at > 0 && buckets[at - 1] > bucket) at--
    buckets.splice(at, 0, bucket)
    return this.#numbers.slice(bucket)
  }

  #reset(slice: NumericSlice, slot: number): void {
    for (let c = 0; c < this.#initial.length; c++) slice.columns[c][slot] = this.#initial[c]
  }

  /** Emits the sessions of a bucket with before < end <= time. */
  #fire(bucket: number, before: number, time: number): void {
    const slice = this.#numbers.slice(bucket)
    const schedule = this.#schedule(bucket, before)
    const lasts = slice.columns[this.#last]
    for (; schedule.next < schedule.ends.length && schedule.ends[schedule.next] <= time; schedule.next++) {
      const slot = schedule.slots[schedule.next]
      // Moved on or reused since the bucket was sorted: then it is due another time.
      if (lasts[slot] + this.#gap === schedule.ends[schedule.next]) this.#emit(bucket, slice, slot, 'onTime')
    }
  }

  /** Sorts a bucket by end; sessions that end at or before `before` count as done. */
  #schedule(bucket: number, before: number): Schedule {
    const known = this.#schedules.get(bucket)
    if (known !== undefined) return known
    const slice = this.#numbers.slice(bucket)
    const lasts = slice.columns[this.#last]
    const open: number[] = []
    for (let slot = 0; slot < slice.count; slot++) if (lasts[slot] + this.#gap > before) open.push(slot)
    const slots = Int32Array.from(open).sort((a, b) => lasts[a] - lasts[b] || a - b)
    const schedule = { ends: Float64Array.from(slots, (slot) => lasts[slot] + this.#gap), slots, next: 0 }
    this.#schedules.set(bucket, schedule)
    return schedule
  }

  #emit(bucket: number, slice: NumericSlice, slot: number, pane: 'early' | 'onTime' | 'late'): void {
    const key = slice.keyAt(slot)
    const window = bounds(slice.columns[this.#first][slot], slice.columns[this.#last][slot] + this.#gap)
    this.#step.emit(key, window, slice.columns, slot, this.#objects?.get(key, bucket)?.a, pane)
  }

  #change(key: CanonicalKey): void {
    this.#changed.add(key)
    if (this.#earlyAt !== undefined) return
    this.#earlyAt = this.#step.ctx.now() + this.#step.earlyMs
    this.#step.ctx.wakeAt(this.#earlyAt)
  }
}

function noRetraction(step: string): OperationalError {
  return new OperationalError(
    'AGGREGATE_RETRACT',
    'a session window was given a retraction: taking a row away could split a session. Window the changes by time instead.',
    { step },
  )
}

const bits = new BigInt64Array(1)
const float = new Float64Array(bits.buffer)

/** The greatest number below a finite one; infinities stay. */
function below(value: number): number {
  if (!Number.isFinite(value)) return value
  if (value === 0) return -Number.MIN_VALUE
  float[0] = value
  bits[0] += value > 0 ? -1n : 1n
  return float[0]
}
