/**
 * What `flow.run` does inside a worker thread: nothing. The worker imports the module that made the flow, and a program
 * that ends in `await flow.run()` must hand over its flow there instead of starting a second run.
 */
const SLOT = Symbol.for('millrace.worker')

interface WorkerSlot {
  offer(flow: { readonly name: string }): void
}

/** Called once by the worker's entry, before it imports the user's module. */
export function enterWorker(slot: WorkerSlot): void {
  ;(globalThis as Record<symbol, unknown>)[SLOT] = slot
}

export function isInWorker(): boolean {
  return SLOT in globalThis
}

/** Hands the flow over and never resolves, so that nothing after `await flow.run()` runs in the worker. */
export function park(flow: { readonly name: string }): Promise<never> {
  ;((globalThis as Record<symbol, unknown>)[SLOT] as WorkerSlot).offer(flow)
  return new Promise<never>(() => {})
}
