/**
 * Join in tumbling and hopping windows. A row is stored once, in its slice (see window/grid.ts); a window is read from
 * its slices when it fires, and a slice is dropped whole after its last window.
 *
 * Invariants:
 *  SJ1 A window fires once, at the first watermark >= its end. Windows with an end <= the watermark have fired: only they.
 *  SJ2 A slice is kept while a window that holds it has not fired.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import type { Grid } from '../window/grid.ts'
import type { WindowBounds } from '../window/types.ts'
import { addRow, RETRACTED, type TimeBuffer, timeBuffer } from './join-buffer.ts'
import { emitJoined } from './join-emit.ts'
import { emitLate, keysOf, lateBefore, refuseRetractions, weightAt } from './join-input.ts'
import type { JoinType } from './join-types.ts'

/** What makes the operator. */
export function slicedJoin(type: JoinType, grid: Grid): (ctx: OperatorContext) => Operator {
  return (ctx) => new SlicedJoin(ctx, type, grid)
}

class SlicedJoin implements Operator {
  readonly #ctx: OperatorContext
  readonly #type: JoinType
  readonly #grid: Grid
  readonly #sides: readonly [Table<TimeBuffer>, Table<TimeBuffer>]
  #rowCount = 0
  /** Windows that end up to here have fired. */
  #firedTo: number
  /** No window with rows ends before. */
  #nextEnd = Number.NEGATIVE_INFINITY

  constructor(ctx: OperatorContext, type: JoinType, grid: Grid) {
    this.#ctx = ctx
    this.#type = type
    this.#grid = grid
    this.#sides = [ctx.state.table('left', { major: 'sub' }), ctx.state.table('right', { major: 'sub' })]
    for (const side of this.#sides) {
      side.forEach((_key, _sub, buffer) => {
        this.#rowCount += buffer.times.length
      })
    }
    this.#firedTo = ctx.currentWatermark()
  }

  process(batch: Batch, input: number): void {
    const ctx = this.#ctx
    const grid = this.#grid
    if (this.#type !== 'inner') refuseRetractions(batch, ctx, 'a left or outer join')
    const side = this.#sides[input]
    const keys = keysOf(batch, ctx)
    const floor = lateBefore(ctx, input)
    for (let i = 0; i < batch.length; i++) {
      const slice = grid.sliceStart(batch.times[i])
      if (grid.windowEnd(grid.lastStart(slice)) <= floor) {
        emitLate(ctx, batch, i)
        continue
      }
      let buffer = side.get(keys[i], slice)
      if (buffer === undefined) {
        buffer = timeBuffer()
        this.#nextEnd = Math.min(this.#nextEnd, this.#firstEnd(slice))
      }
      addRow(buffer, batch.times[i], batch.keep(i), weightAt(batch, i) === -1 ? RETRACTED : 0)
      side.set(keys[i], buffer, slice)
      this.#rowCount++
    }
  }

  watermark(time: number): void {
    const isDue = time >= this.#nextEnd
    if (isDue) {
      for (const start of this.#dueStarts(time)) this.#fire(start)
      for (const side of this.#sides) this.#drop(side, time)
    }
    this.#firedTo = time
    if (isDue) this.#nextEnd = this.#earliestEnd()
  }

  /** Results carry the time `end - 1`; a fractional watermark between that and `end` must not overtake them. */
  hold(): number {
    return Math.floor(this.#ctx.currentWatermark())
  }

  held(): number {
    return this.#rowCount
  }

  /** End of the earliest window of a slice that has not fired. */
  #firstEnd(slice: number): number {
    const grid = this.#grid
    let start = grid.firstStart(slice)
    while (grid.windowEnd(start) <= this.#firedTo) start = grid.nextStart(start)
    return grid.windowEnd(start)
  }

  #earliestEnd(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const side of this.#sides) {
      for (const slice of side.outers()) earliest = Math.min(earliest, this.#firstEnd(slice as number))
    }
    return earliest
  }

  /** Starts of the windows with rows that end in `(firedTo, time]`, rising. */
  #dueStarts(time: number): number[] {
    const grid = this.#grid
    const starts = new Set<number>()
    for (const side of this.#sides) {
      for (const slice of side.outers() as Iterable<number>) {
        const last = grid.lastStart(slice)
        for (let start = grid.firstStart(slice); start <= last; start = grid.nextStart(start)) {
          const end = grid.windowEnd(start)
          if (end > time) break
          if (end > this.#firedTo) starts.add(start)
        }
      }
    }
    return [...starts].sort((a, b) => a - b)
  }

  #fire(start: number): void {
    const { out } = this.#ctx
    const window = { start, end: this.#grid.windowEnd(start) }
    const lefts = this.#rowsOf(this.#sides[0], window)
    const rights = this.#rowsOf(this.#sides[1], window)
    for (const [key, left] of lefts) emitJoined(out, this.#type, key, left, rights.get(key), window)
    if (this.#type !== 'outer') return
    for (const [key, right] of rights) {
      if (!lefts.has(key)) emitJoined(out, this.#type, key, undefined, right, window)
    }
  }

  /** Rows of a window by key. A window of one slice is read in place. */
  #rowsOf(side: Table<TimeBuffer>, { start, end }: WindowBounds): ReadonlyMap<CanonicalKey, TimeBuffer> {
    if (this.#grid.sliceEnd(start) === end) return side.group(start) ?? new Map()
    const merged = new Map<CanonicalKey, TimeBuffer>()
    for (let slice = start; slice < end; slice = this.#grid.sliceEnd(slice)) {
      side.group(slice)?.forEach((buffer, key) => {
        const into = merged.get(key)
        if (into === undefined) merged.set(key, { times: [], rows: [...buffer.rows], flags: [...buffer.flags] })
        else {
          for (const row of buffer.rows) into.rows.push(row)
          for (const flag of buffer.flags) into.flags.push(flag)
        }
      })
    }
    return merged
  }

  #drop(side: Table<TimeBuffer>, time: number): void {
    const grid = this.#grid
    const done = [...(side.outers() as Iterable<number>)].filter(
      (slice) => grid.windowEnd(grid.lastStart(slice)) <= time,
    )
    for (const slice of done) {
      let count = 0
      side.group(slice)?.forEach((buffer) => {
        count += buffer.rows.length
      })
      this.#rowCount -= count
      this.#ctx.metrics.merged(count)
      side.deleteGroup(slice)
    }
  }
}
