/**
 * Counters of every step, in one Float64Array per worker. Workers add to it once a batch; the supervisor reads it at any
 * time, also while the worker is busy or dead, when the array lies in shared memory.
 */
export const COUNTERS = [
  'recordsIn',
  'recordsOut',
  'late',
  'droppedFull',
  'droppedExpired',
  'droppedUnmatched',
  'droppedThrottled',
  'droppedSampled',
  'droppedError',
  'dead',
  'retried',
  'merged',
  'filtered',
  'deduplicated',
  'held',
  'busyMs',
  'blockedMs',
  'awaitMs',
  'bytesOut',
  'errors',
  'watermark',
  'stateBytes',
  'keys',
  'queued',
  'queueCapacity',
  'restored',
  'sideOut',
  'lostDeliveries',
] as const

export type Counter = (typeof COUNTERS)[number]

/** Index of each counter within a step's row. */
export const C: Readonly<Record<Counter, number>> = Object.fromEntries(COUNTERS.map((name, i) => [name, i])) as Record<
  Counter,
  number
>

export const WIDTH = COUNTERS.length

/** Counters whose values over workers are not added: the smallest watermark counts. */
const MINIMUM: ReadonlySet<Counter> = new Set(['watermark'])

export type StepCounters = Readonly<Record<Counter, number>>

/** The array for `steps` steps, in shared memory so that other threads may read it. Watermarks start unknown (NaN). */
export function createCounters(steps: number): Float64Array<SharedArrayBuffer> {
  const counters = new Float64Array(new SharedArrayBuffer(Math.max(1, steps) * WIDTH * 8))
  for (let step = 0; step < steps; step++) counters[step * WIDTH + C.watermark] = Number.NaN
  return counters
}

/** One step's counters over all workers; a watermark that no worker knows yet is NaN. */
export function sumCounters(workers: readonly Float64Array[], step: number): StepCounters {
  const out = {} as Record<Counter, number>
  for (let c = 0; c < WIDTH; c++) {
    const name = COUNTERS[c]
    const isMinimum = MINIMUM.has(name)
    let total = isMinimum ? Number.NaN : 0
    for (const worker of workers) {
      const value = worker[step * WIDTH + c]
      if (!isMinimum) total += value
      else if (!Number.isNaN(value)) total = Number.isNaN(total) ? value : Math.min(total, value)
    }
    out[name] = total
  }
  return out
}
