/**
 * Runs a flow through a seeded row of lives: the production runtime on simulated time and disk, with faults. What comes
 * out is compared by the caller with what must come out; what every run must hold is checked here.
 *
 * Checked in every simulation:
 *  - it ends: once the faults are over, all input is committed within a bound of virtual time;
 *  - it fails only as the injected faults allow, never with an InvariantError;
 *  - watermarks given to a step rise;
 *  - whatever a reader of a sink's file can have seen is a prefix of what the file holds in the end;
 *  - what was committed survives a loss of power right after the end, and running again changes nothing.
 */
import type { Sink, Source } from '../connector.ts'
import { InvariantError, type MillraceError, OperationalError } from '../errors.ts'
import { addDeadLetterSinks } from '../graph/dead-letters.ts'
import type { Graph, GraphNode, NodeSpec } from '../graph/node.ts'
import { plan } from '../graph/plan.ts'
import type { RunReport } from '../runtime/job-contract.ts'
import type { Disk, Ports } from '../runtime/ports.ts'
import { type Run, startRun } from '../runtime/run.ts'
import type { Duration } from '../time/duration.ts'
import { committedFileSink, committedRows } from './committed-file-sink.ts'
import { checkEnd, replaceEnds } from './replace-ends.ts'
import { SimClock } from './sim-clock.ts'
import { type CrashKind, SimDisk } from './sim-disk.ts'
import { type DiskWrite, simDiskPort } from './sim-disk-port.ts'
import { diskFaults, drawFaults, type Fault, type FaultPlan } from './sim-faults.ts'
import { SimLog } from './sim-log.ts'
import { type SeededRandom, seededRandom } from './sim-random.ts'
import { type SimProcess, SimScheduler } from './sim-scheduler.ts'

/** What a flow under simulation may ask of the world. */
export interface SimWorld {
  /** Virtual time passes: for simulated calls. */
  delay(ms: number): Promise<void>
  readonly random: SeededRandom
}

/** A flow, as `dataflow` makes it. */
export interface SimFlow {
  readonly name: string
  readonly graph: Graph
}

/** Replaces parts of what the engine runs on, for planting bugs and for other connectors. */
export interface SimDecorators {
  disk?(disk: Disk): Disk
  source?(source: Source<unknown>, name: string): Source<unknown>
  sink?(sink: Sink<unknown>, name: string): Sink<unknown>
  step?(spec: NodeSpec, node: GraphNode): NodeSpec
}

export interface SimulateOptions {
  /** Made anew for every life when it is a function. */
  readonly flow: SimFlow | ((world: SimWorld) => SimFlow)
  /** Rows by source, or by source and partition; in the order in which they lie in the partition. */
  readonly input: Readonly<Record<string, readonly unknown[] | Readonly<Record<string, readonly unknown[]>>>>
  readonly seed: number
  /** How many faults to draw from the seed, or the faults of each life. Default 0. */
  readonly faults?: number | FaultPlan
  /** Number of workers, or those of each life in turn. Default 1. */
  readonly workers?: number | readonly number[]
  readonly commitEvery?: Duration
  /** Virtual time over which the rows arrive. Default 2000. */
  readonly arrivalMs?: number
  readonly batchRowsMax?: number
  readonly decorate?: SimDecorators
}

export interface SiteCount {
  readonly writes: number
  readonly crashes: number
}

export interface Simulation {
  /** Committed rows by sink, in the order of the file. */
  readonly outputs: Readonly<Record<string, readonly unknown[]>>
  /** Writes to the disk, by durable write site. */
  readonly sites: ReadonlyMap<string, SiteCount>
  /** The faults of each life; with these given, the run is the same. */
  readonly faults: FaultPlan
  readonly lives: number
  readonly crashes: number
  /** Restarts of workers within a life. */
  readonly restarts: number
  readonly virtualMs: number
  readonly events: number
  /** Equal for equal seeds and options. */
  readonly traceHash: number
}

/** Virtual time within which a life without a fatal fault must end. */
const lifeMsMax = 30 * 60_000
const eventsMax = 3_000_000
const stateFolder = '/sim/state'
const outFolder = '/sim/out/'
const survivable = new Set(['DISK_FULL', 'DISK_IO', 'COMMIT_UNKNOWN', 'SIM_WORKER_CRASH'])

