/** Bounded queues, drop policies that count exactly, calls in flight and commits, and the balance of records. */
import { readFileSync } from 'node:fs'
import { afterEach, expect, test, vi } from 'vitest'
import type { Batch, Sink } from '../../src/connector.ts'
import {
  collect,
  count,
  countWindow,
  type Dataflow,
  dataflow,
  dlq,
  everyCount,
  type FullPolicy,
  globalWindow,
  hopping,
  type RunReport,
  session,
  sliding,
  tumbling,
} from '../../src/index.ts'
import { balanceMessage } from '../../src/observe/balance.ts'
import { planMessage } from '../../src/observe/plan-message.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { arraySource } from '../../src/testing/array-source.ts'
import { committedRows } from '../../src/testing/committed-file-sink.ts'
import { Feed, feedSource, type Row, tempFolder, Virtual } from './kit.ts'

const start = 1_700_000_000_000
const rows = (n: number): Row[] =>
  Array.from({ length: n }, (_, i) => ({ key: `k${i % 7}`, at: start + i * 10 - (i % 40 === 39 ? 30_000 : 0), n: i }))
const time = { time: (r: Row) => r.at, disorder: '100ms' } as const

/** A sink that takes `ms` for each batch. */
function slowSink<T>(v: Virtual, ms: number, out: T[]): Sink<T> {
  return {
    kind: 'slow',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({
      async write(batch) {
        await new Promise<void>((resolve) => void v.process.after(ms, resolve))
        for (let i = 0; i < batch.length; i++) out.push(batch.keep(i))
      },
      close() {},
    }),
  }
}

test.each([
  ['drop-oldest', 1],
  ['drop-newest', 1],
  ['drop-oldest', 2],
  ['drop-newest', 2],
] as const)(
  '%s before a slow sink: what came in went out or is counted as dropped (%d workers)',
  async (whenFull, workers) => {
    const v = new Virtual(undefined, start + 1e7)
    const out: Row[] = []
    const flow = dataflow('drops')
    flow
      .source(
        'rows',
        feedSource(
          { a: new Feed<Row>().push(...rows(5_000)).end(), b: new Feed<Row>().push(...rows(5_000)).end() },
          64,
        ),
        time,
      )
      .sink('slow', slowSink(v, 50, out), { buffer: { capacity: 100, whenFull } })
    const report = await v.start(flow, { workers }).end()
    const { recordsIn, recordsOut, droppedFull } = report.steps.slow
    expect(droppedFull).toBeGreaterThan(0)
    expect([recordsIn, recordsOut]).toEqual([10_000, 10_000 - droppedFull])
    expect(out).toHaveLength(recordsOut)
    expect(new Set(out).size).toBe(out.length)
    expectBalance(v, report)
  },
)

test('error before a slow sink ends the run with what the queue held', async () => {
  const v = new Virtual(undefined, start + 1e7)
  const flow = dataflow('full')
  flow
    .source('rows', arraySource(rows(5_000)), time)
    .sink('slow', slowSink<Row>(v, 50, []), { buffer: { capacity: 100, whenFull: 'error' } })
  await expect(v.start(flow).end()).rejects.toMatchObject({
    code: 'BUFFER_FULL',
    step: 'slow',
    data: { capacity: 100 },
  })
})

test('a buffer smaller than the batches cuts them', async () => {
  const sizes: number[] = []
  const v = new Virtual(undefined, start + 1e7)
  const flow = dataflow('cut')
  flow
    .source('rows', arraySource(rows(1_000)), time)
    .flatMap((r) => [r, r, r])
    .sink(
      'out',
      {
        kind: 'sizes',
        guarantee: 'at-least-once',
        describe: () => ({}),
        open: () => ({
          write(batch: Batch<Row>) {
            sizes.push(batch.length)
          },
          close() {},
        }),
      },
      { buffer: { capacity: 10, whenFull: 'block' } },
    )
  await v.start(flow).end()
  expect(Math.max(...sizes)).toBeLessThanOrEqual(10)
  expect(sizes.reduce((a, b) => a + b, 0)).toBe(3_000)
})

