/** Commit, recovery, savepoints, locks and changed flows, with the real engine in one thread. */
import { expect, test } from 'vitest'
import { count, dataflow, InvariantError, OperationalError, tumbling } from '../../src/index.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { arraySource } from '../../src/testing/array-source.ts'
import { committedFileSink, committedRows } from '../../src/testing/committed-file-sink.ts'
import { Feed, feedSource, type Row, tempFolder, Virtual } from './kit.ts'

const start = 1_700_000_000_000
const rows = (from: number, to: number): Row[] =>
  Array.from({ length: to - from }, (_, i) => ({
    key: `k${(from + i) % 3}`,
    at: start + (from + i) * 100,
    n: from + i,
  }))

const time = { time: (r: Row) => r.at, disorder: '0ms' } as const

/** Numbers each record per key, so that a lost or doubled record shows in every later one. */
function numbering(source: ReturnType<typeof feedSource<Row>>, name = 'number', renamedFrom?: string) {
  const flow = dataflow('numbers')
  flow
    .source('rows', source, time)
    .keyBy((r) => r.key)
    .process<{ key: string; n: number; count: number }>(
      name,
      ({ value }) => {
        const seen = value<number>('seen', { default: 0 })
        return {
          onRecord(row, ctx) {
            seen.set(seen.get() + 1)
            ctx.emit({ key: row.key, n: row.n, count: seen.get() })
          },
        }
      },
      renamedFrom === undefined ? {} : { renamedFrom },
    )
    .sink('out', committedFileSink('/out'))
  return flow
}

const numbered = (from: number, to: number) =>
  rows(from, to).map(({ key, n }) => ({ key, n, count: Math.floor(n / 3) + 1 }))
const byN = (all: unknown[]) => (all as { n: number }[]).toSorted((a, b) => a.n - b.n)
const output = (v: Virtual) => byN(committedRows(v.disk.bytes('/out')))

test('a savepoint taken by stop is where a later run starts, with state, positions and output of that moment', async () => {
  const feed = new Feed<Row>().push(...rows(0, 30))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.pass(1_000)
  v.run?.stop({ savepoint: 'thirty' }).catch(() => {})
  expect((await v.end()).outcome).toBe('stopped')
  feed.push(...rows(30, 60))
  const on = v.crash().start(numbering(feedSource({ p: feed })))
  await on.pass(1_000)
  expect(output(on)).toEqual(numbered(0, 60))
  // Back to the savepoint, with another continuation.
  const other = new Feed<Row>().push(...rows(0, 30), ...rows(33, 45))
  const back = on.crash().start(numbering(feedSource({ p: other })), { savepoint: 'thirty' })
  await back.pass(1_000)
  expect(output(back)).toEqual([
    ...numbered(0, 30),
    ...rows(33, 45).map(({ key, n }) => ({ key, n, count: Math.floor(n / 3) })),
  ])
  // The run after it goes on where that one left off.
  other.push(...rows(45, 48)).end()
  const next = back.crash().start(numbering(feedSource({ p: other })))
  await next.end()
  expect(output(next)).toHaveLength(45)
})

test('a start from a savepoint that dies at any write leaves either history whole', async () => {
  const feed = new Feed<Row>().push(...rows(0, 12))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.pass(1_000)
  v.run?.stop({ savepoint: 'twelve' }).catch(() => {})
  await v.end()
  feed.push(...rows(12, 18))
  const on = v.crash().start(numbering(feedSource({ p: feed })))
  await on.pass(1_000)
  feed.push(...rows(18, 24))
  await on.pass(1_000)
  on.process.kill()
  let crashes = 0
  for (let write = 0; ; write++) {
    const back = new Virtual(on.disk.crash('kill'), start + 2e6)
    let isDead = false
    back.fault = ({ number }) => {
      if (number < write) return undefined
      isDead = true
      return { type: 'crash', when: 'after', kind: 'kill' }
    }
    back.start(numbering(feedSource({ p: feed })), { savepoint: 'twelve' })
    // The port does not kill by itself here: every write from this one on fails for good.
    await back.pass(2_000).catch(() => {})
    if (!isDead) break
    crashes++
    const later = back.crash().start(numbering(feedSource({ p: feed })))
    await later.pass(2_000)
    expect(output(later)).toEqual(numbered(0, 24))
  }
  expect(crashes).toBeGreaterThan(10)
})

