/**
 * Runs a flow over generated input in virtual time, in one or several lives: each stops in another way and the next one
 * goes on with other workers, batch sizes and loops. What reaches the sinks, over all lives, is given back.
 */
import { type Dataflow, dataflow, type RunOptions, type Stream } from 'millrace'
import { seededRandom } from 'millrace/testing'
import type { Sink } from '../../src/connector.ts'
import type { Ports } from '../../src/runtime/ports.ts'
import { type Run, startRun } from '../../src/runtime/run.ts'
import { parse, stringify } from '../../src/state/codec.ts'
import { SimClock } from '../../src/testing/sim-clock.ts'
import { SimDisk } from '../../src/testing/sim-disk.ts'
import { simDiskPort } from '../../src/testing/sim-disk-port.ts'
import { SimScheduler } from '../../src/testing/sim-scheduler.ts'
import type { Input, Row } from './input.ts'
import { type Pace, pacedSource } from './paced-source.ts'

/** One run of the flow. `end` says how it stops; the last life always runs to the end of the input. */
export interface Life {
  readonly workers: number
  readonly batchRows: number
  readonly loops: 'generated' | 'interpreted'
  /** Rows arrive over time: reads take up to so many virtual milliseconds and give fewer rows than they may. 0: at once. */
  readonly paceMs: number
  readonly end: LifeEnd
}

export type LifeEnd =
  /** After so many rows of every partition, by `until`. */
  | { readonly type: 'until'; readonly rows: number }
  /** By `run.stop()` after so many events. */
  | { readonly type: 'stop'; readonly events: number }
  /** The process dies after so many events; what was not synced is lost with 'power'. */
  | { readonly type: 'crash'; readonly events: number; readonly kind: 'kill' | 'power' }

export interface Play {
  readonly input: Input
  readonly lives: readonly Life[]
}

/** A row that reached a sink. */
export interface Got {
  readonly row: unknown
  readonly time: number
  readonly weight: 1 | -1
}

export interface World {
  /** A stream per source of the input. */
  readonly streams: Readonly<Record<string, Stream<Row>>>
  /** Resolves after so many virtual milliseconds. */
  delay(ms: number): Promise<void>
  sink(name: string): Sink<unknown>
}

/** Adds the steps between sources and sinks. */
export type Connect = (world: World) => void

const eventsMax = 400_000
const folder = '/oracle/state'

/** Output of the flow by sink, in the order of arrival there. */
export async function play({ input, lives }: Play, connect: Connect): Promise<Record<string, Got[]>> {
  const outputs: Record<string, Got[]> = {}
  const scheduler = new SimScheduler(1)
  const clock = new SimClock(scheduler)
  let disk = new SimDisk(seededRandom(1))
  for (let life = 0; life < lives.length; life++) {
    const { workers, batchRows, loops, paceMs, end } = lives[life]
    const isLast = life === lives.length - 1
    const process = scheduler.process(`life ${life}`)
    const ports: Ports = {
      clock,
      scheduler: process,
      random: seededRandom(life + 1),
      disk: simDiskPort({ disk, process, random: seededRandom(life + 1), isInstant: life % 2 === 0 }),
      processes: { pid: life, host: 'oracle', isAlive: () => false, identity: String },
    }
    const delay = (ms: number): Promise<void> => new Promise((resolve) => process.after(ms, resolve))
    const pace = paceMs === 0 ? undefined : { ms: paceMs, delay, random: seededRandom(life + 1) }
    const flow = build(input, pace, connect, {
      delay,
      sink: (name) => stagedSink((outputs[name] ??= [])),
    })
    const until = !isLast && end.type === 'until' ? { until: untilOf(input, end.rows) } : {}
    const options: RunOptions = {
      state: folder,
      workers,
      batchRows,
      loops,
      ...until,
      execution: 'inline',
      commitEvery: '7ms',
      restartsMax: 0,
      stateBytesMax: 1 << 30,
    }
    let over: { readonly error?: unknown } | undefined
    let run: Run | undefined
    startRun(flow, options, ports)
      .then((started) => {
        run = started
        return started.done
      })
      .then(
        () => {
          over = {}
        },
        (error: unknown) => {
          over = { error }
        },
      )
    const isOver = (): boolean => over !== undefined
    if (!isLast && end.type !== 'until') {
      await scheduler.run(isOver, { events: end.events })
      if (end.type === 'crash' && !isOver()) {
        process.kill()
        disk = disk.crash(end.kind)
        continue
      }
      run?.job.stop()
    }
    const how = await scheduler.run(isOver, { events: eventsMax })
    if (over === undefined) throw new Error(`life ${life} does not come to its end: ${how}`)
    if ('error' in over) throw over.error
  }
  return outputs
}

/** The flow from input to sinks. */
export function build(input: Input, pace: Pace | undefined, connect: Connect, world: Omit<World, 'streams'>): Dataflow {
  const flow = dataflow('oracle')
  const streams: Record<string, Stream<Row>> = {}
  for (const [name, { partitions, disorderMs, idleAfterMs }] of Object.entries(input)) {
    const rows = Object.fromEntries(
      Object.entries(partitions).map(([id, placed]) => [id, placed.map(({ row }) => row)]),
    )
    streams[name] = flow.source(name, pacedSource(rows, pace), {
      time: (row) => row.at,
      disorder: `${disorderMs}ms`,
      ...(idleAfterMs === undefined ? {} : { idleAfter: `${idleAfterMs}ms` }),
    })
  }
  connect({ ...world, streams })
  return flow
}

function untilOf(input: Input, rows: number): Record<string, Record<string, number>> {
  return Object.fromEntries(Object.keys(input).map((source) => [source, { '*': rows }]))
}

/** Keeps what was committed in `target`, exactly once: an array that outlives the runs, as a file would. */
function stagedSink(target: Got[]): Sink<unknown> {
  const encoder = new TextEncoder()
  const cut = (state: unknown): void => {
    // What a row takes in the state is its number of staged bytes; the target keeps rows.
    const bytes = typeof state === 'number' ? state : 0
    let length = 0
    let kept = 0
    while (kept < target.length && length < bytes) length += sizes.get(target[kept++]) as number
    target.length = kept
  }
  const sizes = new WeakMap<Got, number>()
  for (const got of target) sizes.set(got, encoder.encode(lineOf(got)).length)
  return {
    kind: 'committed array',
    guarantee: 'staged',
    takesChanges: true,
    describe: () => ({}),
    open: () => ({
      write(batch) {
        let text = ''
        for (let i = 0; i < batch.length; i++) {
          const weight = batch.weights?.[i] === -1 ? -1 : 1
          text += lineOf({ row: batch.keep(i), time: batch.times[i], weight })
        }
        return encoder.encode(text)
      },
      close() {},
    }),
    committer: () => ({
      restore: cut,
      after: (state, stagedBytes) => (typeof state === 'number' ? state : 0) + stagedBytes,
      async publish(from, _to, staged) {
        cut(from)
        const decoder = new TextDecoder()
        for await (const bytes of staged) {
          for (const line of decoder.decode(bytes).split('\n').slice(0, -1)) {
            const got = parse(line) as Got
            sizes.set(got, encoder.encode(`${line}\n`).length)
            target.push(got)
          }
        }
      },
      close() {},
    }),
  }
}

function lineOf({ row, time, weight }: Got): string {
  return `${stringify({ row, time, weight })}\n`
}
