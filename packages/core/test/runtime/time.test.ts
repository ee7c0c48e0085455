/** Event time over several partitions: backlog, idleness, alignment, restore. */
import { expect, test } from 'vitest'
import { count, dataflow, tumbling } from '../../src/index.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { Feed, feedSource, type Row, Virtual } from './kit.ts'

const start = 1_700_000_000_000
const hour = 3_600_000

interface Counted {
  readonly key: string
  readonly window: { readonly start: number; readonly end: number }
  readonly n: number
}

function counting(
  feeds: Readonly<Record<string, Feed<Row>>>,
  out: Counted[],
  options: { idleAfter?: '2s'; align?: '1m' | '10s'; batchMax?: number } = {},
) {
  const flow = dataflow('time')
  const { batchMax, ...times } = options
  const step = flow
    .source('rows', feedSource(feeds, batchMax), { time: (r) => r.at, disorder: '1s', ...times })
    .keyBy((r) => r.key)
    .window(tumbling('10s'))
    .aggregate('count', { n: count() })
  step.sink('out', arraySink<Counted>(out))
  step.output('late').sink('late', arraySink<Row>([]))
  return flow
}

const rows = (key: string, from: number, to: number, stepMs: number): Row[] =>
  Array.from({ length: Math.floor((to - from) / stepMs) }, (_, i) => ({ key, at: from + i * stepMs, n: i }))

test('an hour of backlog in one partition beside a live, an idle and an empty one loses no record and no window', async () => {
  const feeds = { backlog: new Feed<Row>(), live: new Feed<Row>(), idle: new Feed<Row>(), empty: new Feed<Row>() }
  const out: Counted[] = []
  feeds.backlog.push(...rows('b', start - hour, start, 100))
  feeds.idle.push(...rows('i', start - hour, start - hour + 5_000, 100))
  const v = new Virtual(undefined, start).start(counting(feeds, out, { idleAfter: '2s', align: '1m', batchMax: 10 }))
  for (let s = 0; s < 30; s++) {
    feeds.live.push(...rows('l', start + s * 1_000, start + (s + 1) * 1_000, 100))
    await v.pass(1_000)
  }
  for (const feed of Object.values(feeds)) feed.end()
  const report = await v.end()
  expect(report.steps.count.late).toBe(0)
  const total = (key: string) => out.filter((w) => w.key === key).reduce((sum, w) => sum + w.n, 0)
  expect([total('b'), total('l'), total('i')]).toEqual([36_000, 300, 50])
  // Each window once.
  expect(new Set(out.map((w) => `${w.key} ${w.window.start}`)).size).toBe(out.length)
})

test('alignment pauses the partition that is ahead, so that little of it is in the windows, and lets it go on', async () => {
  const feeds = { slow: new Feed<Row>(), fast: new Feed<Row>() }
  const out: Counted[] = []
  feeds.fast.push(...rows('f', start, start + 20 * 60_000, 100))
  feeds.slow.push(...rows('s', start, start + 1_000, 100))
  const v = new Virtual(undefined, start + hour).start(counting(feeds, out, { align: '10s', batchMax: 10 }))
  await v.pass(5_000)
  const statuses = () => Object.fromEntries((v.run?.job.partitions.flat() ?? []).map((p) => [p.partition, p]))
  expect(statuses().fast.isPausedByAlignment).toBe(true)
  // 10 s of alignment, 1 s that the disorder holds the slow one back, a second per batch.
  expect(statuses().fast.rows).toBeLessThanOrEqual(130)
  feeds.slow.push(...rows('s', start + 1_000, start + 60_000, 100))
  await v.pass(2_000)
  expect(statuses().fast.rows).toBeGreaterThan(600)
  feeds.slow.end()
  feeds.fast.end()
  const report = await v.end()
  expect(report.steps.count.late).toBe(0)
  expect(out.filter((w) => w.key === 'f').reduce((sum, w) => sum + w.n, 0)).toBe(12_000)
})

test.each([
  ['the one behind first', ['behind', 'ahead']],
  ['the one ahead first', ['ahead', 'behind']],
  ['both at once', []],
] as const)('when all partitions fall idle (%s) the windows up to the furthest come out', async (_, order) => {
  const feeds: Record<'ahead' | 'behind', Feed<Row>> = { ahead: new Feed(), behind: new Feed() }
  const out: Counted[] = []
  feeds.ahead.push({ key: 'a', at: start + 1_000, n: 0 }, { key: 'a', at: start + 45_000, n: 1 })
  feeds.behind.push({ key: 'b', at: start + 2_000, n: 0 })
  const v = new Virtual(undefined, start).start(counting(feeds, out, { idleAfter: '2s' }))
  await v.pass(1_000)
  // Who gets a late sign of life falls idle later.
  if (order[1] === 'ahead') feeds.ahead.push({ key: 'a', at: start + 45_000, n: 1 })
  if (order[1] === 'behind') feeds.behind.push({ key: 'b', at: start + 2_000, n: 0 })
  await v.pass(10_000)
  expect(out.map((w) => w.key).sort()).toEqual(['a', 'b'])
})

