/** Pauses between attempts: twice as long after each failure, up to a limit, and not in step with other clients. */

const FIRST_MS = 100

export class Backoff {
  readonly #maxMs: number
  readonly #firstMs: number
  #failures = 0

  constructor(maxMs: number, firstMs = FIRST_MS) {
    this.#maxMs = maxMs
    this.#firstMs = firstMs
  }

  get failures(): number {
    return this.#failures
  }

  /** Counts a failure; the pause before the next attempt: half of it fixed, half random. */
  next(): number {
    const ms = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#failures++, 20))
    return ms / 2 + (Math.random() * ms) / 2
  }

  reset(): void {
    this.#failures = 0
  }
}

/** Resolves after `ms`, or at once when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