test.each([1, 2])(
  'commits do not wait for calls: with calls of a minute, each interval commits (%d workers)',
  async (workers) => {
    const v = new Virtual(undefined, start + 1e7)
    const out: unknown[] = []
    const feed = new Feed<Row>()
    const flow = dataflow('minute')
    flow
      .source('rows', feedSource({ p: feed }, 16), time)
      .mapAsync(
        'call',
        async (r) => {
          await new Promise<void>((resolve) => void v.process.after(60_000, resolve))
          return r.n
        },
        { capacity: 4, timeout: '1h' },
      )
      .sink('out', arraySink<unknown>(out))
    v.start(flow, { workers })
    for (let i = 0; i < 20; i++) {
      feed.push(...rows(400).slice(i * 20, i * 20 + 20))
      await v.pass(100)
    }
    await v.pass(200)
    expect(v.commits).toBeGreaterThan(10)
    // And every call in flight survives a crash.
    const again = v.crash()
    const after: number[] = []
    const second = dataflow('minute')
    second
      .source('rows', feedSource({ p: feed.end() }, 16), time)
      .mapAsync('call', async (r) => r.n, { capacity: 4, timeout: '1h' })
      .sink('out', arraySink<number>(after))
    await again.start(second, { workers }).end()
    expect([...new Set(after)].sort((a, b) => a - b)).toEqual(rows(400).map((r) => r.n))
    expect(after).toHaveLength(400)
  },
)

function expectBalance(v: Virtual, report: RunReport): void {
  const job = v.run?.job
  if (job === undefined) throw new Error('no job')
  const { plan } = job.options
  const message = planMessage(plan)
  const balance = balanceMessage(
    message,
    plan.nodes.map((node) => report.steps[node.name]),
    true,
  )
  expect(balance.steps.filter((s) => s.remainder !== 0).map((s) => ({ name: plan.nodes[s.step].name, ...s }))).toEqual(
    [],
  )
  expect(balance.remainder).toBe(0)
}

