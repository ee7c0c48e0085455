/**
 * Runs a whole flow in virtual time: the production runtime on a clock that stands still until the test moves it. Rows
 * are sent by hand, what reaches a sink is read back, and a snapshot is a commit that a fresh flow continues from.
 */
import { markedRow } from '../batch/changes.ts'
import type { Sink } from '../connector.ts'
import { UsageError } from '../errors.ts'
import { addDeadLetterSinks } from '../graph/dead-letters.ts'
import type { Graph, GraphNode } from '../graph/node.ts'
import { plan } from '../graph/plan.ts'
import type { RunReport } from '../runtime/job-contract.ts'
import type { Ports } from '../runtime/ports.ts'
import { type Run, startRun } from '../runtime/run.ts'
import { type Duration, durationMs } from '../time/duration.ts'
import { checkEnd, endNames, replaceEnds } from './replace-ends.ts'
import { SimClock } from './sim-clock.ts'
import { SimDisk } from './sim-disk.ts'
import { simDiskPort } from './sim-disk-port.ts'
import { SimLog } from './sim-log.ts'
import { seededRandom } from './sim-random.ts'
import { SimScheduler } from './sim-scheduler.ts'

export interface TestFlowOptions {
  /** Default 1; they run in this thread. */
  readonly workers?: number
  /** Clock at the start, ms since the epoch. Default 2024-01-01T00:00Z. */
  readonly now?: number
  readonly seed?: number
  /** Partitions of each source; default one, '0'. */
  readonly partitions?: Readonly<Record<string, readonly string[]>>
}

/** What `snapshot` took and `restore` continues from. */
export interface FlowSnapshot {
  readonly disk: SimDisk
  readonly nowMs: number
  /** Rows sent so far, by source and partition. */
  readonly sent: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>>
}

export interface TestFlow {
  /** Rows arrive at a source, in one partition, and go through the flow as far as they can. */
  send(source: string, rows: readonly unknown[], partition?: string): Promise<void>
  /** Processing time passes. @throws the error that ended the flow, if one did */
  advance(duration: Duration): Promise<void>
  /** Every source ends; resolves when the flow has. */
  end(): Promise<RunReport>
  /** Rows that have reached a sink since the start or the restore. */
  output<T = unknown>(sink: string): T[]
  /** Commits everything sent so far and stops the flow. */
  snapshot(): Promise<FlowSnapshot>
  /** A fresh run of the flow that continues from a snapshot, also with another number of workers. */
  restore(snapshot: FlowSnapshot, options?: Pick<TestFlowOptions, 'workers'>): TestFlow
  /** Stops without a commit. */
  close(): void
  /** The clock, ms since the epoch. */
  readonly now: number
}

const folder = '/test/state'
const eventsMax = 2_000_000

/**
 * Starts a flow under test.
 * @throws UsageError `TEST_END` from `send` and `output` for a source or sink the flow does not have
 * @example
 * import { count, dataflow, tumbling } from 'millrace'
 * import { arraySink, arraySource, testFlow } from 'millrace/testing'
 * const flow = dataflow('counts')
 * flow
 *   .source('readings', arraySource<{ sensor: string; at: number }>([]), { time: (r) => r.at, disorder: '0s' })
 *   .keyBy((r) => r.sensor)
 *   .window(tumbling('1s'))
 *   .aggregate('count', { n: count() })
 *   .sink('out', arraySink<unknown>([]))
 * const test = testFlow(flow)
 * await test.send('readings', [{ sensor: 'a', at: 100 }, { sensor: 'a', at: 1_100 }])
 * test.output('out') // => [{ key: 'a', window: { start: 0, end: 1_000 }, n: 1 }]
 * await test.end()
 * test.output('out').length // => 2
 */
export function testFlow(
  flow: { readonly name: string; readonly graph: Graph },
  options: TestFlowOptions = {},
): TestFlow {
  return new FlowTest(flow.graph, options)
}

class FlowTest implements TestFlow {
  readonly #graph: Graph
  readonly #options: TestFlowOptions
  readonly #scheduler: SimScheduler
  readonly #clock: SimClock
  readonly #disk: SimDisk
  readonly #logs = new Map<string, SimLog>()
  readonly #rows = new Map<string, unknown[]>()
  readonly #kill: () => void
  #run: Run | undefined
  #report: RunReport | undefined
  #failed: { readonly error: unknown } | undefined
  #isOver = false