/**
 * Simulates a flow.
 * @throws InvariantError `SIMULATION` when something that must hold did not; the message says seed and fault
 * @example
 * import { count, dataflow, tumbling } from 'millrace'
 * import { arraySink, arraySource, simulate } from 'millrace/testing'
 * const flow = dataflow('counts')
 * flow
 *   .source('readings', arraySource<{ sensor: string; at: number }>([]), { time: (r) => r.at, disorder: '0s' })
 *   .keyBy((r) => r.sensor)
 *   .window(tumbling('1s'))
 *   .aggregate('count', { n: count() })
 *   .sink('out', arraySink<unknown>([]))
 * const input = { readings: [{ sensor: 'a', at: 100 }, { sensor: 'a', at: 900 }, { sensor: 'a', at: 1_100 }] }
 * const calm = await simulate({ flow, input, seed: 1 })
 * const rough = await simulate({ flow, input, seed: 1, faults: 10 })
 * JSON.stringify(rough.outputs) === JSON.stringify(calm.outputs) // => true
 */
export function simulate(options: SimulateOptions): Promise<Simulation> {
  return new SimulationRun(options).run()
}

class SimulationRun {
  readonly #options: SimulateOptions
  readonly #random: SeededRandom
  readonly #scheduler: SimScheduler
  readonly #clock: SimClock
  readonly #faults: FaultPlan
  readonly #workers: readonly number[]
  readonly #logs = new Map<string, SimLog>()
  readonly #sites = new Map<string, { writes: number; crashes: number }>()
  /** What readers of the sinks' files could see, at crashes. */
  #seen: { readonly path: string; readonly content: Uint8Array }[] = []
  /** What a loss of power or of a commit left in the sinks' files, until the next start has mended it. */
  #left = new Map<string, Uint8Array>()
  readonly #flipped = new Set<string>()
  #disk: SimDisk
  #crashes = 0
  #restarts = 0
  #dueWorkerCrashes = 0