const shapes: Record<string, (flow: Dataflow, v: Virtual) => void> = {
  hopping: (flow) =>
    windows(flow).window(hopping('2s', '1s')).aggregate('w', { n: count() }).sink('out', arraySink<unknown>([])),
  sliding: (flow) =>
    windows(flow).window(sliding('2s')).aggregate('w', { n: count() }).sink('out', arraySink<unknown>([])),
  session: (flow) =>
    windows(flow)
      .window(session('1s'), { lateness: '1s' })
      .aggregate('w', { n: count() })
      .sink('out', arraySink<unknown>([])),
  'count windows': (flow) =>
    windows(flow).window(countWindow(9)).aggregate('w', { n: count() }).sink('out', arraySink<unknown>([])),
  'global windows': (flow) =>
    windows(flow)
      .window(globalWindow({ trigger: everyCount(5) }))
      .aggregate('w', { n: count() })
      .sink('out', arraySink<unknown>([])),
  'early firing': (flow) =>
    windows(flow)
      .window(tumbling('5s'), { early: '1s' })
      .aggregate('w', { all: collect({ limit: 10_000 }) })
      .sink('out', arraySink<unknown>([])),
  'a skipped aggregate': (flow) =>
    windows(flow)
      .window(tumbling('1s'))
      .aggregate(
        'w',
        (all) => {
          if (all.length > 12) throw new Error('many')
          return all.length
        },
        { onError: 'skip' },
      )
      .sink('out', arraySink<unknown>([])),
  'dedupe, throttle, sample, debounce, topN': (flow) => {
    const input = windows(flow)
    input.dedupe('dedupe', { by: (r) => String(r.n % 500), within: '10m' }).sink('a', arraySink<unknown>([]))
    input.throttle('throttle', { limit: 2, per: '1s' }).sink('b', arraySink<unknown>([]))
    input.sample('sample', { every: 3 }).sink('c', arraySink<unknown>([]))
    input.sample('latest', { latestPer: '1s' }).sink('d', arraySink<unknown>([]))
    input.debounce('debounce', { gap: '50ms' }).sink('e', arraySink<unknown>([]))
    input.topN('top', { n: 3, by: (r) => r.n }).sink('f', arraySink<unknown>([]))
  },
  joins: (flow) => {
    const left = windows(flow)
    const right = flow.source('other', arraySource(rows(500)), time).keyBy((r) => r.key)
    left.join('interval', right, { within: ['100ms', '100ms'], type: 'outer' }).sink('a', arraySink<unknown>([]))
    left.join('window', right, { window: tumbling('1s'), type: 'left' }).sink('b', arraySink<unknown>([]))
    const fused = left.asOf('fuse', { side: { stream: right, within: '50ms', required: true } })
    fused.sink('c', arraySink<unknown>([]))
    fused.output('unmatched').sink('d', arraySink<unknown>([]))
    left.joinTable('table-join', right.toTable('table')).sink('e', arraySink<unknown>([]))
  },
  'failing steps of every kind': (flow) => {
    const dead = dlq(arraySink<unknown>([]) as never)
    const bad = (n: number) => {
      if (n % 11 === 3) throw new Error('bad')
    }
    flow
      .source('rows', arraySource(rows(2_000)), {
        ...time,
        time: (r) => {
          if (r.n % 13 === 0) throw new Error('time')
          return r.at
        },
        onError: dead,
      })
      .map(
        (r) => {
          bad(r.n)
          return r
        },
        { onError: 'skip' },
      )
      .flatMap(
        (r) => {
          bad(r.n + 1)
          return [r, r]
        },
        { onError: dead },
      )
      .filter(
        (r) => {
          bad(r.n + 2)
          return r.n % 2 === 0
        },
        { onError: 'skip' },
      )
      .keyBy(
        (r) => {
          bad(r.n + 4)
          return r.key
        },
        { onError: dead },
      )
      .process<Row>(
        'work',
        () => ({
          onRecord(r, ctx) {
            bad(r.n + 5)
            ctx.emit(r)
          },
        }),
        { onError: dead },
      )
      .mapAsync(
        'call',
        async (r) => {
          bad(r.n + 6)
          return r
        },
        { onError: 'skip' },
      )
      .sink('out', arraySink<unknown>([]))
  },
  'a buffer that drops before a step': (flow) => {
    windows(flow)
      .process<Row>('work', () => ({ onRecord: (r, ctx) => ctx.emit(r) }), {
        buffer: { capacity: 10, whenFull: 'drop-oldest' },
      })
      .sink('out', arraySink<unknown>([]), { buffer: { capacity: 10, whenFull: 'drop-newest' } })
  },
  'failing timers': (flow) =>
    windows(flow)
      .process<Row>(
        'timers',
        () => ({
          onRecord: (r, ctx) => ctx.timers.event(r.at + 1_000),
          onTimer() {
            throw new Error('timer')
          },
        }),
        { onError: 'skip' },
      )
      .sink('out', arraySink<unknown>([])),
  broadcast: (flow) => {
    const input = windows(flow)
    input
      .withBroadcast(
        'b',
        input.filter((r) => r.n % 50 === 0),
        { initial: () => 0, update: (s) => s + 1, join: (r, s) => ({ ...r, s }) },
      )
      .sink('out', arraySink<unknown>([]))
  },
}

function windows(flow: Dataflow) {
  return flow.source('rows', arraySource(rows(2_000), { partitions: 3 }), time).keyBy((r) => r.key)
}

for (const [name, build] of Object.entries(shapes)) {
  test.each([1, 2, 3])(`every record is accounted for: ${name} (%d workers)`, async (workers) => {
    const v = new Virtual(undefined, start + 1e7)
    const flow = dataflow('balance')
    build(flow, v)
    const report = await v.start(flow, { workers, batchRows: 100 }).end()
    expectBalance(v, report)
  })
}

afterEach(() => {
  delete process.env.MILLRACE_TEST
})

test.each(['drop-oldest', 'drop-newest'] as const)(
  '%s through the rings of two threads: what came in went out or is counted',
  async (whenFull: FullPolicy) => {
    const folder = tempFolder()
    process.env.MILLRACE_TEST = JSON.stringify({ folder, rows: 4_000, whenFull })
    // The policy is read when the module is loaded.
    vi.resetModules()
    const { slow } = await import('./fixtures/flows.ts')
    const report = await slow.run({
      state: `${folder}/state`,
      workers: 2,
      execution: 'threads',
      module: new URL('./fixtures/flows.ts', import.meta.url).href,
    })
    const out = committedRows(readFileSync(`${folder}/slow`)) as { n: number }[]
    const { recordsIn, droppedFull } = report.steps.work
    expect(droppedFull).toBeGreaterThan(0)
    expect([recordsIn, out.length]).toEqual([4_000, 4_000 - droppedFull])
    expect(new Set(out.map((r) => r.n)).size).toBe(out.length)
  },
  30_000,
)