test('an idle partition that gives rows again holds the watermark again', async () => {
  const feeds = { a: new Feed<Row>(), b: new Feed<Row>() }
  const out: Counted[] = []
  feeds.a.push({ key: 'a', at: start + 1_000, n: 0 })
  feeds.b.push({ key: 'b', at: start + 1_000, n: 0 })
  const v = new Virtual(undefined, start).start(counting(feeds, out, { idleAfter: '2s' }))
  await v.pass(1_000)
  for (let s = 2; s < 8; s++) {
    feeds.a.push({ key: 'a', at: start + s * 1_000, n: s })
    await v.pass(1_000)
  }
  const idle = () => v.run?.job.partitions.flat().find((p) => p.partition === 'b')?.isIdle
  expect(idle()).toBe(true)
  feeds.b.push({ key: 'b', at: start + 8_500, n: 1 })
  await v.pass(500)
  expect(idle()).toBe(false)
  feeds.a.push({ key: 'a', at: start + 60_000, n: 9 })
  await v.pass(1_000)
  // b's watermark is 7.5 s: no window may be closed on the word of a alone.
  expect(out).toEqual([])
  await v.pass(5_000)
  expect(out.map((w) => [w.key, w.n])).toEqual(
    expect.arrayContaining([
      ['a', 7],
      ['b', 2],
    ]),
  )
})

test('a partition whose read takes longer than idleAfter is not idle: nobody knows what lies behind it', async () => {
  const feeds = { a: new Feed<Row>(), b: new Feed<Row>() }
  const out: Counted[] = []
  feeds.a.push({ key: 'a', at: start, n: 0 })
  feeds.b.push({ key: 'b', at: start, n: 0 })
  const v = new Virtual(undefined, start).start(counting(feeds, out, { idleAfter: '2s' }))
  await v.pass(1_000)
  feeds.b.isStuck = true
  for (let s = 1; s < 40; s++) {
    feeds.a.push({ key: 'a', at: start + s * 1_000, n: s })
    feeds.b.push({ key: 'b', at: start + s * 1_000, n: s })
    await v.pass(1_000)
  }
  feeds.b.isStuck = false
  feeds.b.wake()
  await v.pass(1_000)
  feeds.a.end()
  feeds.b.end()
  const report = await v.end()
  expect(report.steps.count.late).toBe(0)
  expect(out.filter((w) => w.key === 'b').reduce((sum, w) => sum + w.n, 0)).toBe(40)
})

test.each([
  ['back', -hour],
  ['forward', hour],
] as const)(
  'the wall clock jumps an hour %s: partitions fall idle when they are quiet, not when it jumps',
  async (_, by) => {
    const feeds = { a: new Feed<Row>(), b: new Feed<Row>() }
    const out: Counted[] = []
    feeds.a.push({ key: 'a', at: start, n: 0 })
    feeds.b.push({ key: 'b', at: start, n: 0 })
    const v = new Virtual(undefined, start + 2 * hour).start(counting(feeds, out, { idleAfter: '2s' }))
    await v.pass(1_000)
    v.clock.jump(by)
    await v.pass(600)
    const idle = () => v.run?.job.partitions.flat().map((p) => p.isIdle)
    expect(idle()).toEqual([false, false])
    await v.pass(3_000)
    expect(idle()).toEqual([true, true])
  },
)

test('a source without partitions ends, and one with a single partition runs on two workers', async () => {
  for (const feeds of [{}, { only: new Feed<Row>().push(...rows('a', start, start + 30_000, 100)).end() }]) {
    const out: Counted[] = []
    const v = new Virtual(undefined, start).start(counting(feeds as never, out), { workers: 2 })
    const report = await v.end()
    expect(report.outcome).toBe('finished')
    expect(out.reduce((sum, w) => sum + w.n, 0)).toBe(Object.keys(feeds).length * 300)
  }
})

