/** One start of the workers, until they end or fail: collects what they report and says what to do next. */
import { type MillraceError, OperationalError } from '../errors.ts'
import type { WorkerSnapshot } from './messages.ts'
import type { Scheduler } from './ports.ts'

/** Why the commit loop goes on. */
export type Reason = 'interval' | 'stop' | 'done'

export class Attempt {
  readonly #workers: number
  readonly #done = new Set<number>()
  readonly #passed = new Set<number>()
  readonly #stopped = new Set<number>()
  #failure: MillraceError | undefined
  #isStopRequested = false
  #snapshots: { epoch: number; byWorker: Map<number, WorkerSnapshot> } | undefined
  #notify: (() => void) | undefined

  constructor(workers: number) {
    this.#workers = workers
  }

  fail(error: MillraceError): void {
    this.#failure ??= error
    this.#notify?.()
  }

  requestStop(): void {
    this.#isStopRequested = true
    this.#notify?.()
  }

  done(worker: number): void {
    this.#done.add(worker)
    this.#notify?.()
  }

  passed(worker: number): void {
    this.#passed.add(worker)
    if (this.#passed.size === this.#workers) this.requestStop()
  }

  stopped(worker: number): void {
    this.#stopped.add(worker)
    this.#notify?.()
  }

  snapshot(snapshot: WorkerSnapshot): void {
    if (this.#snapshots?.epoch === snapshot.epoch) this.#snapshots.byWorker.set(snapshot.worker, snapshot)
    this.#notify?.()
  }

  /** Waits an interval, or until all work is done or a stop is asked for. @throws the failure of a worker */
  async wait(ms: number, scheduler: Scheduler): Promise<Reason> {
    const reason = (): Reason | undefined =>
      this.#done.size === this.#workers ? 'done' : this.#isStopRequested ? 'stop' : undefined
    let isDue = false
    const cancel = scheduler.after(ms, () => {
      isDue = true
      this.#notify?.()
    })
    try {
      await this.#until(() => isDue || reason() !== undefined)
    } finally {
      cancel()
    }
    return reason() ?? 'interval'
  }

  /** Asks for a snapshot and waits for every worker's part. @throws the failure of a worker */
  async snapshots(epoch: number, ask: () => void): Promise<WorkerSnapshot[]> {
    const byWorker = new Map<number, WorkerSnapshot>()
    this.#snapshots = { epoch, byWorker }
    ask()
    await this.#until(() => byWorker.size === this.#workers)
    this.#snapshots = undefined
    return [...byWorker.values()].sort((a, b) => a.worker - b.worker)
  }

  /** Workers whose part of the snapshot has not come. */
  missing(): number[] {
    const workers = Array.from({ length: this.#workers }, (_, i) => i)
    return workers.filter((worker) => !this.#snapshots?.byWorker.has(worker))
  }

  /** Waits until every worker said that it stopped, at most `ms`. */
  async allStopped(ms: number, scheduler: Scheduler): Promise<void> {
    let isLate = false
    const cancel = scheduler.after(ms, () => {
      isLate = true
      this.#notify?.()
    })
    await this.#until(() => isLate || this.#stopped.size === this.#workers)
    cancel()
    if (this.#stopped.size === this.#workers) return
    throw new OperationalError(
      'WORKER_STOP',
      `${this.#workers - this.#stopped.size} of ${this.#workers} workers did not stop within ${ms} ms; everything is committed, they are ended.`,
    )
  }

  async #until(isTrue: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (isTrue()) return
      await new Promise<void>((resolve) => {
        this.#notify = resolve
      })
      this.#notify = undefined
    }
  }
}
