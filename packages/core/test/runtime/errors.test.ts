/** Failing user functions, sources and sinks under every policy. */
import { expect, test } from 'vitest'
import type { Sink, Source } from '../../src/connector.ts'
import {
  aggregate,
  type DeadLetter,
  dataflow,
  dlq,
  type OnError,
  retry,
  type Stream,
  tumbling,
} from '../../src/index.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { arraySource } from '../../src/testing/array-source.ts'
import { committedFileSink, committedRows } from '../../src/testing/committed-file-sink.ts'
import { Feed, feedSource, type Row, Virtual } from './kit.ts'

const start = 1_700_000_000_000
const rows: Row[] = Array.from({ length: 10 }, (_, n) => ({
  key: n % 2 === 0 ? 'even' : 'odd',
  at: start + n * 1_000,
  n,
}))
const time = { time: (r: Row) => r.at, disorder: '0ms' } as const

class Bad extends Error {
  override readonly name = 'Bad'
}

/** Throws for n = 3 and n = 7; with `once`, only the first time each. */
function failing<A extends { n: number }, R>(fn: (row: A) => R, once = false): (row: A) => R {
  const seen = new Set<number>()
  return (row) => {
    if (row.n === 3 || row.n === 7) {
      if (!once || !seen.has(row.n)) {
        seen.add(row.n)
        throw new Bad(`n is ${row.n}`)
      }
    }
    return fn(row)
  }
}

interface Case {
  readonly build: (rows: Stream<Row>, onError: OnError, once: boolean) => Stream<{ n: number }>
  readonly step: string
  /** Without: the policy retry is refused or falls through, because the step keeps state. */
  readonly retries?: boolean
}

const cases: Record<string, Case> = {
  map: {
    build: (s, onError, once) =>
      s.map(
        failing((r) => ({ n: r.n }), once),
        { onError },
      ),
    step: 'map#1',
    retries: true,
  },
  filter: {
    build: (s, onError, once) =>
      s.filter(
        failing(() => true, once),
        { onError },
      ),
    step: 'filter#1',
    retries: true,
  },
  flatMap: {
    build: (s, onError, once) =>
      s.flatMap(
        failing((r) => [r], once),
        { onError },
      ),
    step: 'flatMap#1',
    retries: true,
  },
  keyBy: {
    build: (s, onError, once) =>
      s.keyBy(
        failing((r) => r.key, once),
        { onError },
      ),
    step: 'keyBy#1',
    retries: true,
  },
  withTime: {
    build: (s, onError, once) =>
      s.withTime(
        failing((r) => r.at, once),
        { onError },
      ),
    step: 'timestamp#1',
    retries: true,
  },
  mapAsync: {
    build: (s, onError, once) => s.mapAsync('call', failing(async (r: Row) => r, once) as never, { onError }),
    step: 'call',
    retries: true,
  },
  process: {
    build: (s, onError) =>
      s
        .keyBy((r) => r.key)
        .process<Row>('work', () => ({ onRecord: (r, ctx) => failing((x: Row) => ctx.emit(x))(r) }), { onError }),
    step: 'work',
  },
}

const letters = (found: readonly unknown[]) =>
  (found as DeadLetter[]).map(({ step, code, message, record }) => ({ step, code, message, n: (record as Row).n }))

for (const [name, { build, step, retries }] of Object.entries(cases)) {
  const run = async (onError: OnError, once = false) => {
    const out: { n: number }[] = []
    const flow = dataflow('errors')
    build(flow.source('rows', arraySource(rows), time), onError, once).sink('out', arraySink(out))
    const v = new Virtual(undefined, start + 1e6).start(flow)
    const report = await v.end()
    return { ns: out.map((r) => r.n).sort((a, b) => a - b), counters: report.steps[step] }
  }

  test(`${name}: fail ends the run and names step, place and record`, async () => {
    await expect(run('fail')).rejects.toMatchObject({
      name: 'OperationalError',
      code: 'CALLBACK_FAILED',
      step,
      message: expect.stringMatching(/n is 3 .*errors\.test\.ts:\d+, at record rows 0:3/),
    })
  })

  test(`${name}: skip drops the record and counts it`, async () => {
    const { ns, counters } = await run('skip')
    expect(ns).toEqual([0, 1, 2, 4, 5, 6, 8, 9])
    expect([counters.droppedError, counters.errors, counters.recordsIn]).toEqual([2, 2, 10])
  })

  test(`${name}: a dead letter holds the record, the error and where it came from`, async () => {
    const dead: DeadLetter[] = []
    const { ns, counters } = await run(dlq(arraySink(dead)))
    expect(ns).toEqual([0, 1, 2, 4, 5, 6, 8, 9])
    expect(letters(dead)).toEqual([3, 7].map((n) => ({ step, code: 'CALLBACK_FAILED', message: `n is ${n}`, n })))
    expect(dead.map((letter) => letter.origin)).toEqual(['rows 0:3', 'rows 0:7'])
    expect(counters.dead).toBe(2)
  })

  if (retries === true) {
    test(`${name}: retry calls again; what still fails goes the other way`, async () => {
      const calm = await run(retry({ times: 1 }), true)
      expect(calm.ns).toEqual(rows.map((r) => r.n))
      expect(calm.counters.retried).toBe(2)
      const lost = await run(retry({ times: 2, otherwise: 'skip' }))
      expect(lost.ns).toEqual([0, 1, 2, 4, 5, 6, 8, 9])
      expect([lost.counters.retried, lost.counters.droppedError]).toEqual([4, 2])
    })
  } else {
    test(`${name}: retry is refused where the function may have changed state before it failed`, async () => {
      await expect(run(retry({ times: 1, otherwise: 'skip' }))).rejects.toMatchObject({ code: 'RETRY_STATEFUL', step })
    })
  }
}

