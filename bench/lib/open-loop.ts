/**
 * Load without coordinated omission: every record has a time at which it is meant to be emitted, set by the rate alone.
 * When the flow falls behind, records go on falling due, and the time they wait is part of their latency.
 *
 * Record `i` of partition `p` of `n` is number `p + i * n` of the whole load, due at `startMs + number * 1000 / rate`.
 */
import type { Source, SourceBatch, SourceReader } from 'millrace/connector'
import { nowMs } from './clock.ts'

export interface OpenLoopOptions<T> {
  /** Records per second, over all partitions. */
  readonly rate: number
  /** When the first record is due, ms since the epoch. */
  readonly startMs: number
  readonly durationMs: number
  readonly partitions?: number
  /** Makes record `number`, which is due at `dueMs`. */
  readonly make: (number: number, dueMs: number) => T
  /**
   * How the source waits for the next record. 'timer': by a timer of 1 ms, so records come in groups of a millisecond's
   * worth. 'poll': it looks at every turn of the event loop, which takes a whole core and finds each record at once.
   */
  readonly pace?: Pace
}

export type Pace = 'timer' | 'poll'

export function openLoop<T>(options: OpenLoopOptions<T>): Source<T> {
  const { rate, partitions = 1, durationMs } = options
  return {
    kind: 'bench.openLoop',
    bounded: true,
    replayable: true,
    describe: () => ({ rate, partitions, durationMs }),
    partitions: () => Array.from({ length: partitions }, (_, p) => String(p)),
    open: (partition, position) => new OpenLoopReader(options, Number(partition), (position as number) ?? 0),
  }
}

class OpenLoopReader<T> implements SourceReader<T> {
  readonly #options: OpenLoopOptions<T>
  readonly #partition: number
  readonly #step: number
  readonly #count: number
  #next: number

  constructor(options: OpenLoopOptions<T>, partition: number, next: number) {
    this.#options = options
    this.#partition = partition
    this.#step = options.partitions ?? 1
    this.#count = Math.floor((options.durationMs * options.rate) / 1000 / this.#step)
    this.#next = next
  }

  read(maxRows: number): SourceBatch<T> | 'end' | Promise<SourceBatch<T> | 'end'> {
    if (this.#next >= this.#count) return 'end'
    return this.#dueMs(this.#next) <= nowMs() ? this.#due(maxRows) : this.#wait(maxRows)
  }

  close(): void {}

  #dueMs(i: number): number {
    return dueMs(this.#options, this.#partition + i * this.#step)
  }

  #due(maxRows: number): SourceBatch<T> {
    const { make } = this.#options
    const now = nowMs()
    const first = this.#next
    const rows: T[] = []
    for (; rows.length < maxRows && this.#next < this.#count; this.#next++) {
      const due = this.#dueMs(this.#next)
      if (due > now) break
      rows.push(make(this.#partition + this.#next * this.#step, due))
    }
    return { rows, next: this.#next, caughtUp: rows.length < maxRows, at: (i) => first + i }
  }

  async #wait(maxRows: number): Promise<SourceBatch<T>> {
    const waitMs = Math.min(500, this.#dueMs(this.#next) - nowMs())
    if (this.#options.pace === 'poll') await new Promise<void>((resolve) => setImmediate(resolve))
    else await new Promise<void>((resolve) => setTimeout(resolve, Math.max(1, waitMs)))
    return this.#due(maxRows)
  }
}

/** When record `number` of the whole load is due. */
export function dueMs(options: { readonly rate: number; readonly startMs: number }, number: number): number {
  return options.startMs + (number * 1000) / options.rate
}
