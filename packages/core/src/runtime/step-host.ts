/** What a step gets from the worker that hosts it: ports, state, counters, wake-ups. */
import type { DropReason, StepMetrics } from '../graph/operator.ts'
import type { StateStore } from '../state/store.ts'
import { C, type Counter, WIDTH } from './metrics.ts'
import type { Ports } from './ports.ts'

/** What a worker lends to the steps it hosts. */
export interface StepHost {
  readonly ports: Ports
  readonly store: StateStore
  readonly counters: Float64Array
  readonly instance: { readonly index: number; readonly count: number }
  /** Watermark of each step at the restored checkpoint. */
  readonly restoredWatermarks: Readonly<Record<string, number>>
  /** Milliseconds spent in steps called by the step that runs now; makes busy time exclusive. */
  nestedMs: number
  /** The worker has something to do. */
  wake(): void
  /** The worker should look again at this processing time. */
  wakeAt(timeMs: number): void
}

/** Counters of one step as an object the step adds to. */
export class StepCounter implements StepMetrics {
  readonly #counters: Float64Array
  readonly #base: number

  constructor(counters: Float64Array, nodeId: number) {
    this.#counters = counters
    this.#base = nodeId * WIDTH
  }

  add(counter: Counter, n: number): void {
    this.#counters[this.#base + C[counter]] += n
  }

  put(counter: Counter, value: number): void {
    this.#counters[this.#base + C[counter]] = value
  }

  late(n: number): void {
    this.add('late', n)
  }

  dropped(n: number, reason: DropReason): void {
    this.add(DROP_COUNTER[reason], n)
  }

  dead(n: number): void {
    this.add('dead', n)
  }

  retried(n: number): void {
    this.add('retried', n)
  }

  merged(n: number): void {
    this.add('merged', n)
  }

  filtered(n: number): void {
    this.add('filtered', n)
  }

  deduplicated(n: number): void {
    this.add('deduplicated', n)
  }
}

const DROP_COUNTER: Readonly<Record<DropReason, Counter>> = {
  'buffer-full': 'droppedFull',
  expired: 'droppedExpired',
  unmatched: 'droppedUnmatched',
  throttled: 'droppedThrottled',
  sampled: 'droppedSampled',
  error: 'droppedError',
}