test('the time function fails, skips and dead-letters by the policy of its source', async () => {
  const run = async (onError: OnError) => {
    const out: Row[] = []
    const flow = dataflow('times')
    flow
      .source('rows', arraySource(rows), { ...time, time: failing((r: Row) => r.at), onError })
      .sink('out', arraySink(out))
    const report = await new Virtual(undefined, start + 1e6).start(flow).end()
    return { ns: out.map((r) => r.n), counters: report.steps.rows }
  }
  await expect(run('fail')).rejects.toMatchObject({
    code: 'TIME_INVALID',
    step: 'rows',
    message: expect.stringMatching(/n is 3.*rows 0:3/),
  })
  expect(await run('skip')).toMatchObject({
    ns: [0, 1, 2, 4, 5, 6, 8, 9],
    counters: { droppedError: 2, recordsIn: 10, recordsOut: 8 },
  })
  const dead: DeadLetter[] = []
  expect(await run(dlq(arraySink(dead)))).toMatchObject({ counters: { dead: 2 } })
  expect(letters(dead).map((l) => [l.code, l.n])).toEqual([
    ['TIME_INVALID', 3],
    ['TIME_INVALID', 7],
  ])
  let calls = 0
  const flaky = dataflow('flaky')
  const out: Row[] = []
  flaky
    .source('rows', arraySource(rows), {
      ...time,
      time: (r: Row) => {
        if (calls++ === 3) throw new Bad('once')
        return r.at
      },
      onError: retry({ times: 1 }),
    })
    .sink('out', arraySink(out))
  const report = await new Virtual(undefined, start + 1e6).start(flaky).end()
  expect([out.length, report.steps.rows.retried]).toEqual([10, 1])
})

test('a record that a source cannot decode goes by its policy, and the others come through', async () => {
  const source: Source<Row> = {
    ...arraySource(rows),
    open: (partition, position, ctx) => {
      const reader = arraySource(rows).open(partition, position, ctx) as { read(max: number): never; close(): void }
      return {
        read: (max) => {
          const batch = reader.read(Math.min(2, max)) as 'end' | { next: number }
          if (batch !== 'end' && batch.next === 4)
            ctx.reject({ code: 'RECORD_DECODE', message: 'torn', partition, at: 4, raw: '{"n":' })
          return batch as never
        },
        close() {},
      }
    },
  }
  const run = async (onError: OnError) => {
    const out: Row[] = []
    const flow = dataflow('decode')
    flow.source('rows', source, { ...time, onError }).sink('out', arraySink(out))
    const report = await new Virtual(undefined, start + 1e6).start(flow).end()
    return [out.length, report.steps.rows.recordsIn, report.steps.rows.droppedError + report.steps.rows.dead]
  }
  await expect(run('fail')).rejects.toMatchObject({
    code: 'RECORD_DECODE',
    step: 'rows',
    message: expect.stringContaining('rows 0:4'),
  })
  expect(await run('skip')).toEqual([10, 11, 1])
  const dead: DeadLetter[] = []
  expect(await run(dlq(arraySink(dead)))).toEqual([10, 11, 1])
  expect(dead).toMatchObject([{ step: 'rows', code: 'RECORD_DECODE', record: '{"n":', origin: 'rows 0:4' }])
})

