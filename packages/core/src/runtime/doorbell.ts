/**
 * A doorbell in shared memory: one thread sleeps on it, the others ring it when they gave that thread something to do.
 *
 * Read `current()` before you look for work, and pass it to `wait`: what was rung after that look ends the wait at once,
 * so no ring is lost between looking and sleeping.
 */
import type { Scheduler } from './ports.ts'

const COUNT = 0
const WAITING = 1
export const DOORBELL_BYTES = 64

/** Longer waits are cut to this, so that a waiter never outlives a lost peer by more. */
const waitMsMax = 60_000

export class Doorbell {
  readonly #cells: Int32Array
  readonly #scheduler: Scheduler | undefined

  /**
   * @param memory shared by all threads; bell `index` takes DOORBELL_BYTES of it
   * @param scheduler needed by the thread that waits
   */
  constructor(memory: SharedArrayBuffer, index = 0, scheduler?: Scheduler) {
    this.#cells = new Int32Array(memory, index * DOORBELL_BYTES, 2)
    this.#scheduler = scheduler
  }

  /** Memory for `count` bells. */
  static memory(count: number): SharedArrayBuffer {
    return new SharedArrayBuffer(count * DOORBELL_BYTES)
  }

  /** How often it was rung, modulo 2^32. */
  current(): number {
    return Atomics.load(this.#cells, COUNT)
  }

  /** Wakes the waiting thread. Costs a few ns when nobody waits. */
  ring(): void {
    Atomics.add(this.#cells, COUNT, 1)
    if (Atomics.load(this.#cells, WAITING) === 1) Atomics.notify(this.#cells, COUNT)
  }

  /** Resolves when the count is no longer `seen`, or after `timeoutMs`. One wait at a time. Keeps the event loop alive. */
  async wait(seen: number, timeoutMs: number): Promise<void> {
    const ms = Math.min(timeoutMs, waitMsMax)
    Atomics.store(this.#cells, WAITING, 1)
    const waiting = Atomics.waitAsync(this.#cells, COUNT, seen, ms)
    if (waiting.async) {
      // waitAsync does not keep the event loop alive; this timer does. It ends the wait too, should its timeout not.
      let cancel: (() => void) | undefined
      const late = new Promise<void>((resolve) => {
        cancel = this.#scheduler?.after(ms + 5, resolve)
      })
      await (this.#scheduler === undefined ? waiting.value : Promise.race([waiting.value, late]))
      cancel?.()
    }
    Atomics.store(this.#cells, WAITING, 0)
  }
}
