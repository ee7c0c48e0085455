/**
 * The as-of join at work: left rows wait, in event-time order, until the rows as of their times are known.
 *
 * Invariants:
 *  AO1 A left row at `t` is decided by watermark when every right watermark is > t (for 'interpolate' also past the next
 *      right row) and the left watermark is >= t: nothing that could change the decision, or come before it, is missing.
 *      A side that is idle is not waited for; what it gives later counts from then on.
 *  AO2 With a wait, it is decided at the latest when the wait is over, from what has arrived, and with it the older rows of
 *      its key.
 *  AO3 Rows of one key come out by left time, except after a decision that a wait has forced.
 *  AO4 The watermark does not pass a left row that waits.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import { AsOfJournal } from './as-of-journal.ts'
import { AsOfRight, type RightSide } from './as-of-right.ts'
import { Inbox, type Waiting } from './join-inbox.ts'
import { emitLate, keysOf, lateBefore, refuseRetractions, weightAt } from './join-input.ts'

export interface AsOfSettings {
  /** Input `i + 1` feeds `sides[i]`. */
  readonly sides: readonly RightSide[]
  /** Null: wait for the watermark alone. */
  readonly waitMs: number | null
  readonly record: boolean
  /** Does a row on a right input delete? Retractions do. Absent: right inputs refuse retractions. */
  readonly isDeleted?: (row: unknown, batch: Batch, i: number, ctx: OperatorContext) => boolean | undefined
  /** Makes the output row; `rights` is in the order of `sides`. */
  readonly build: (key: CanonicalKey, left: unknown, rights: readonly unknown[]) => unknown
}

export class AsOfOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #settings: AsOfSettings
  readonly #rights: readonly AsOfRight[]
  readonly #inbox: Inbox
  readonly #journal: AsOfJournal | undefined
  /** Rows with a deadline, by arrival; those before `#nextDeadline` are over. */
  #deadlines: Waiting[] = []
  #nextDeadline = 0

  constructor(ctx: OperatorContext, settings: AsOfSettings) {
    this.#ctx = ctx
    this.#settings = settings
    this.#rights = settings.sides.map((side) => new AsOfRight(side, ctx.state, ctx.metrics))
    this.#inbox = new Inbox(ctx.state.table('left'))
    this.#journal = settings.record ? new AsOfJournal(ctx.state) : undefined
    if (settings.waitMs === null || this.#inbox.size === 0) return
    this.#deadlines = this.#inbox.byArrival()
    ctx.wakeAt(this.#deadlines[0].until ?? ctx.now())
  }

  process(batch: Batch, input: number): void {
    if (input === 0) this.#takeLeft(batch)
    else this.#takeRight(batch, input)
  }

  inputWatermark(): void {
    this.#drain()
  }

  watermark(time: number): void {
    this.#drain()
    this.#journal?.forgetBefore(time)
  }

  wake(now: number): void {
    const deadlines = this.#deadlines
    for (; this.#nextDeadline < deadlines.length; this.#nextDeadline++) {
      const entry = deadlines[this.#nextDeadline]
      if (entry.isDone) continue
      if ((entry.until ?? now) > now) {
        this.#ctx.wakeAt(entry.until ?? now)
        break
      }
      for (const older of this.#inbox.ofKey(entry.key, entry.time)) this.#decide(older)
    }
    this.#drain()
    if (this.#nextDeadline * 2 < deadlines.length) return
    this.#deadlines = deadlines.slice(this.#nextDeadline)
    this.#nextDeadline = 0
  }

  hold(): number {
    return this.#inbox.firstTime()
  }

  held(): number {
    let rows = this.#inbox.size
    for (const right of this.#rights) rows += right.rowCount
    return rows
  }

  #takeLeft(batch: Batch): void {
    const ctx = this.#ctx
    const { waitMs } = this.#settings
    if (waitMs !== null) refuseRetractions(batch, ctx, 'an as-of join with a bounded wait')
    const keys = keysOf(batch, ctx)
    const floor = lateBefore(ctx, 0)
    const until = waitMs === null ? null : ctx.now() + waitMs
    let isFirst = this.#nextDeadline === this.#deadlines.length
    for (let i = 0; i < batch.length; i++) {
      if (batch.times[i] < floor) {
        emitLate(ctx, batch, i)
        continue
      }
      const entry = this.#inbox.add(keys[i], batch.times[i], batch.keep(i), weightAt(batch, i), 0, until)
      if (until === null) continue
      this.#deadlines.push(entry)
      if (isFirst) ctx.wakeAt(until)
      isFirst = false
    }
    this.#drain()
  }

  #takeRight(batch: Batch, input: number): void {
    const ctx = this.#ctx
    const { isDeleted } = this.#settings
    if (isDeleted === undefined) refuseRetractions(batch, ctx, 'an as-of join')
    const right = this.#rights[input - 1]
    const keys = keysOf(batch, ctx)
    const floor = lateBefore(ctx, input)
    const horizon = Math.min(lateBefore(ctx, 0), this.#inbox.firstTime(), floor)
    for (let i = 0; i < batch.length; i++) {
      if (batch.times[i] < floor) {
        emitLate(ctx, batch, i)
        continue
      }
      const row = batch.keep(i)
      const deletes = isDeleted === undefined ? false : isDeleted(row, batch, i, ctx)
      if (deletes !== undefined) right.add(keys[i], batch.times[i], row, deletes, horizon)
    }
    this.#drain()
  }

  /** Decides, from the oldest, what the watermarks allow. Stops at the first row that must wait. */
  #drain(): void {
    for (let entry = this.#inbox.first(); entry !== undefined; entry = this.#inbox.first()) {
      if (!this.#isDecidable(entry)) return
      this.#decide(entry)
    }
  }

  #isDecidable(entry: Waiting): boolean {
    const ctx = this.#ctx
    if (lateBefore(ctx, 0) < entry.time) return false
    for (let i = 0; i < this.#rights.length; i++) {
      // Nothing is to be expected from a side that is idle: its last watermark would hold a frame until the next one.
      const known = ctx.isIdle(i + 1) ? Number.POSITIVE_INFINITY : lateBefore(ctx, i + 1)
      if (!this.#rights[i].isKnown(entry.key, entry.time, known)) return false
    }
    return true
  }

  #decide(entry: Waiting): void {
    const { key, time, row, weight } = entry
    const { sides, build } = this.#settings
    this.#inbox.done(entry)
    let values = this.#journal?.find(key, time)
    if (values === undefined) {
      values = this.#rights.map((right) => right.valueAt(key, time))
      this.#journal?.write(key, time, values)
    }
    for (let i = 0; i < sides.length; i++) {
      if (!sides[i].required || values[i] !== undefined) continue
      this.#ctx.metrics.dropped(1, 'unmatched')
      this.#ctx.side('unmatched').emit(row, time, key, weight)
      return
    }
    this.#ctx.out.emit(build(key, row, values), time, key, weight)
  }
}
