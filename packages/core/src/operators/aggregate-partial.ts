/**
 * Partial aggregation before a shuffle: the sending side combines the rows of a key and slice and sends one partial row.
 *
 * Invariants:
 *  A1  Partials are sent before the next watermark or barrier leaves, so whoever merges them cannot have fired the
 *      slice's windows meanwhile; a slice lies whole in a window or not at all, so a partial is late as a whole or not.
 *  A2  A row behind this side's watermark, or one that cannot be combined, is sent as it is: the final step decides about
 *      it as if there were no partial aggregation, with its error policy and its `late` output.
 */
import type { Batch } from '../batch/batch.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Grid } from '../window/grid.ts'
import type { AggregatePlan } from '../window/plan.ts'
import { noKey } from '../window/plan.ts'
import { Scratch } from './window-scratch.ts'

/** A row between the two sides. Plain data: it crosses threads and logs. */
export interface Partial {
  /** Start of the slice. */
  readonly $slice: number
  /** Rows it stands for, retractions counted as rows. */
  readonly $rows: number
  readonly $columns: readonly number[]
}

export function isPartial(row: unknown): row is Partial {
  return typeof row === 'object' && row !== null && '$slice' in row && '$columns' in row
}

/** Keys and slices held at most before they are sent. */
const heldMax = 8_192

interface Held {
  readonly scratch: Scratch
  /** Per slot: rows combined, and the greatest time. */
  rows: number[]
  times: number[]
}

export class PartialAggregate implements Operator {
  readonly #ctx: OperatorContext
  readonly #plan: AggregatePlan
  readonly #grid: Grid
  readonly #slices = new Map<number, Held>()
  readonly #isKeyed: boolean
  #watermark: number
  #held = 0
  #cells = 0

  constructor(ctx: OperatorContext, plan: AggregatePlan, grid: Grid, isKeyed: boolean) {
    this.#isKeyed = isKeyed
    this.#ctx = ctx
    this.#plan = plan
    this.#grid = grid
    this.#watermark = ctx.currentWatermark()
  }

  process(batch: Batch): void {
    for (let i = 0; i < batch.length; i++) {
      if (batch.times[i] < this.#watermark || !this.#read(batch, i)) this.#pass(batch, i)
      else this.#combine(batch, i)
    }
    if (this.#cells >= heldMax) this.#send()
  }

  watermark(time: number): void {
    this.#send()
    this.#watermark = time
  }

  barrier(): void {
    this.#send()
  }

  held(): number {
    return this.#held
  }

  #read(batch: Batch, i: number): boolean {
    try {
      this.#plan.read(batch, i, batch.weights?.[i] ?? 1)
      return true
    } catch {
      return false
    }
  }

  #pass(batch: Batch, i: number): void {
    this.#ctx.out.emitBatch(batch.select([i], 1))
  }

  #combine(batch: Batch, i: number): void {
    const time = batch.times[i]
    const start = this.#grid.sliceStart(time)
    let held = this.#slices.get(start)
    if (held === undefined) this.#slices.set(start, (held = { scratch: new Scratch(this.#plan), rows: [], times: [] }))
    const { scratch, rows, times } = held
    const slot = scratch.slot(this.#isKeyed && batch.keys !== undefined ? batch.keys[i] : noKey)
    if (slot === rows.length) {
      rows.push(0)
      times.push(time)
      this.#cells++
    }
    rows[slot]++
    if (time > times[slot]) times[slot] = time
    this.#plan.addNumbers(scratch.columns, slot, batch.weights?.[i] ?? 1)
    this.#held++
  }

  #send(): void {
    for (const [start, { scratch, rows, times }] of this.#slices) {
      for (let slot = 0; slot < rows.length; slot++) {
        const row: Partial = {
          $slice: start,
          $rows: rows[slot],
          $columns: scratch.columns.map((column) => column[slot]),
        }
        this.#ctx.out.emit(row, times[slot], this.#isKeyed ? scratch.keys[slot] : undefined)
        this.#ctx.metrics.merged(rows[slot] - 1)
      }
    }
    this.#slices.clear()
    this.#held = 0
    this.#cells = 0
  }
}
