/**
 * How the rows of numeric sliding windows are stored: per key in blocks of rows as they came, so that a snapshot writes
 * what is new and little more. A row is its time and its accumulators, without the count, which is 1.
 *
 * Invariants:
 *  B1  A block that a snapshot has is appended to only while it is short: a commit rewrites at most SHORT_ROWS - 1 old
 *      rows per key. Within one epoch blocks are filled up.
 *  B2  A block goes when all its rows have left every window; one that is appended to is trimmed when half of them have,
 *      so that long epochs do not write what is over.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { StateAccess, Table } from '../state/table.ts'

const SHORT_ROWS = 8
const FULL_ROWS = 256
/** A block is set again every so many rows, for the table's estimate of its size; fewer are not worth trimming. */
const RESET_ROWS = 16

export interface SlidingBlock {
  readonly key: SlidingKey
  readonly sub: number
  /** What is stored: row after row, time and accumulators. */
  readonly data: number[]
  /** Rows that a window may still hold, or that wait for the watermark. */
  live: number
  /** Epoch of the last append. */
  epoch: number
}

export interface SlidingKey {
  readonly key: CanonicalKey
  /** Slots of the rows that have given their results, in event-time order; those before `from` have left. */
  rows: number[]
  from: number
  middle: number
  /** Slot of the sum of the rows from `middle` on. */
  readonly back: number
  /** Rows in `rows` and waiting ones whose slots are in use. */
  live: number
  /** The block that is appended to. */
  tail: SlidingBlock | undefined
  nextSub: number
  /** Results up to here were emitted before the restart; earlier rows are late. */
  readonly taken: number
  /** Rows gave results since the last snapshot. */
  isTaken: boolean
}

export class SlidingBlocks {
  readonly #width: number
  readonly #table: Table<number[]>
  #epoch = 0

  /** `width`: accumulators of a row, the count among them. */
  constructor(state: StateAccess, width: number) {
    this.#width = width
    this.#table = state.table<number[]>('blocks', {
      codec: {
        name: `f64x${width}`,
        version: 0,
        encode: bytesOf,
        decode: (bytes) => numbersOf(bytes as Uint8Array),
      },
    })
  }

  /** The block the caller appends the key's next row to. Rows with a time <= `limit` have left every window. */
  blockFor(key: SlidingKey, limit: number): SlidingBlock {
    const block = key.tail
    if (block === undefined || !this.#hasRoom(block)) return this.#begin(key)
    const rows = block.data.length / this.#width
    if (rows >= RESET_ROWS && block.live * 2 <= rows) this.#trim(block, limit)
    if (block.epoch !== this.#epoch || rows % RESET_ROWS === 0) {
      block.epoch = this.#epoch
      this.#table.set(key.key, block.data, block.sub)
    }
    return block
  }

  /** One row of the block is in no window any more. */
  leave(block: SlidingBlock): void {
    if (--block.live > 0) return
    const { key, sub } = block
    this.#table.delete(key.key, sub)
    if (key.tail === block) key.tail = undefined
  }

  /** What was appended so far is about to be saved. */
  barrier(): void {
    this.#epoch++
  }

  /** Blocks of a restored snapshot; those of which the visitor finds no row alive go. */
  restore(keyOf: (key: CanonicalKey) => SlidingKey, visit: (block: SlidingBlock) => void): void {
    this.#table.forEach((address, sub, data) => {
      const key = keyOf(address)
      // Alive while it is visited.
      const block = { key, sub: sub as number, data, live: 1, epoch: -1 }
      if (block.sub >= key.nextSub) {
        key.nextSub = block.sub + 1
        key.tail = block
      }
      visit(block)
      this.leave(block)
    })
  }

  #hasRoom(block: SlidingBlock): boolean {
    const rows = block.data.length / this.#width
    return rows < (block.epoch === this.#epoch ? FULL_ROWS : SHORT_ROWS)
  }

  #trim({ data }: SlidingBlock, limit: number): void {
    const width = this.#width
    let to = 0
    for (let at = 0; at < data.length; at += width) {
      if (data[at] <= limit) continue
      for (let c = 0; c < width; c++) data[to++] = data[at + c]
    }
    data.length = to
  }

  #begin(key: SlidingKey): SlidingBlock {
    const block = { key, sub: key.nextSub++, data: [], live: 0, epoch: this.#epoch }
    this.#table.set(key.key, block.data, block.sub)
    key.tail = block
    return block
  }
}

function bytesOf(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 8)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < numbers.length; i++) view.setFloat64(i * 8, numbers[i], true)
  return bytes
}

function numbersOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const numbers: number[] = []
  for (let at = 0; at < bytes.length; at += 8) numbers.push(view.getFloat64(at, true))
  return numbers
}
