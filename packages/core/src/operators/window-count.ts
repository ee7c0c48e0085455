/**
 * Count windows: windows over the row numbers of a key, made of slices as time windows are.
 *
 * State: `keys`, per key the number of rows so far and the slices of its open windows; with `order: 'eventTime'` also
 * `pending`, the rows the watermark has not passed.
 *
 * Invariants:
 *  C1  Window k of a key holds its rows k * slide .. k * slide + size - 1 and fires with the last of them; at the end of
 *      input the windows that have begun fire with what they hold, first begun first.
 *  C2  A tumbling key between two windows takes no space.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import type { Operator } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { fixedGrid, type Grid } from '../window/grid.ts'
import type { CountWindow } from '../window/types.ts'
import { type Flat, FlatAccumulators } from './window-flat.ts'
import { PendingRows } from './window-pending.ts'
import { bounds, type WindowStep } from './window-step.ts'

interface CountedKey {
  /** Rows so far. */
  n: number
  readonly slices: CountedSlice[]
}

interface CountedSlice {
  /** Number of its first row. */
  readonly from: number
  readonly acc: Flat
}

export class CountWindows implements Operator {
  readonly #step: WindowStep
  readonly #window: CountWindow
  readonly #grid: Grid
  readonly #keys: Table<CountedKey>
  readonly #flat: FlatAccumulators
  readonly #pending: PendingRows | undefined

  constructor(step: WindowStep, window: CountWindow) {
    this.#step = step
    this.#window = window
    this.#grid = fixedGrid(window.size, window.slide, 0)
    this.#keys = step.ctx.state.table<CountedKey>('keys')
    this.#flat = new FlatAccumulators(step)
    this.#keys.forEach((_key, _sub, counted) => {
      for (const slice of counted.slices) step.continueAfter(slice.acc.s)
    })
    this.#pending = window.order === 'eventTime' ? new PendingRows(step) : undefined
  }

  process(input: Batch): void {
    const step = this.#step
    const batch = step.input(input)
    for (let i = 0; i < batch.length; i++) {
      if ((batch.weights?.[i] ?? 1) < 0) step.fail(noRetraction(step.ctx.step), batch, i)
      else if (this.#pending !== undefined && batch.times[i] < step.watermark) step.late(batch, i)
      else if (step.read(batch, i, 1)) {
        const arrival = step.arrive(batch, i)
        const key = step.keyOf(batch, i)
        if (this.#pending === undefined && !this.#takeNow(key, batch, i)) continue
        this.#pending?.add(key, arrival)
        step.ctx.metrics.merged(1)
      }
    }
  }

  watermark(time: number): void {
    this.#pending?.takeBefore(time, (key) => {
      try {
        this.#take(key)
      } catch (thrown) {
        this.#step.failResult(thrown, key, this.#step.arrival.time)
      }
    })
    if (time === Number.POSITIVE_INFINITY) this.#finish()
    this.#step.watermark = time
  }

  #takeNow(key: CanonicalKey, batch: Batch, i: number): boolean {
    try {
      this.#take(key)
      return true
    } catch (thrown) {
      this.#step.fail(thrown, batch, i)
      return false
    }
  }

  /** Takes the row that was read last. */
  #take(key: CanonicalKey): void {
    const { size, slide } = this.#window
    const counted = this.#keys.get(key) ?? { n: 0, slices: [] }
    const from = this.#grid.sliceStart(counted.n)
    let slice = counted.slices.at(-1)
    if (slice?.from !== from) counted.slices.push((slice = { from, acc: this.#flat.create() }))
    this.#flat.add(slice.acc)
    counted.n++
    const start = counted.n - size
    if (start >= 0 && start % slide === 0) this.#fire(key, counted, start)
    while (counted.slices.length > 0 && this.#grid.lastStart(counted.slices[0].from) + size <= counted.n) {
      counted.slices.shift()
    }
    if (counted.slices.length === 0 && size === slide) this.#keys.delete(key)
    else this.#keys.set(key, counted)
  }

  #fire(key: CanonicalKey, counted: CountedKey, start: number): void {
    const end = start + this.#window.size
    const parts = counted.slices.filter((slice) => slice.from >= start && slice.from < end).map((slice) => slice.acc)
    this.#flat.emit(key, parts, (acc) => bounds(acc.first, acc.last + 1), 'onTime')
  }

  #finish(): void {
    const { size, slide } = this.#window
    const keys: [CanonicalKey, CountedKey][] = []
    this.#keys.forEach((key, _sub, counted) => {
      keys.push([key, counted])
    })
    for (const [key, counted] of keys) {
      for (let start = firstOpen(counted.n, size, slide); start < counted.n; start += slide) {
        this.#fire(key, counted, start)
      }
      this.#keys.delete(key)
    }
  }
}

/** Start of the first window that has not fired after `n` rows. */
function firstOpen(n: number, size: number, slide: number): number {
  return n < size ? 0 : (Math.floor((n - size) / slide) + 1) * slide
}

function noRetraction(step: string): OperationalError {
  return new OperationalError(
    'AGGREGATE_RETRACT',
    'a count window was given a retraction: rows have numbers, and none can be taken away. Window the changes by time instead.',
    { step },
  )
}