test('a savepoint whose name cannot be a file is refused before anything stops', async () => {
  const feed = new Feed<Row>().push(...rows(0, 3))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.pass(500)
  await expect(v.run?.stop({ savepoint: '../evil' })).rejects.toMatchObject({ code: 'SAVEPOINT_NAME' })
  feed.push(...rows(3, 6))
  await v.pass(500)
  expect(output(v)).toEqual(numbered(0, 6))
})

test('a savepoint asked for after the end is an error, not a silent nothing', async () => {
  const feed = new Feed<Row>().push(...rows(0, 3)).end()
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.end()
  await expect(v.run?.stop({ savepoint: 'late' })).rejects.toMatchObject({ code: 'SAVEPOINT_MISSED' })
  expect(v.run?.job.state).toBe('ended')
})

test('an unknown savepoint is refused with the names there are, and nothing is touched', async () => {
  const feed = new Feed<Row>().push(...rows(0, 3)).end()
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.end()
  const again = v.crash().start(numbering(feedSource({ p: feed })), { savepoint: 'nope' })
  await expect(again.end()).rejects.toMatchObject({ code: 'SAVEPOINT_UNKNOWN' })
  expect(output(again)).toEqual(numbered(0, 3))
})

test('options that are refused leave the state folder free for the next run', async () => {
  const state = tempFolder()
  const flow = dataflow('refused')
  flow.source('rows', arraySource(rows(0, 3)), time).sink('out', arraySink<Row>([]))
  const options = { state, execution: 'inline' } as const
  await expect(flow.run({ ...options, from: { nobody: { '*': 0 } } })).rejects.toMatchObject({ code: 'FROM_SOURCE' })
  await expect(flow.run({ ...options, batchRows: 0 })).rejects.toMatchObject({ code: 'BATCH_ROWS' })
  await expect(flow.run({ ...options, savepoint: 'a/b' })).rejects.toMatchObject({ code: 'SAVEPOINT_NAME' })
  expect((await flow.run(options)).outcome).toBe('finished')
})

test('a second run of the same flow is refused with the process that holds it; after the first has ended it may run', async () => {
  const state = tempFolder()
  const feed = new Feed<Row>().push(...rows(0, 3))
  const make = () => {
    const flow = dataflow('twice')
    flow.source('rows', feedSource({ p: feed }), time).sink('out', arraySink<Row>([]))
    return flow
  }
  const first = await make().start({ state, execution: 'inline' })
  await expect(make().run({ state, execution: 'inline' })).rejects.toMatchObject({
    code: 'FLOW_RUNNING',
    message: expect.stringContaining(String(process.pid)),
  })
  await first.stop()
  feed.end()
  expect((await make().run({ state, execution: 'inline' })).outcome).toBe('finished')
})

test('a process that was taken over does not commit', async () => {
  const feed = new Feed<Row>().push(...rows(0, 3))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.pass(500)
  v.disk.put('/state/LOCK-99', `${JSON.stringify({ pid: 7, host: 'other', startedAt: 0 })}\n`)
  feed.push(...rows(3, 6))
  await expect(v.pass(1_000)).rejects.toMatchObject({ code: 'FLOW_FENCED' })
  expect(output(v)).toEqual(numbered(0, 3))
})

test('an aborted signal commits what was read and ends; the signal keeps no listener', async () => {
  const abort = new AbortController()
  const feed = new Feed<Row>().push(...rows(0, 9))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })), {
    signal: abort.signal,
    commitEvery: '1h',
  })
  await v.pass(1_000)
  expect(output(v)).toEqual([])
  abort.abort()
  const report = await v.end()
  expect(report.outcome).toBe('stopped')
  expect(output(v)).toEqual(numbered(0, 9))
})

test('a flow with nothing to do writes nothing', async () => {
  const feed = new Feed<Row>().push(...rows(0, 3))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.pass(2_000)
  v.writes.length = 0
  const commits = v.commits
  await v.pass(600_000)
  expect([v.writes, v.commits]).toEqual([[], commits])
})

