/** The clock port on virtual time: the wall clock may jump and stand still, the monotonic one does neither. */
import type { Clock } from '../runtime/ports.ts'
import type { SimScheduler } from './sim-scheduler.ts'

export class SimClock implements Clock {
  readonly #scheduler: SimScheduler
  #offsetMs: number
  #frozenAtMs: number | undefined

  /** @param startMs wall clock at virtual time 0, ms since the epoch */
  constructor(scheduler: SimScheduler, startMs = 1_700_000_000_000) {
    this.#scheduler = scheduler
    this.#offsetMs = startMs
  }

  now(): number {
    return Math.floor(this.#frozenAtMs ?? this.#offsetMs + this.#scheduler.nowMs)
  }

  monotonic(): number {
    return this.#scheduler.nowMs
  }

  /** The wall clock is set forward or, with a negative `ms`, back. */
  jump(ms: number): void {
    this.#offsetMs += ms
    if (this.#frozenAtMs !== undefined) this.#frozenAtMs += ms
  }

  /** The wall clock stands still until `thaw`, and then jumps to where it would be. */
  freeze(): void {
    this.#frozenAtMs ??= this.#offsetMs + this.#scheduler.nowMs
  }

  thaw(): void {
    this.#frozenAtMs = undefined
  }
}
