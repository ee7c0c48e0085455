/**
 * A sink a hundred times slower than its source, behind every kind of edge and under every policy of a full buffer:
 * what is in flight stays within the buffers, and each record goes out or is counted.
 */
import { expect, test } from 'vitest'
import type { Sink, Source } from '../../src/connector.ts'
import { type Dataflow, dataflow, type FullPolicy, type RunReport } from '../../src/index.ts'
import { balanceMessage } from '../../src/observe/balance.ts'
import { planMessage } from '../../src/observe/plan-message.ts'
import { sumCounters } from '../../src/runtime/metrics.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { type Row, Virtual } from './kit.ts'

const startMs = 1_700_000_000_000
const ROWS = 3_200
const PARTITIONS = 2
/** Rows of a read, every millisecond. */
const READ = 16
const CAPACITY = 50
const SLOWER = 100

/** What a run has read, written, and still holds. */
class Gauge {
  readonly v = new Virtual(undefined, startMs)
  readonly written: Row[] = []
  read = 0
  /** Most records that were read and neither written nor dropped. */
  peak = 0

  note(): void {
    this.peak = Math.max(this.peak, this.read - this.written.length - this.#dropped())
  }

  source(): Source<Row> {
    return {
      kind: 'fast',
      replayable: true,
      bounded: true,
      describe: () => ({}),
      partitions: () => Array.from({ length: PARTITIONS }, (_, p) => String(p)),
      open: (partition, _position, ctx) => {
        let next = Number(partition)
        return {
          read: async (maxRows) => {
            if (next >= ROWS) return 'end'
            await ctx.wait(1)
            const rows: Row[] = []
            for (; rows.length < Math.min(maxRows, READ) && next < ROWS; next += PARTITIONS)
              rows.push({ key: `k${next % 31}`, at: startMs + next, n: next })
            this.read += rows.length
            this.note()
            return { rows, next, caughtUp: false, at: (i) => next - (rows.length - i) * PARTITIONS }
          },
          close() {},
        }
      },
    }
  }

  /** Takes `SLOWER` times as long as the source takes for as many rows; with workers each has its share. */
  sink(workers: number, isSingle = false): Sink<Row> {
    return {
      kind: 'slow',
      guarantee: 'at-least-once',
      isSingle,
      describe: () => ({}),
      open: () => ({
        write: async (batch) => {
          const ms = (batch.length / READ / PARTITIONS) * SLOWER * (isSingle ? 1 : workers)
          await new Promise<void>((resolve) => void this.v.process.after(ms, resolve))
          this.note()
          for (let i = 0; i < batch.length; i++) this.written.push(batch.keep(i))
        },
        close() {},
      }),
    }
  }

  #dropped(): number {
    const job = this.v.run?.job
    if (job === undefined) return 0
    return job.options.plan.nodes.reduce((n, node) => n + sumCounters(job.counters, node.id).droppedFull, 0)
  }
}

interface Edge {
  readonly build: (flow: Dataflow, g: Gauge, workers: number, whenFull: FullPolicy) => void
  /** The step the buffer stands before. */
  readonly step: string
  /** Buffers of that capacity between source and sink, with `workers`, and records beside them. */
  readonly buffers: (workers: number) => number
  readonly beside?: number
}

const time = { time: (r: Row) => r.at, disorder: '1s' } as const
const blocking = { buffer: { capacity: CAPACITY, whenFull: 'block' } } as const

const edges: Record<string, Edge> = {
  'before a sink': {
    step: 'out',
    build: (flow, g, workers, whenFull) =>
      flow.source('rows', g.source(), time).sink('out', g.sink(workers), { buffer: { capacity: CAPACITY, whenFull } }),
    buffers: (workers) => workers,
  },
  'where keys change workers': {
    step: 'work',
    build: (flow, g, workers, whenFull) =>
      flow
        .source('rows', g.source(), time)
        .keyBy((r) => r.key)
        .process<Row>('work', () => ({ onRecord: (r, ctx) => ctx.emit(r) }), {
          buffer: { capacity: CAPACITY, whenFull },
        })
        .sink('out', g.sink(workers), blocking),
    buffers: (workers) => workers * workers + workers,
  },
  'before a sink of which there is one': {
    step: 'out',
    build: (flow, g, workers, whenFull) =>
      flow
        .source('rows', g.source(), time)
        .sink('out', g.sink(workers, true), { buffer: { capacity: CAPACITY, whenFull } }),
    buffers: (workers) => workers,
  },
  'before calls': {
    step: 'call',
    build: (flow, g, workers, whenFull) =>
      flow
        .source('rows', g.source(), time)
        .mapAsync('call', async (r) => r, { capacity: 4, buffer: { capacity: CAPACITY, whenFull } })
        .sink('out', g.sink(workers), blocking),
    buffers: (workers) => 2 * workers,
    beside: 4,
  },
}