test('a finished flow that runs again over grown input goes on, and its windows are not all late', async () => {
  const feed = new Feed<Row>().push(...rows(0, 100)).end()
  const make = () => {
    const flow = dataflow('grown')
    flow
      .source('rows', feedSource({ p: feed }), time)
      .keyBy((r) => r.key)
      .window(tumbling('5s'))
      .aggregate('count', { n: count() })
      .sink('out', committedFileSink('/out'))
    return flow
  }
  const v = new Virtual(undefined, start + 1e6).start(make())
  expect((await v.end()).outcome).toBe('finished')
  feed.push(...rows(100, 200))
  const again = v.crash().start(make())
  const report = await again.end()
  expect(report.steps.count.late).toBe(0)
  const total = (committedRows(again.disk.bytes('/out')) as { n: number }[]).reduce((sum, w) => sum + w.n, 0)
  expect(total).toBe(200)
  // And once more over nothing new.
  const before = again.disk.bytes('/out')
  const third = again.crash().start(make())
  await third.end()
  expect(third.disk.bytes('/out')).toEqual(before)
})

test('steps, sources and sinks keep what is theirs under a new name, and without renamedFrom the state is refused with a diff', async () => {
  const feed = new Feed<Row>().push(...rows(0, 12))
  const v = new Virtual(undefined, start + 1e6).start(numbering(feedSource({ p: feed })))
  await v.pass(1_000)
  feed.push(...rows(12, 24)).end()
  const lost = v.crash().start(numbering(feedSource({ p: feed }), 'count'))
  await expect(lost.end()).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(/step "number", table[\s\S]*step "count", table/),
  })
  expect(output(lost)).toEqual(numbered(0, 12))
  const renamed = lost.crash().start(numbering(feedSource({ p: feed }), 'count', 'number'))
  await renamed.end()
  expect(output(renamed)).toEqual(numbered(0, 24))
})

test('a source or a sink that lost its name is refused as well: it would read or write everything again', async () => {
  const feed = new Feed<Row>().push(...rows(0, 12))
  const make = (source: string, sink: string, renamed: { source?: string; sink?: string } = {}) => {
    const flow = dataflow('ends')
    flow
      .source(source, feedSource({ p: feed }), {
        ...time,
        ...(renamed.source === undefined ? {} : { renamedFrom: renamed.source }),
      })
      .map(({ n }) => ({ n }))
      .sink(sink, committedFileSink('/out'), renamed.sink === undefined ? {} : { renamedFrom: renamed.sink })
    return flow
  }
  const v = new Virtual(undefined, start + 1e6).start(make('rows', 'out'))
  await v.pass(1_000)
  feed.push(...rows(12, 24)).end()
  const bytes = v.disk.bytes('/out')
  const source = v.crash().start(make('records', 'out'))
  await expect(source.end()).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringContaining('source "rows"'),
  })
  const sink = source.crash().start(make('rows', 'result'))
  await expect(sink.end()).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringContaining('sink "out"'),
  })
  expect(sink.disk.bytes('/out')).toEqual(bytes)
  const both = sink.crash().start(make('records', 'result', { source: 'rows', sink: 'out' }))
  await both.end()
  expect(output(both)).toEqual(rows(0, 24).map(({ n }) => ({ n })))
  // A source that may go goes, with its positions.
  const gone = both.crash().start(make('others', 'result'), { allowDropped: ['records'] })
  await gone.end()
  expect(committedRows(gone.disk.bytes('/out'))).toHaveLength(48)
})

test('a partition that is away for a run keeps its position', async () => {
  const a = new Feed<Row>().push(...rows(0, 6))
  const b = new Feed<Row>().push(...rows(6, 12))
  const make = (feeds: Record<string, Feed<Row>>) => {
    const flow = dataflow('away')
    flow
      .source('rows', feedSource(feeds), time)
      .map(({ n }) => ({ n }))
      .sink('out', committedFileSink('/out'))
    return flow
  }
  const v = new Virtual(undefined, start + 1e6).start(make({ a, b }))
  await v.pass(1_000)
  a.push(...rows(12, 15))
  const without = v.crash().start(make({ a }))
  await without.pass(1_000)
  b.push(...rows(15, 18))
  const back = without.crash().start(make({ a, b }))
  await back.pass(1_000)
  expect(output(back)).toEqual(rows(0, 18).map(({ n }) => ({ n })))
})