  constructor(options: SimulateOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#scheduler = new SimScheduler(options.seed)
    this.#clock = new SimClock(this.#scheduler)
    this.#disk = new SimDisk(this.#random.fork('disk'))
    this.#workers = typeof options.workers === 'object' ? options.workers : [options.workers ?? 1]
    const faults = options.faults ?? 0
    this.#faults =
      typeof faults === 'number' ? drawFaults(this.#random.fork('faults'), faults, this.#workers[0]) : faults
    for (const [name, rows] of Object.entries(options.input)) this.#feed(name, rows)
  }

  async run(): Promise<Simulation> {
    for (let life = 0; ; life++) {
      if (life > this.#faults.length + 50) throw this.#failure('it does not come to its end: a life follows every life')
      if (await this.#live(life, this.#faults[life] ?? [])) break
    }
    const contents = this.#outputs()
    for (const { path, content } of this.#seen) {
      if (!isPrefix(content, contents.get(path) ?? new Uint8Array(0))) {
        throw this.#failure(`a reader of ${path} could see ${content.length} bytes that are no prefix of the result`)
      }
    }
    this.#disk = this.#disk.crash('power')
    if (!(await this.#live(this.#faults.length + 100, []))) throw this.#failure('running again after the end failed')
    for (const [path, content] of this.#outputs()) {
      const before = contents.get(path) as Uint8Array
      if (!isEqual(content, before)) {
        throw this.#failure(`${path} changed when the flow ran again after its end`)
      }
    }
    const { events, traceHash, nowMs } = this.#scheduler
    return {
      outputs: Object.fromEntries(
        [...contents].map(([path, content]) => [path.slice(outFolder.length), committedRows(content)]),
      ),
      sites: this.#sites,
      faults: this.#faults,
      lives: this.#crashes + 1,
      crashes: this.#crashes,
      restarts: this.#restarts,
      virtualMs: nowMs,
      events,
      traceHash,
    }
  }

  /** One process, from its start to its end or death. True when the flow came to its end. */
  async #live(life: number, faults: readonly Fault[]): Promise<boolean> {
    const process = this.#scheduler.process(`life ${life}`)
    let killed: CrashKind | undefined
    let run: Run | undefined
    let ended: { readonly report: RunReport } | { readonly error: unknown } | undefined
    const kill = (kind: CrashKind): void => {
      if (!process.isAlive && killed !== undefined) return
      process.kill()
      killed = kind
    }
    this.#dueWorkerCrashes = 0
    const stop = (savepoint: string | undefined): void => {
      run?.stop(savepoint === undefined ? {} : { savepoint })
    }
    for (const fault of faults) this.#scheduleFault(fault, process, kill, stop)
    const port = simDiskPort({
      disk: this.#disk,
      process,
      random: this.#random.fork(`disk of life ${life}`),
      fault: diskFaults(faults),
      root: '/sim',
      onWrite: (write) => {
        this.#site(write).writes++
      },
      onCrash: (kind, write) => {
        this.#site(write).crashes++
        kill(kind)
      },
    })
    const random = this.#random.fork(`life ${life}`)
    const ports: Ports = {
      clock: this.#clock,
      scheduler: process,
      random,
      disk: this.#options.decorate?.disk?.(port) ?? port,
      // One process lives at a time: whoever held the lock before is dead.
      processes: { pid: life + 1, host: 'simulated', isAlive: (pid) => pid === life + 1, identity: String },
    }
    const graph = this.#graph(process, random)
    startRun(
      { name: graph.name, module: undefined, plan: (workers) => plan(graph, workers) },
      {
        state: stateFolder,
        workers: this.#workers[life % this.#workers.length],
        execution: 'inline',
        commitEvery: this.#options.commitEvery ?? '100ms',
        restartsMax: 100,
        stateBytesMax: 1 << 28,
        onEvent: (event) => {
          if (event.type === 'restart') this.#restarts++
        },
      },
      ports,
    )
      .then((started) => {
        run = started
        return started.done
      })
      .then(
        (report) => {
          ended = { report }
        },
        (error: unknown) => {
          ended = { error }
        },
      )
    const end = await this.#scheduler.run(() => killed !== undefined || ended !== undefined, {
      virtualMs: lifeMsMax,
      events: eventsMax,
    })
    if (end !== 'done') throw this.#failure(`life ${life} hangs (${end}) after ${Math.round(this.#scheduler.nowMs)} ms`)
    process.kill()
    this.#clock.thaw()
    if (killed === undefined && ended !== undefined && 'report' in ended) return ended.report.outcome === 'finished'
    if (killed === undefined) this.#checkError((ended as { error: unknown }).error, life)
    this.#look()
    this.#crashes++
    this.#disk = this.#disk.crash(killed ?? 'kill')
    if (killed === 'power') this.#left = this.#outputs()
    for (const fault of faults) if (fault.type === 'bit flip') this.#flipBit()
    return false
  }

  #scheduleFault(
    fault: Fault,
    process: SimProcess,
    kill: (kind: CrashKind) => void,
    stop: (savepoint: string | undefined) => void,
  ): void {
    switch (fault.type) {
      case 'stop':
        process.schedule(fault.ms, 'stop', () => stop(fault.savepoint))
        break
      case 'crash after':
        process.schedule(fault.ms, 'crash', () => kill(fault.kind))
        break
      case 'worker crash':
        process.schedule(fault.ms, 'worker crash', () => {
          this.#dueWorkerCrashes++
        })
        break
      case 'clock jump':
        process.schedule(fault.ms, 'clock jump', () => this.#clock.jump(fault.byMs))
        break
      case 'clock freeze':
        process.schedule(fault.ms, 'clock freeze', () => this.#clock.freeze())
        process.schedule(fault.ms + fault.forMs, 'clock thaw', () => this.#clock.thaw())
        break
    }
  }

  #graph(process: SimProcess, random: SeededRandom): Graph {
    const { flow, decorate, batchRowsMax = 64 } = this.#options
    const world: SimWorld = {
      delay: (ms) => new Promise((resolve) => void process.after(ms, resolve)),
      random: random.fork('world'),
    }
    const { graph } = typeof flow === 'function' ? flow(world) : flow
    for (const name of this.#logs.keys()) checkEnd(graph, 'source', name)
    addDeadLetterSinks(graph)
    return replaceEnds(graph, {
      source: (name, node) => {
        const log = this.#logs.get(name)
        if (log === undefined) throw this.#failure(`there is no input for source "${node.name}"`)
        const reading = { scheduler: process, random: random.fork(name), batchRowsMax }
        const source = this.#crashing(log.source(reading))
        return decorate?.source?.(source, name) ?? source
      },
      sink: (name) => {
        const sink = committedFileSink(outFolder + name)
        return decorate?.sink?.(sink, name) ?? sink
      },
      step: (spec, node) => watched(decorate?.step?.(spec, node) ?? spec, node),
    })
  }

  /** A worker crash shows as a read that fails. */
  #crashing(source: Source<unknown>): Source<unknown> {
    return {
      ...source,
      open: async (partition, position, ctx) => {
        const reader = await source.open(partition, position, ctx)
        return {
          read: async (maxRows) => {
            const batch = await reader.read(maxRows)
            if (this.#dueWorkerCrashes > 0) {
              this.#dueWorkerCrashes--
              throw new OperationalError('SIM_WORKER_CRASH', 'a simulated worker died', { retryable: true })
            }
            return batch
          },
          close: () => reader.close(),
        }
      },
    }
  }

  #feed(name: string, rows: readonly unknown[] | Readonly<Record<string, readonly unknown[]>>): void {
    const partitions = (Array.isArray(rows) ? { '0': rows } : rows) as Readonly<Record<string, readonly unknown[]>>
    const log = new SimLog(Object.keys(partitions))
    this.#logs.set(name, log)
    const random = this.#random.fork(`arrival of ${name}`)
    const arrivalMs = this.#options.arrivalMs ?? 2_000
    for (const [partition, all] of Object.entries(partitions)) {
      const chunk = Math.max(1, Math.ceil(all.length / random.between(5, 40)))
      for (let start = 0; start < all.length; start += chunk) {
        const part = all.slice(start, start + chunk)
        // The addend keeps the order of chunks that arrive together.
        const afterMs = (start / all.length) * arrivalMs + (start / chunk) * 0.05
        this.#scheduler.schedule(afterMs, 'arrival', () => log.append(partition, part))
      }
    }
    this.#scheduler.schedule(arrivalMs + 5, 'end of input', () => log.end())
  }

  #site(write: DiskWrite): { writes: number; crashes: number } {
    let site = this.#sites.get(write.site)
    if (site === undefined) this.#sites.set(write.site, (site = { writes: 0, crashes: 0 }))
    return site
  }

  #look(): void {
    for (const [path, content] of this.#outputs()) {
      const left = this.#left.get(path)
      if (left === undefined || !isEqual(left, content)) this.#seen.push({ path, content })
    }
  }