  constructor(graph: Graph, options: TestFlowOptions, snapshot?: FlowSnapshot) {
    this.#graph = graph
    this.#options = options
    addDeadLetterSinks(graph)
    const seed = options.seed ?? 1
    const random = seededRandom(seed)
    this.#scheduler = new SimScheduler(seed, { isExact: true })
    this.#clock = new SimClock(this.#scheduler, snapshot?.nowMs ?? options.now ?? Date.UTC(2024, 0, 1))
    this.#disk = snapshot?.disk.crash('kill') ?? new SimDisk(random.fork('disk'))
    const process = this.#scheduler.process('test')
    this.#kill = () => process.kill()
    for (const name of endNames(graph, 'source')) {
      const sent = snapshot?.sent[name] ?? {}
      const partitions = options.partitions?.[name] ?? (snapshot === undefined ? ['0'] : Object.keys(sent))
      const log = new SimLog(partitions)
      for (const partition of partitions) log.append(partition, sent[partition] ?? [])
      this.#logs.set(name, log)
    }
    const ports: Ports = {
      clock: this.#clock,
      scheduler: process,
      random: random.fork('ports'),
      disk: simDiskPort({ disk: this.#disk, process, random: random.fork('port'), isInstant: true }),
      processes: { pid: 1, host: 'test', isAlive: () => false, identity: String },
    }
    const tested = replaceEnds(graph, {
      source: (name) => (this.#logs.get(name) as SimLog).source({ scheduler: process }),
      sink: (name, node) => this.#capture(name, node),
    })
    startRun(
      { name: graph.name, module: undefined, plan: (workers) => plan(tested, workers) },
      { state: folder, workers: options.workers ?? 1, execution: 'inline', restartsMax: 0, stateBytesMax: 1 << 30 },
      ports,
    )
      .then((run) => {
        this.#run = run
        return run.done
      })
      .then(
        (report) => {
          this.#report = report
        },
        (error: unknown) => {
          this.#failed = { error }
        },
      )
  }

  get now(): number {
    return this.#clock.now()
  }

  async send(source: string, rows: readonly unknown[], partition?: string): Promise<void> {
    this.#checkOpen()
    checkEnd(this.#graph, 'source', source)
    const log = this.#logs.get(source) as SimLog
    log.append(partition ?? this.#options.partitions?.[source]?.[0] ?? '0', rows)
    await this.#settle()
  }

  async advance(duration: Duration): Promise<void> {
    this.#checkOpen()
    await this.#settle()
    await this.#scheduler.run(() => this.#failed !== undefined, {
      virtualMs: durationMs(duration, 'advance'),
      events: eventsMax,
    })
    this.#check()
  }

  async end(): Promise<RunReport> {
    this.#checkOpen()
    for (const log of this.#logs.values()) log.end()
    return await this.#finish()
  }

  output<T>(sink: string): T[] {
    checkEnd(this.#graph, 'sink', sink)
    return [...(this.#rows.get(sink) ?? [])] as T[]
  }

  async snapshot(): Promise<FlowSnapshot> {
    this.#checkOpen()
    await this.#settle()
    const sent: Record<string, Record<string, readonly unknown[]>> = {}
    for (const [name, log] of this.#logs) {
      sent[name] = Object.fromEntries(log.partitions.map((partition) => [partition, [...log.rows(partition)]]))
    }
    const nowMs = this.now
    this.#run?.job.stop()
    await this.#finish()
    return { disk: this.#disk, nowMs, sent }
  }

  restore(snapshot: FlowSnapshot, options: Pick<TestFlowOptions, 'workers'> = {}): TestFlow {
    return new FlowTest(this.#graph, { ...this.#options, ...options }, snapshot)
  }

  close(): void {
    this.#isOver = true
    this.#kill()
  }

  /** Everything that needs no time to pass. */
  async #settle(): Promise<void> {
    await this.#scheduler.run(() => this.#failed !== undefined, { virtualMs: 0, events: eventsMax })
    this.#check()
  }

  async #finish(): Promise<RunReport> {
    this.#isOver = true
    await this.#scheduler.run(() => this.#failed !== undefined || this.#report !== undefined, { events: eventsMax })
    this.#check()
    if (this.#report === undefined)
      throw new UsageError('TEST_HANGS', `flow "${this.#graph.name}" does not come to its end.`)
    return this.#report
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed.error
  }

  #checkOpen(): void {
    this.#check()
    if (!this.#isOver) return
    throw new UsageError('TEST_OVER', `the test of flow "${this.#graph.name}" is over; restore a snapshot to go on.`)
  }

  #capture(name: string, { spec }: GraphNode): Sink<unknown> {
    const rows: unknown[] = []
    this.#rows.set(name, rows)
    return {
      kind: 'test',
      guarantee: 'at-least-once',
      takesChanges: spec.type === 'sink' && spec.sink.takesChanges === true,
      describe: () => ({}),
      open: () => ({
        write(batch) {
          for (let i = 0; i < batch.length; i++) rows.push(markedRow(batch, i, batch.keep(i)))
        },
        close() {},
      }),
    }
  }
}