test('from and until cut by position and by event time, and the next run goes on there', async () => {
  const feed = new Feed<Row>().push(...rows(0, 100))
  const make = () => {
    const flow = dataflow('cut')
    flow
      .source('rows', feedSource({ p: feed }, 10), time)
      .map(({ n }) => ({ n }))
      .sink('out', committedFileSink('/out'))
    return flow
  }
  const v = new Virtual(undefined, start + 1e6).start(make(), {
    from: { rows: { '*': 20 } },
    until: { rows: { p: 35 } },
  })
  expect((await v.end()).outcome).toBe('stopped')
  expect(output(v)).toEqual(rows(20, 35).map(({ n }) => ({ n })))
  const next = v.crash().start(make(), { from: { rows: { '*': 0 } }, until: start + 6_000 })
  await next.end()
  const last = output(next).at(-1)?.n ?? 0
  expect(output(next)).toEqual(rows(20, last + 1).map(({ n }) => ({ n })))
  expect(last).toBeGreaterThanOrEqual(60)
  expect(last).toBeLessThan(71)
})

test('the disk is full at each write in turn, then there is space again: nothing is lost, nothing twice', async () => {
  let failures = 0
  for (let write = 0; write < 400; write++) {
    const feed = new Feed<Row>().push(...rows(0, 9))
    const v = new Virtual(undefined, start + 1e6)
    let isFull = false
    v.fault = ({ number }) => {
      if (number < write) return undefined
      isFull = true
      return { type: 'full' }
    }
    v.start(numbering(feedSource({ p: feed }, 3)))
    await v.pass(400).catch(() => {})
    feed.push(...rows(9, 18))
    await v.pass(400).catch(() => {})
    if (!isFull) break
    if (v.error !== undefined) {
      failures++
      expect((v.error as { code?: string }).code).toMatch(/^(DISK_FULL|COMMIT_UNKNOWN)$/)
    }
    v.fault = undefined
    feed.end()
    const again = v.crash().start(numbering(feedSource({ p: feed }, 3)))
    await again.end()
    expect(output(again)).toEqual(numbered(0, 18))
  }
  expect(failures).toBeGreaterThan(20)
})

test('a run that committed and cannot mark its lock as released has still succeeded', async () => {
  const feed = new Feed<Row>().push(...rows(0, 9)).end()
  const v = new Virtual(undefined, start + 1e6)
  v.fault = ({ path, action }) =>
    action === 'append' && path.includes('LOCK') && v.commits > 0 ? { type: 'full' } : undefined
  v.start(numbering(feedSource({ p: feed })))
  expect((await v.end()).outcome).toBe('finished')
})

test('a disk that fails at the decision itself ends the run with COMMIT_UNKNOWN; the next start reads what happened', async () => {
  for (const action of ['rename', 'sync folder'] as const) {
    const feed = new Feed<Row>().push(...rows(0, 9))
    const v = new Virtual(undefined, start + 1e6)
    v.start(numbering(feedSource({ p: feed })))
    await v.pass(500)
    feed.push(...rows(9, 18))
    v.fault = (write) =>
      write.action === action && (action === 'rename' || write.path.endsWith('/state')) ? { type: 'error' } : undefined
    await expect(v.pass(1_000)).rejects.toMatchObject({ code: 'COMMIT_UNKNOWN' })
    feed.end()
    const again = v.crash().start(numbering(feedSource({ p: feed })))
    await again.end()
    expect(output(again)).toEqual(numbered(0, 18))
  }
})