  /** The engine must notice and continue from the commit before, so what was published since may come otherwise. */
  #flipBit(): void {
    const manifests = this.#disk.files().filter((path) => /\/MANIFEST-\d+$/.test(path))
    // The engine keeps three.
    const whole = manifests.slice(-3).filter((path) => !this.#flipped.has(path))
    const newest = whole.at(-1)
    if (newest === undefined || whole.length < 2) return
    this.#flipped.add(newest)
    this.#disk.flipBit((path) => path === newest)
    this.#seen = []
    this.#left = this.#outputs()
  }

  /** The sinks' files. */
  #outputs(): Map<string, Uint8Array> {
    const paths = this.#disk.files().filter((path) => path.startsWith(outFolder))
    return new Map(paths.map((path) => [path, this.#disk.bytes(path) as Uint8Array]))
  }

  #checkError(error: unknown, life: number): void {
    const code = (error as Partial<MillraceError>).code
    if (error instanceof OperationalError && survivable.has(error.code) && (this.#faults[life] ?? []).length > 0) return
    throw this.#failure(`life ${life} failed with ${code ?? 'an error'}: ${String(error)}`, error)
  }

  #failure(what: string, cause?: unknown): InvariantError {
    const { seed } = this.#options
    return new InvariantError('SIMULATION', `seed ${seed}: ${what}.`, {
      data: { seed, faults: this.#faults, workers: this.#workers },
      cause,
    })
  }
}

/** The step, with a check that its watermarks rise. */
function watched(spec: NodeSpec, node: GraphNode): NodeSpec {
  if (spec.type !== 'operator') return spec
  return {
    ...spec,
    create: (ctx) => {
      const operator = spec.create(ctx)
      const watermark = operator.watermark?.bind(operator)
      let last = Number.NEGATIVE_INFINITY
      operator.watermark = (time) => {
        if (!(time > last)) throw new InvariantError('WATERMARK_BACKWARDS', `${node.name} got ${time} after ${last}.`)
        last = time
        watermark?.(time)
      }
      return operator
    },
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && isPrefix(a, b)
}

function isPrefix(start: Uint8Array, whole: Uint8Array): boolean {
  return start.length <= whole.length && Buffer.compare(start, whole.subarray(0, start.length)) === 0
}
