/**
 * Rows that wait for the watermark, to be taken in event-time order: by time, source, partition, offset.
 *
 * State: `pending`, by (key, arrival): what the aggregates need of the row. The heap over it is rebuilt at restore.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { Table } from '../state/table.ts'
import { compareEventTime } from '../window/aggregates-rows.ts'
import type { Inputs } from '../window/plan.ts'
import type { Arrival } from '../window/types.ts'
import { MinHeap } from './min-heap.ts'
import type { WindowStep } from './window-step.ts'

/** A row that waits. */
export interface Waiting {
  readonly at: Arrival
  readonly inputs: Inputs
}

export class PendingRows {
  readonly #step: WindowStep
  readonly #table: Table<Waiting>
  readonly #heap = new MinHeap<Waiting & { readonly key: CanonicalKey; readonly sub: number }>((a, b) =>
    compareEventTime(a.at, b.at),
  )

  constructor(step: WindowStep) {
    this.#step = step
    this.#table = step.ctx.state.table<Waiting>('pending')
    this.#table.forEach((key, sub, { at, inputs }) => {
      this.#heap.push({ at, inputs, key, sub: sub as number })
      step.continueAfter(sub as number)
    })
  }

  /** Keeps the row the plan has read. */
  add(key: CanonicalKey, arrival: Arrival): void {
    const at = { ...arrival }
    const inputs = this.#step.plan.inputs()
    this.#table.set(key, { at, inputs }, at.sequence)
    this.#heap.push({ at, inputs, key, sub: at.sequence })
  }

  /** Takes the rows with a time before `time`, in order: the plan has each read and the step's arrival is its. */
  takeBefore(time: number, take: (key: CanonicalKey, row: Waiting) => void): void {
    for (let next = this.#heap.peek(); next !== undefined && next.at.time < time; next = this.#heap.peek()) {
      this.#heap.pop()
      this.#table.delete(next.key, next.sub)
      Object.assign(this.#step.arrival, next.at)
      this.#step.plan.use(next.inputs)
      take(next.key, next)
    }
  }
}