test('callbacks of a window aggregate fail by name and may be skipped', async () => {
  const run = async (onError: OnError, where: 'add' | 'result') => {
    const out: unknown[] = []
    const flow = dataflow('windows')
    flow
      .source('rows', arraySource(rows), time)
      .keyBy((r) => r.key)
      .window(tumbling('100s'))
      .aggregate(
        'sum',
        {
          sum: aggregate<Row, number, number>({
            create: () => 0,
            add: (total, r) => {
              if (where === 'add' && r.n === 3) throw new Bad('add 3')
              return total + r.n
            },
            merge: (a, b) => a + b,
            result: (total) => {
              if (where === 'result' && total > 20) throw new Bad('too much')
              return total
            },
          }),
        },
        { onError },
      )
      .sink('out', arraySink(out))
    const report = await new Virtual(undefined, start + 1e6).start(flow).end()
    return { sums: out.map((r) => (r as { key: string; sum: number }).sum).sort(), counters: report.steps.sum }
  }
  await expect(run('fail', 'add')).rejects.toMatchObject({
    step: 'sum',
    message: expect.stringMatching(/add 3.*rows 0:3/),
  })
  await expect(run('fail', 'result')).rejects.toMatchObject({
    step: 'sum',
    message: expect.stringMatching(/too much.*key "odd"/),
  })
  expect((await run('skip', 'add')).sums).toEqual([20, 22])
  expect((await run('skip', 'result')).sums).toEqual([20])
})

test('a sink or a source that fails with any error is named, and keeps its class where it has one', async () => {
  const sink = (error: unknown, isAsync: boolean): Sink<Row> => ({
    kind: 'failing',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({
      write() {
        if (isAsync) return Promise.reject(error)
        throw error
      },
      close() {},
    }),
  })
  for (const isAsync of [false, true]) {
    const flow = dataflow('sink-fails')
    flow.source('rows', arraySource(rows), time).sink('wall', sink(new Error('connection refused'), isAsync))
    await expect(new Virtual(undefined, start + 1e6).start(flow).end()).rejects.toMatchObject({
      name: 'OperationalError',
      code: 'SINK_FAILED',
      step: 'wall',
      message: expect.stringContaining('connection refused'),
    })
  }
  const broken: Source<Row> = {
    ...arraySource(rows),
    open: () => ({
      read() {
        throw new Error('broken pipe')
      },
      close() {},
    }),
  }
  const flow = dataflow('source-fails')
  flow.source('rows', broken, time).sink('out', arraySink<Row>([]))
  await expect(new Virtual(undefined, start + 1e6).start(flow).end()).rejects.toMatchObject({
    name: 'OperationalError',
    code: 'SOURCE_FAILED',
    step: 'rows',
    message: expect.stringContaining('broken pipe'),
  })
})

test('two steps that share a dead-letter sink write to the one', async () => {
  const dead: DeadLetter[] = []
  const sink = dlq(arraySink(dead))
  const out: { n: number }[] = []
  const flow = dataflow('shared')
  flow
    .source('rows', arraySource(rows), time)
    .map(
      (r) => {
        if (r.n === 1) throw new Bad('first')
        return r
      },
      { onError: sink },
    )
    .keyBy((r) => r.key)
    .process<Row>(
      'work',
      () => ({
        onRecord(r, ctx) {
          if (r.n === 2) throw new Bad('second')
          ctx.emit(r)
        },
      }),
      { onError: sink },
    )
    .sink('out', arraySink(out))
  for (const workers of [1, 2]) {
    dead.length = 0
    const report = await new Virtual(undefined, start + 1e6).start(flow, { workers }).end()
    expect(dead.map((l) => [l.step, l.message]).sort()).toEqual([
      ['map#1', 'first'],
      ['work', 'second'],
    ])
    expect(report.steps['dead-letters'].recordsOut).toBe(2)
  }
})

test('the failure of a later step is not skipped by the policy of the step that was emitting to it', async () => {
  const flow = dataflow('nested')
  flow
    .source('rows', arraySource(rows), time)
    .keyBy((r) => r.key)
    .process<number>(
      'burst',
      () => ({
        onRecord(_, ctx) {
          for (let i = 0; i < 5_000; i++) ctx.emit(i)
        },
      }),
      { onError: 'skip' },
    )
    .map((n) => {
      if (n === 100) throw new Bad('later')
      return n
    })
    .sink('out', arraySink<number>([]))
  await expect(new Virtual(undefined, start + 1e6).start(flow).end()).rejects.toMatchObject({
    step: 'map#3',
    message: expect.stringContaining('later'),
  })
})

