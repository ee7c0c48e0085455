/**
 * A log in memory that outlives the simulated processes that read it, as a broker does: partitions to which rows are
 * appended while time passes. A position is the number of rows read of a partition.
 */
import type { Position, Source, SourceBatch, SourceReader } from '../connector.ts'
import { InvariantError } from '../errors.ts'
import type { Scheduler } from '../runtime/ports.ts'
import type { SeededRandom } from './sim-random.ts'

/** How a process reads the log. */
export interface SimLogReading {
  readonly scheduler: Scheduler
  /** With it: reads take time and give batches of drawn sizes. Without: at once, as many rows as asked for. */
  readonly random?: SeededRandom
  readonly batchRowsMax?: number
}

/** A reader with nothing to give answers after this time. */
const emptyAfterMs = 500

export class SimLog {
  readonly #partitions = new Map<string, unknown[]>()
  #isEnded = false
  #waiting: (() => void)[] = []

  constructor(partitions: readonly string[]) {
    for (const name of partitions) this.#partitions.set(name, [])
  }

  append(partition: string, rows: readonly unknown[]): void {
    for (const row of rows) this.rows(partition).push(row)
    this.#notify()
  }

  /** No more rows will come. */
  end(): void {
    this.#isEnded = true
    this.#notify()
  }

  get partitions(): string[] {
    return [...this.#partitions.keys()]
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  rows(partition: string): unknown[] {
    const rows = this.#partitions.get(partition)
    if (rows === undefined) throw new InvariantError('SIM_PARTITION', `the log has no partition "${partition}".`)
    return rows
  }

  source(reading: SimLogReading): Source<unknown> {
    return {
      kind: 'simulated log',
      replayable: true,
      describe: () => ({ partitions: this.#partitions.size }),
      partitions: () => [...this.#partitions.keys()],
      open: (partition, position) => new SimLogReader(this, this.rows(partition), position, reading),
    }
  }

  /** Calls `fn` at the next append or end. Returns a cancel function. */
  onChange(fn: () => void): () => void {
    this.#waiting.push(fn)
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== fn)
    }
  }

  #notify(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const fn of waiting) fn()
  }
}

class SimLogReader implements SourceReader<unknown> {
  readonly #log: SimLog
  readonly #rows: readonly unknown[]
  readonly #reading: SimLogReading
  #next: number

  constructor(log: SimLog, rows: readonly unknown[], position: Position | undefined, reading: SimLogReading) {
    this.#log = log
    this.#rows = rows
    this.#reading = reading
    this.#next = (position ?? 0) as number
    if (!Number.isInteger(this.#next) || this.#next < 0 || this.#next > rows.length) {
      throw new InvariantError('SIM_POSITION', `a simulated log of ${rows.length} rows was opened at ${this.#next}.`)
    }
  }

  async read(maxRows: number): Promise<SourceBatch<unknown> | 'end'> {
    const { scheduler, random, batchRowsMax = maxRows } = this.#reading
    if (random !== undefined) await new Promise<void>((resolve) => scheduler.after(random.next() * 2, resolve))
    if (this.#next === this.#rows.length && !this.#log.isEnded) await this.#change()
    if (this.#next === this.#rows.length && this.#log.isEnded) return 'end'
    const most = Math.min(maxRows, batchRowsMax)
    const start = this.#next
    const rows = this.#rows.slice(start, start + (random === undefined ? most : random.between(1, most)))
    this.#next = start + rows.length
    return { rows, next: this.#next, caughtUp: this.#next === this.#rows.length, at: (i) => start + i }
  }

  lag(): number {
    return this.#rows.length - this.#next
  }

  close(): void {}

  /** Resolves at the next change, or after a while. The wake-up itself comes by the reading process's scheduler. */
  #change(): Promise<void> {
    const { scheduler } = this.#reading
    return new Promise((resolve) => {
      const done = (): void => {
        cancelTimer()
        cancelChange()
        scheduler.soon(resolve)
      }
      const cancelTimer = scheduler.after(emptyAfterMs, done)
      const cancelChange = this.#log.onChange(done)
    })
  }
}
