/**
 * Sliding windows over numeric aggregates, without lateness: nothing is kept of a row but its time and accumulators.
 *
 * State: `blocks`, the rows of each key that wait for the watermark or that a window may still hold, and `taken`, per key
 * the watermark up to which its rows have given their results. Everything else is rebuilt at restore.
 *
 * Invariants:
 *  N1  A record's result is emitted in the call of the first watermark > its time, in event-time order.
 *  N2  O(1) merges per record, whatever the window holds: the rows of a key are a queue of two stacks. Rows
 *      `from .. middle` are the front, where each slot sums up the row and the newer ones of the front; `back` sums up
 *      the rest.
 *  N3  Rows leave the queue at its front once no window of their key holds them; `#passed` has them in time order, and
 *      their slots are given back from there.
 * @see Tangwongsan, Hirzel, Schneider: Low-latency sliding-window aggregation in worst-case constant time, DEBS 2017
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import type { SlidingWindow } from '../window/types.ts'
import { TimeHeap } from './time-heap.ts'
import { noRetraction } from './window-sliding.ts'
import { type SlidingBlock, SlidingBlocks, type SlidingKey } from './window-sliding-blocks.ts'
import { SlidingRows } from './window-sliding-rows.ts'
import { bounds, type WindowStep } from './window-step.ts'

export class SlidingNumbers implements Operator {
  readonly #step: WindowStep
  readonly #sizeMs: number
  readonly #rows: SlidingRows
  readonly #blocks: SlidingBlocks
  readonly #taken: Table<number>
  readonly #waiting = new TimeHeap()
  readonly #keys = new Map<CanonicalKey, SlidingKey>()
  #newlyTaken: SlidingKey[] = []
  /** Slots of the rows in queues, in event-time order, from `#oldest` on. */
  #passed: number[] = []
  #oldest = 0
  /** Slot in which front and back are added up. */
  readonly #sum: number

  constructor(step: WindowStep, window: SlidingWindow) {
    this.#step = step
    this.#sizeMs = window.sizeMs
    this.#rows = new SlidingRows(step.plan.initial)
    this.#sum = this.#rows.take(0, undefined)
    this.#taken = step.ctx.state.table('taken')
    this.#blocks = new SlidingBlocks(step.ctx.state, step.plan.initial.length)
    this.#restore()
  }

  process(input: Batch): void {
    const step = this.#step
    const batch = step.input(input)
    let merged = 0
    for (let i = 0; i < batch.length; i++) {
      const time = batch.times[i]
      if ((batch.weights?.[i] ?? 1) < 0) step.fail(noRetraction(step.ctx.step), batch, i)
      else if (time < step.watermark) step.late(batch, i)
      else if (step.read(batch, i, 1)) {
        const key = this.#key(step.keyOf(batch, i))
        if (time < key.taken) step.late(batch, i)
        else {
          this.#wait(key, time)
          merged++
        }
      }
    }
    if (merged > 0) step.ctx.metrics.merged(merged)
  }

  watermark(time: number): void {
    const waiting = this.#waiting
    const group: number[] = []
    while (waiting.earliest < time) {
      // Rows of one time are in each other's windows: all are added before the first of them gives its result.
      const at = waiting.earliest
      do group.push(this.#enter(waiting.pop()))
      while (waiting.earliest === at)
      const window = bounds(at + 1 - this.#sizeMs, at + 1)
      for (let i = 0; i < group.length; i++) {
        const key = this.#keyOf(group[i])
        this.#evict(key, at - this.#sizeMs)
        this.#step.emit(
          key.key,
          window,
          this.#rows.columns,
          this.#sumOf(key),
          undefined,
          'onTime',
          Math.max(at, this.#step.watermark),
        )
      }
      group.length = 0
    }
    this.#step.watermark = time
    this.#expire(time - this.#sizeMs)
  }

  barrier(): void {
    this.#blocks.barrier()
    for (const key of this.#newlyTaken) {
      key.isTaken = false
      if (key.live > 0) this.#taken.set(key.key, Math.max(key.taken, this.#step.watermark))
    }
    this.#newlyTaken = []
  }

  #key(key: CanonicalKey): SlidingKey {
    let state = this.#keys.get(key)
    if (state === undefined) {
      state = {
        key,
        rows: [],
        from: 0,
        middle: 0,
        back: this.#rows.take(0, undefined),
        live: 0,
        tail: undefined,
        nextSub: 0,
        taken: this.#taken.get(key) ?? Number.NEGATIVE_INFINITY,
        isTaken: false,
      }
      this.#keys.set(key, state)
    }
    return state
  }

  #keyOf(slot: number): SlidingKey {
    return (this.#rows.blocks[slot] as SlidingBlock).key
  }

  /** Takes the row the plan has read. */
  #wait(key: SlidingKey, time: number): void {
    const block = this.#blocks.blockFor(key, this.#step.watermark - this.#sizeMs)
    const slot = this.#rows.take(time, block)
    const { columns } = this.#rows
    this.#step.plan.addNumbers(columns, slot, 1)
    block.data.push(time)
    for (let c = 1; c < columns.length; c++) block.data.push(columns[c][slot])
    block.live++
    key.live++
    this.#waiting.push(time, slot)
  }

  /** The row's time has passed: it joins the queue of its key. */
  #enter(slot: number): number {
    const key = this.#keyOf(slot)
    key.rows.push(slot)
    this.#merge(key.back, slot)
    this.#passed.push(slot)
    if (!key.isTaken) {
      key.isTaken = true
      this.#newlyTaken.push(key)
    }
    return slot
  }

  /** Slot of the sum of the rows in the queue. */
  #sumOf({ rows, from, middle, back }: SlidingKey): number {
    if (from === middle) return back
    if (middle === rows.length) return rows[from]
    this.#rows.clear(this.#sum)
    this.#merge(this.#sum, rows[from])
    this.#merge(this.#sum, back)
    return this.#sum
  }

  #merge(into: number, from: number): void {
    const { columns } = this.#rows
    this.#step.plan.mergeNumbers(columns, into, columns, from)
  }

  /** Takes the rows with a time <= `limit` out of the queue. */
  #evict(key: SlidingKey, limit: number): void {
    const { times } = this.#rows
    const { rows } = key
    while (key.from < rows.length && times[rows[key.from]] <= limit) {
      if (key.from === key.middle) this.#turn(key)
      key.from++
    }
    if (key.from > 64 && key.from * 2 > rows.length) {
      key.rows = rows.slice(key.from)
      key.middle -= key.from
      key.from = 0
    }
  }

  /** Moves the back of the queue to its front: sums from the newest row to each older one. */
  #turn(key: SlidingKey): void {
    const { rows } = key
    for (let i = rows.length - 2; i >= key.from; i--) this.#merge(rows[i], rows[i + 1])
    key.middle = rows.length
    this.#rows.clear(key.back)
  }

  /** Forgets the rows with a time <= `limit`, which no window holds. */
  #expire(limit: number): void {
    const { times } = this.#rows
    const passed = this.#passed
    for (; this.#oldest < passed.length && times[passed[this.#oldest]] <= limit; this.#oldest++) {
      const slot = passed[this.#oldest]
      const key = this.#keyOf(slot)
      this.#evict(key, limit)
      this.#blocks.leave(this.#rows.blocks[slot] as SlidingBlock)
      this.#rows.release(slot)
      if (--key.live === 0) this.#drop(key)
    }
    if (this.#oldest * 2 >= passed.length) {
      this.#passed = passed.slice(this.#oldest)
      this.#oldest = 0
    }
  }

  #drop(key: SlidingKey): void {
    this.#rows.release(key.back)
    this.#keys.delete(key.key)
    this.#taken.delete(key.key)
  }

  #restore(): void {
    const width = this.#rows.columns.length
    const limit = this.#step.watermark - this.#sizeMs
    this.#blocks.restore(
      (key) => this.#key(key),
      (block) => {
        const { key } = block
        for (let at = 0; at < block.data.length; at += width) {
          const time = block.data[at]
          if (time < key.taken && time <= limit) continue
          const slot = this.#rows.take(time, block)
          const { columns } = this.#rows
          columns[0][slot] = 1
          for (let c = 1; c < width; c++) columns[c][slot] = block.data[at + c]
          block.live++
          key.live++
          if (time < key.taken) this.#passed.push(slot)
          else this.#waiting.push(time, slot)
        }
      },
    )
    const { times } = this.#rows
    this.#passed.sort((a, b) => times[a] - times[b])
    for (const slot of this.#passed) {
      const key = this.#keyOf(slot)
      key.rows.push(slot)
      this.#merge(key.back, slot)
    }
    for (const key of this.#keys.values()) if (key.live === 0) this.#drop(key)
  }
}
