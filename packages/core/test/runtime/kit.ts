/**
 * What the engine's integration tests share: sources that do what a test says, flows in virtual time on a simulated disk,
 * and temporary folders for flows on the real one.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { Source, SourceBatch, SourceReader } from '../../src/connector.ts'
import type { Dataflow } from '../../src/dataflow.ts'
import type { JobEvent, RunReport } from '../../src/runtime/job-contract.ts'
import type { Ports } from '../../src/runtime/ports.ts'
import { type Run, type RunOptions, startRun } from '../../src/runtime/run.ts'
import { SimClock } from '../../src/testing/sim-clock.ts'
import { SimDisk } from '../../src/testing/sim-disk.ts'
import { type DiskFault, type DiskWrite, simDiskPort } from '../../src/testing/sim-disk-port.ts'
import { seededRandom } from '../../src/testing/sim-random.ts'
import { type SimProcess, SimScheduler } from '../../src/testing/sim-scheduler.ts'

export interface Row {
  readonly key: string
  readonly at: number
  readonly n: number
}

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A folder that is gone after the test. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-runtime-'))
  folders.push(folder)
  return folder
}

/** A partition that gives rows when it is told to. */
export class Feed<T> {
  readonly rows: T[] = []
  isEnded = false
  /** While true, reads stay open, whatever there is. */
  isStuck = false
  /** Reads answered. */
  reads = 0
  #waiting: (() => void) | undefined

  push(...rows: readonly T[]): this {
    for (const row of rows) this.rows.push(row)
    return this.wake()
  }

  end(): this {
    this.isEnded = true
    return this.wake()
  }

  wake(): this {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
    return this
  }

  async changed(ms: number, wait: (ms: number) => Promise<void>): Promise<void> {
    await Promise.race([new Promise<void>((resolve) => (this.#waiting = resolve)), wait(ms)])
  }
}

/** A source over feeds, one per partition. */
export function feedSource<T>(feeds: Readonly<Record<string, Feed<T>>>, batchMax = 1024): Source<T> {
  return {
    kind: 'feed',
    replayable: true,
    describe: () => ({}),
    partitions: () => Object.keys(feeds),
    open: (partition, position, ctx): SourceReader<T> => {
      const feed = feeds[partition]
      let next = (position ?? 0) as number
      return {
        async read(maxRows): Promise<SourceBatch<T> | 'end'> {
          if (next === feed.rows.length && !feed.isEnded) await feed.changed(500, (ms) => ctx.wait(ms))
          while (feed.isStuck) await feed.changed(60_000, (ms) => ctx.wait(ms))
          feed.reads++
          const start = next
          const rows = feed.rows.slice(start, start + Math.min(maxRows, batchMax))
          if (rows.length === 0 && feed.isEnded) return 'end'
          next = start + rows.length
          return { rows, next, caughtUp: next === feed.rows.length, at: (i) => start + i }
        },
        close() {},
      }
    },
  }
}

/** The processes of a simulated machine: whoever had the lock before is dead. */
const processes = { pid: 1, host: 'virtual', isAlive: () => false, identity: String }

/** A flow in virtual time. The disk may be handed on to another one, as after a crash. */
export class Virtual {
  readonly scheduler: SimScheduler
  readonly clock: SimClock
  readonly disk: SimDisk
  readonly process: SimProcess
  readonly ports: Ports
  readonly events: JobEvent[] = []
  readonly writes: string[] = []
  fault: ((write: DiskWrite) => DiskFault | undefined) | undefined
  run: Run | undefined
  report: RunReport | undefined
  error: (Error & { readonly code?: string; readonly step?: string }) | undefined

  constructor(disk?: SimDisk, startMs = 1_700_000_000_000) {
    this.scheduler = new SimScheduler(1, { isExact: true })
    this.clock = new SimClock(this.scheduler, startMs)
    this.disk = disk ?? new SimDisk(seededRandom(1))
    this.process = this.scheduler.process('test')
    this.ports = {
      clock: this.clock,
      scheduler: this.process,
      random: seededRandom(2),
      disk: simDiskPort({
        disk: this.disk,
        process: this.process,
        random: seededRandom(3),
        isInstant: true,
        onWrite: (write) => this.writes.push(`${write.action} ${write.path}`),
        fault: (write) => this.fault?.(write),
      }),
      processes,
    }
  }

  start(flow: Dataflow, options: RunOptions = {}): this {
    startRun(
      flow,
      {
        state: '/state',
        execution: 'inline',
        restartsMax: 0,
        stateBytesMax: 1 << 28,
        ...options,
        onEvent: (event) => this.events.push(event),
      },
      this.ports,
    )
      .then((run) => {
        this.run = run
        return run.done
      })
      .then(
        (report) => {
          this.report = report
        },
        (error: Error) => {
          this.error = error
        },
      )
    return this
  }

  /** Lets this much time pass. @throws the error that ended the flow */
  async pass(ms: number): Promise<this> {
    await this.scheduler.run(() => this.error !== undefined, { virtualMs: ms, events: 2_000_000 })
    if (this.error !== undefined) throw this.error
    return this
  }

  /** Runs to the end of the flow. @throws the error that ended it */
  async end(ms = 3_600_000): Promise<RunReport> {
    const why = await this.scheduler.run(() => this.error !== undefined || this.report !== undefined, {
      virtualMs: ms,
      events: 5_000_000,
    })
    if (this.error !== undefined) throw this.error
    if (this.report === undefined) throw new Error(`the flow does not come to its end (${why})`)
    return this.report
  }

  /** The process dies; another one finds its disk. */
  crash(): Virtual {
    this.process.kill()
    return new Virtual(this.disk.crash('kill'), this.clock.now())
  }

  get commits(): number {
    return this.events.filter((event) => event.type === 'commit').length
  }
}