const policies = ['block', 'drop-oldest', 'drop-newest', 'error'] as const
const cases = Object.keys(edges).flatMap((name) =>
  policies.flatMap((whenFull) => [1, 2].map((workers) => [whenFull, name, workers] as const)),
)

test.each(cases)(
  '%s %s: within the buffers, and every record is accounted for (%d workers)',
  async (whenFull, name, workers) => {
    const edge = edges[name]
    const g = new Gauge()
    const flow = dataflow('slow')
    edge.build(flow, g, workers, whenFull)
    const running = g.v.start(flow, { workers })
    if (whenFull === 'error') {
      await expect(running.end()).rejects.toMatchObject({ code: 'BUFFER_FULL', step: edge.step })
      return
    }
    const report = await running.end()
    // Beside the buffers: two batches of each partition, read ahead and handed on, and a batch in each writer. Under
    // 'block' a buffer also takes what the call gives that found the last room.
    const outside = PARTITIONS * 2 * READ + workers * (CAPACITY + (edge.beside ?? 0))
    const most = CAPACITY + (whenFull === 'block' ? READ : 0)
    expect(g.peak).toBeGreaterThan(CAPACITY / 2)
    expect(g.peak).toBeLessThanOrEqual(edge.buffers(workers) * most + outside)
    const out = g.written.map((r) => r.n)
    const { droppedFull } = report.steps[edge.step]
    expect(out).toHaveLength(ROWS - droppedFull)
    expect(new Set(out).size).toBe(out.length)
    expect(report.steps[edge.step].recordsIn).toBe(ROWS)
    const dropped = Object.values(report.steps).reduce((n, step) => n + step.droppedFull, 0)
    if (whenFull === 'block') expect(dropped).toBe(0)
    else expect(dropped).toBe(droppedFull)
    // What came in a hundred times too fast is mostly gone; what is kept is the end, or the beginning.
    if (whenFull !== 'block') expect(droppedFull).toBeGreaterThan(ROWS / 2)
    if (whenFull === 'drop-oldest') expect(Math.max(...out)).toBe(ROWS - 1)
    if (whenFull === 'drop-newest') expect(Math.min(...out)).toBe(0)
    expectBalance(g.v, report)
  },
)

test.each([
  ['block', 1],
  ['block', 2],
  ['drop-oldest', 1],
  ['drop-oldest', 2],
  ['drop-newest', 1],
  ['drop-newest', 2],
] as const)('%s where all workers get a copy: the balance holds (%d workers)', async (whenFull, workers) => {
  const g = new Gauge()
  const flow = dataflow('copies')
  const rows = flow.source('rows', g.source(), time)
  rows
    .keyBy((r) => r.key)
    .withBroadcast(
      'both',
      rows.filter((r) => r.n % 3 === 0),
      { initial: () => 0, update: (n: number) => n + 1, join: (r: Row) => r },
      { buffer: { capacity: CAPACITY, whenFull } },
    )
    .sink('out', g.sink(workers), blocking)
  const report = await g.v.start(flow, { workers }).end()
  const { recordsIn, droppedFull } = report.steps.both
  const copies = Math.ceil(ROWS / 3) * workers
  expect(recordsIn).toBe(ROWS + copies)
  if (whenFull === 'block') expect([droppedFull, g.written.length]).toEqual([0, ROWS])
  else expect(droppedFull).toBeGreaterThan(ROWS / 2)
  expectBalance(g.v, report)
})

test('a full buffer of one branch does not starve the other one but under block', async () => {
  const left: Row[] = []
  const g = new Gauge()
  const flow = dataflow('branches')
  const rows = flow.source('rows', g.source(), time)
  rows.sink('out', g.sink(1), { buffer: { capacity: CAPACITY, whenFull: 'drop-oldest' } })
  rows.sink('fast', arraySink<Row>(left))
  await g.v.start(flow).pass((ROWS / READ / PARTITIONS) * 5)
  expect(left).toHaveLength(ROWS)
  expect(g.written.length).toBeLessThan(ROWS / 10)
  await g.v.end()
})

function expectBalance(v: Virtual, report: RunReport): void {
  const { plan } = (v.run as NonNullable<typeof v.run>).job.options
  const counters = plan.nodes.map((node) => report.steps[node.name])
  const balance = balanceMessage(planMessage(plan), counters, true)
  expect(balance.steps.filter((s) => s.remainder !== 0)).toEqual([])
  expect(balance.remainder).toBe(0)
}
