/**
 * What `flow.run` does inside a worker thread: nothing. The worker imports the module that made the flow, and a program
 * that ends in `await flow.run()` must hand over its flow there instead of starting a second run.
 */
const SLOT = Symbol.for('millrace.worker')

interface Named {
  readonly name: string
}

interface WorkerSlot {
  /** A flow was made. */
  made(flow: Named): void
  /** A flow was run: the module goes no further. */
  run(flow: Named): void
}

/** Called once by the worker's entry, before it imports the user's module. */
export function enterWorker(slot: WorkerSlot): void {
  ;(globalThis as Record<symbol, unknown>)[SLOT] = slot
}

export function isInWorker(): boolean {
  return SLOT in globalThis
}

/** Tells the worker, if this is one, that a flow was made. */
export function announce(flow: Named): void {
  ;(globalThis as Record<symbol, WorkerSlot | undefined>)[SLOT]?.made(flow)
}

/** Hands the flow over and never resolves, so that nothing after `await flow.run()` runs in the worker. */
export function park(flow: Named): Promise<never> {
  ;(globalThis as Record<symbol, WorkerSlot | undefined>)[SLOT]?.run(flow)
  return new Promise<never>(() => {})
}