test.each([1, 2])(
  'dead letters come out exactly once, whichever moment the process dies (%d workers)',
  async (workers) => {
    for (let crashMs = 0; crashMs < 60; crashMs += 3) {
      const feed = new Feed<Row>()
      const make = () => {
        const flow = dataflow('once')
        const dead = dlq(committedFileSink('/dead'))
        flow
          .source('rows', feedSource({ p: feed }, 3), {
            ...time,
            time: (r: Row) => {
              if (r.n % 5 === 0) throw new Bad('time')
              return r.at
            },
            onError: dead,
          })
          .map(
            (r) => {
              if (r.n % 5 === 1) throw new Bad('map')
              return { n: r.n }
            },
            { onError: dead },
          )
          .sink('out', committedFileSink('/out'))
        return flow
      }
      const v = new Virtual(undefined, start + 1e6).start(make(), { workers, commitEvery: '7ms' })
      const all = Array.from({ length: 60 }, (_, n) => ({ key: 'k', at: start + n, n }))
      for (let i = 0; i < 60; i += 5) {
        feed.push(...all.slice(i, i + 5))
        await v.pass(i < crashMs ? 5 : 0)
      }
      const again = v.crash().start(make(), { workers, commitEvery: '7ms' })
      feed.end()
      await again.end()
      const dead = committedRows(again.disk.bytes('/dead')) as { record: Row }[]
      const out = committedRows(again.disk.bytes('/out')) as { n: number }[]
      expect([...dead.map((l) => l.record.n), ...out.map((r) => r.n)].sort((a, b) => a - b)).toEqual(
        all.map((r) => r.n),
      )
    }
  },
)

test('a write that fails after another was under way ends the run, not the process', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  let writes = 0
  const flow = dataflow('second-write')
  flow
    .source(
      'rows',
      feedSource({ a: new Feed<Row>().push(...rows).end(), b: new Feed<Row>().push(...rows).end() }, 2),
      time,
    )
    .sink('out', {
      kind: 'second',
      guarantee: 'at-least-once',
      describe: () => ({}),
      open: () => ({
        write() {
          if (writes++ > 0) throw new Error('second')
          return Promise.resolve()
        },
        flush: () => Promise.reject(new Error('flush')),
        close() {},
      }),
    })
  await expect(new Virtual(undefined, start + 1e6).start(flow).end()).rejects.toMatchObject({
    code: 'SINK_FAILED',
    step: 'out',
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

test('a function that returns what cannot be used names the record as one that throws does', async () => {
  const flow = dataflow('returns')
  flow
    .source('rows', arraySource(rows), time)
    .map((r) => (r.n === 3 ? (undefined as never) : r))
    .sink('out', arraySink<Row>([]))
  await expect(new Virtual(undefined, start + 1e6).start(flow).end()).rejects.toMatchObject({
    code: 'CALLBACK_RETURN',
    step: 'map#1',
    message: expect.stringMatching(/errors\.test\.ts:\d+.*at record rows 0:3/s),
  })
})

test('what was opened is closed, whatever fails: a later open, or the close before', async () => {
  const open = new Set<string>()
  const sink = (name: string, fails: boolean): Sink<Row> => ({
    kind: 'handle',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => {
      if (fails) throw new Error('no such host')
      open.add(name)
      return {
        write() {},
        close() {
          open.delete(name)
          throw new Error('close failed')
        },
      }
    },
  })
  const source: Source<Row> = {
    ...arraySource(rows, { partitions: 2 }),
    open: async (partition, position, ctx) => {
      const reader = await arraySource(rows, { partitions: 2 }).open(partition, position, ctx)
      open.add(partition)
      return {
        read: (max) => reader.read(max),
        close() {
          open.delete(partition)
          throw new Error('close failed')
        },
      }
    },
  }
  const make = (fails: boolean) => {
    const flow = dataflow('handles')
    const stream = flow.source('rows', source, time)
    stream.sink('first', sink('first', false))
    stream.sink('second', sink('second', fails))
    return flow
  }
  const error = await new Virtual(undefined, start + 1e6)
    .start(make(true))
    .end()
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'SINK_FAILED', step: 'second' })
  expect([...open]).toEqual([])
  const v = new Virtual(undefined, start + 1e6).start(make(false))
  expect((await v.end()).outcome).toBe('finished')
  expect([...open]).toEqual([])
})

test('a committer or a list of partitions that fails names its step', async () => {
  const flow = dataflow('publish')
  flow.source('rows', arraySource(rows), time).sink('out', {
    kind: 'committed',
    guarantee: 'staged',
    describe: () => ({}),
    open: () => ({ write: () => new Uint8Array(3), close() {} }),
    committer: () => ({
      restore() {},
      after: (state, bytes) => Number(state ?? 0) + bytes,
      publish: () => Promise.reject(new Error('forbidden')),
      close() {},
    }),
  })
  await expect(new Virtual(undefined, start + 1e6).start(flow).end()).rejects.toMatchObject({
    code: 'SINK_FAILED',
    step: 'out',
  })
  const lost = dataflow('lost')
  lost
    .source('rows', { ...arraySource(rows), partitions: () => Promise.reject(new Error('unreachable')) }, time)
    .sink('out', arraySink<Row>([]))
  await expect(new Virtual(undefined, start + 1e6).start(lost).end()).rejects.toMatchObject({
    code: 'SOURCE_FAILED',
    step: 'rows',
  })
})