test.each([1, 2])('what is late after a restart is what is late without one (%d workers)', async (workers) => {
  const first: Row[] = [
    { key: 'a', at: start + 5_000, n: 0 },
    { key: 'b', at: start + 31_000, n: 1 },
  ]
  const second: Row[] = [
    { key: 'a', at: start + 9_000, n: 2 },
    { key: 'a', at: start + 29_000, n: 3 },
    { key: 'c', at: start + 30_500, n: 4 },
  ]
  const calm: Counted[] = []
  const feed = new Feed<Row>().push(...first)
  const v = new Virtual(undefined, start).start(counting({ p: feed }, calm), { workers })
  await v.pass(1_000)
  feed.push(...second).end()
  const calmReport = await v.end()

  const before: Counted[] = []
  const after: Counted[] = []
  const again = new Feed<Row>().push(...first)
  const v1 = new Virtual(undefined, start).start(counting({ p: again }, before), { workers })
  await v1.pass(1_000)
  const v2 = v1.crash()
  again.push(...second).end()
  v2.start(counting({ p: again }, after), { workers })
  const report = await v2.end()
  expect([...before, ...after]).toEqual(calm)
  expect(report.steps.count.late).toBe(calmReport.steps.count.late)
  expect(calmReport.steps.count.late).toBeGreaterThan(0)
})

test.each([1, 2])(
  'a window that was closed while a partition was idle is not opened again by it after a restart (%d workers)',
  async (workers) => {
    const feeds = { a: new Feed<Row>(), b: new Feed<Row>() }
    const out: Counted[] = []
    feeds.a.push({ key: 'k', at: start + 1_000, n: 0 })
    feeds.b.push({ key: 'k', at: start + 1_000, n: 1 })
    const options = { idleAfter: '2s' } as const
    const v = new Virtual(undefined, start + 1e6).start(counting(feeds, out, options), { workers })
    await v.pass(5_000)
    feeds.a.push({ key: 'k', at: start + 60_000, n: 2 })
    await v.pass(500)
    expect(out).toMatchObject([{ key: 'k', n: 2 }])
    const again = v.crash()
    feeds.b.push({ key: 'k', at: start + 2_000, n: 3 }).end()
    feeds.a.end()
    const after: Counted[] = []
    const report = await again.start(counting(feeds, after, options), { workers }).end()
    expect(report.steps.count.late).toBe(1)
    expect(after).toMatchObject([{ n: 1, window: { start: start + 60_000 } }])
  },
)

test('event times may be negative, fractional and far in the past; Infinity and NaN are refused by name', async () => {
  const out: Counted[] = []
  const feed = new Feed<Row>().push(
    { key: 'a', at: -12_345.5, n: 0 },
    { key: 'a', at: -0.25, n: 1 },
    { key: 'a', at: 0.5, n: 2 },
    { key: 'a', at: 9_999.75, n: 3 },
  )
  feed.end()
  const v = new Virtual(undefined, start).start(counting({ p: feed }, out))
  await v.end()
  expect(out.map((w) => [w.window.start, w.n])).toEqual([
    [-20_000, 1],
    [-10_000, 1],
    [0, 2],
  ])
  for (const at of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
    const bad = new Feed<Row>().push({ key: 'a', at: 1, n: 0 }, { key: 'a', at, n: 1 }).end()
    const w = new Virtual(undefined, start).start(counting({ p: bad }, []))
    await expect(w.end()).rejects.toMatchObject({
      code: 'TIME_INVALID',
      step: 'rows',
      message: expect.stringContaining('p:1'),
    })
  }
})

test.each([1, 2])(
  'a stream that falls idle with calls in flight does not let the others pass them (%d workers)',
  async (workers) => {
    const feeds = { a: new Feed<Row>(), b: new Feed<Row>() }
    const out: Counted[] = []
    const v = new Virtual(undefined, start)
    const flow = dataflow('calls')
    const time = { time: (r: Row) => r.at, disorder: '0ms', idleAfter: '1s' } as const
    const called = flow.source('a', feedSource({ p: feeds.a }), time).mapAsync(
      'call',
      async (row) => {
        await new Promise<void>((resolve) => void v.process.after(20_500, resolve))
        return row
      },
      { timeout: '1m' },
    )
    const step = called
      .union(flow.source('b', feedSource({ p: feeds.b }), time))
      .keyBy((r) => r.key)
      .window(tumbling('10s'))
      .aggregate('count', { n: count() })
    step.sink('out', arraySink<Counted>(out))
    const late: Row[] = []
    step.output('late').sink('late', arraySink<Row>(late))
    feeds.a.push({ key: 'a', at: start + 1_000, n: 0 }, { key: 'a', at: start + 2_000, n: 1 })
    v.start(flow, { workers })
    for (let s = 0; s < 40; s++) {
      feeds.b.push({ key: 'b', at: start + s * 1_000, n: s })
      await v.pass(1_000)
    }
    feeds.a.end()
    feeds.b.end()
    await v.end()
    expect(late).toEqual([])
    expect(out.filter((w) => w.key === 'a')).toMatchObject([{ n: 2 }])
  },
)
