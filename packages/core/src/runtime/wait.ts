/** Waiting that ends early when the run does: what connectors get as `ctx.wait`. */
import type { Scheduler } from './ports.ts'

/** Resolves after about `ms`, or at once when `signal` aborts. */
export function wait(scheduler: Scheduler, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = scheduler.after(ms, done)
    signal.addEventListener('abort', done)
  })
}
