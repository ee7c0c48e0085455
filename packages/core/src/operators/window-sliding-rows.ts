/**
 * Rows of sliding windows as numbers in columns: per row its time, its accumulators and the block it is stored in. A row
 * is a slot, given out again once the row has left every window.
 */
import type { SlidingBlock } from './window-sliding-blocks.ts'

const CAPACITY_MIN = 64

export class SlidingRows {
  times: Float64Array = new Float64Array(CAPACITY_MIN)
  /** Accumulators: at first of the row alone, in the front of a queue also of all newer rows of the front. */
  columns: Float64Array[]
  /** Undefined for slots that hold sums only. */
  readonly blocks: (SlidingBlock | undefined)[] = []
  readonly #initial: readonly number[]
  readonly #free: number[] = []
  #used = 0

  constructor(initial: readonly number[]) {
    this.#initial = initial
    this.columns = initial.map(() => new Float64Array(CAPACITY_MIN))
  }

  /** A slot with the accumulators at their start. `columns` and `times` may be others afterwards. */
  take(time: number, block: SlidingBlock | undefined): number {
    const slot = this.#free.pop() ?? this.#used++
    if (slot === this.times.length) {
      this.times = doubled(this.times)
      this.columns = this.columns.map(doubled)
    }
    this.times[slot] = time
    this.blocks[slot] = block
    this.clear(slot)
    return slot
  }

  clear(slot: number): void {
    for (let c = 0; c < this.columns.length; c++) this.columns[c][slot] = this.#initial[c]
  }

  release(slot: number): void {
    this.blocks[slot] = undefined
    this.#free.push(slot)
  }
}

function doubled(column: Float64Array): Float64Array {
  const grown = new Float64Array(column.length * 2)
  grown.set(column)
  return grown
}