test('failures of the environment restart the workers from the last commit, at most restartsMax times', async () => {
  const flow = (failures: number) => {
    let left = failures
    const feed = new Feed<Row>().push(...rows(0, 30)).end()
    const made = dataflow('restarts')
    made
      .source('rows', feedSource({ p: feed }, 5), time)
      .map((r) => {
        if (r.n === 20 && left-- > 0)
          throw new OperationalError('PEER_AWAY', 'the peer is away', { retryable: true, step: 'map#1' })
        return { n: r.n }
      })
      .sink('out', committedFileSink('/out'))
    return made
  }
  const v = new Virtual(undefined, start + 1e6).start(flow(3), { restartsMax: 3 })
  expect((await v.end()).restarts).toBe(3)
  expect(output(v)).toEqual(rows(0, 30).map(({ n }) => ({ n })))
  const w = new Virtual(undefined, start + 1e6).start(flow(4), { restartsMax: 3 })
  await expect(w.end()).rejects.toMatchObject({ code: 'PEER_AWAY' })
})

test('state beyond its limit is a typed error that no policy skips', async () => {
  const flow = dataflow('limit')
  flow
    .source(
      'rows',
      arraySource(Array.from({ length: 50_000 }, (_, n) => ({ key: `key-${n}`, at: start + n, n }))),
      time,
    )
    .keyBy((r) => r.key)
    .process<Row>(
      'keep',
      ({ list }) => {
        const all = list<Row>('all')
        return { onRecord: (row) => all.append(row) }
      },
      { onError: 'skip' },
    )
    .sink('out', arraySink<Row>([]))
  const v = new Virtual(undefined, start + 1e6).start(flow, { stateBytesMax: 1_000_000 })
  await expect(v.end()).rejects.toMatchObject({ name: 'OperationalError', code: 'STATE_LIMIT', step: 'keep' })
})

test('commits go on while a sink is a hundred times slower than its source, and nothing piles up', async () => {
  const feed = new Feed<Row>().push(...rows(0, 20_000)).end()
  const v = new Virtual(undefined, start + 1e7)
  let written = 0
  let most = 0
  const flow = dataflow('slow')
  flow.source('rows', feedSource({ p: feed }, 100), time).sink(
    'slow',
    {
      kind: 'slow',
      guarantee: 'at-least-once',
      describe: () => ({}),
      open: () => ({
        async write(batch) {
          await new Promise<void>((resolve) => void v.process.after(100, resolve))
          written += batch.length
          const c = v.run?.job.stepCounters(0)
          if (c !== undefined) most = Math.max(most, c.recordsOut - written)
        },
        close() {},
      }),
    },
    { buffer: { capacity: 300, whenFull: 'block' } },
  )
  v.start(flow)
  const report = await v.end()
  expect(written).toBe(20_000)
  // The queue, what the sink writes, and what one call gives.
  expect(most).toBeLessThanOrEqual(300 + 100 + 100)
  expect(report.epochs).toBeGreaterThan(30)
})

test('over 1,000 commits the folder stays small', async () => {
  const feed = new Feed<Row>()
  const flow = dataflow('thousand')
  flow
    .source('rows', feedSource({ p: feed }), time)
    .keyBy((r) => r.key)
    .window(tumbling('1s'))
    .aggregate('count', { n: count() })
    .sink('out', committedFileSink('/out'))
  const v = new Virtual(undefined, start + 1e7).start(flow, { commitEvery: '1ms' })
  let most = 0
  for (let i = 0; v.commits < 1_000; i++) {
    feed.push({ key: `k${i % 7}`, at: start + i * 100, n: i })
    await v.pass(5)
    most = Math.max(most, v.disk.files().length)
  }
  expect(most).toBeLessThan(200)
  feed.end()
  await v.end()
  const rest = v.disk.files().filter((path) => /MANIFEST|LOCK|tmp/.test(path))
  expect(rest).toHaveLength(4)
})

test('an InvariantError ends the run under every policy', async () => {
  for (const onError of ['skip', 'fail'] as const) {
    const flow = dataflow('invariant')
    flow
      .source('rows', arraySource(rows(0, 3)), time)
      .map(
        (): Row => {
          throw new InvariantError('BROKEN', 'two and two are five')
        },
        { onError },
      )
      .sink('out', arraySink<Row>([]))
    const v = new Virtual(undefined, start + 1e6).start(flow)
    await expect(v.end()).rejects.toMatchObject({ name: 'InvariantError', code: 'BROKEN' })
  }
})
