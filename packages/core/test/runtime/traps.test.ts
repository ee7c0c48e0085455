/** What naive stream processors get wrong, each as a test on whole flows. docs/guide/choosing-windows-and-buffers.md lists them. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Source } from '../../src/connector.ts'
import {
  collect,
  count,
  countWindow,
  dataflow,
  everyCount,
  globalWindow,
  hopping,
  max,
  mean,
  session,
  sliding,
  tumbling,
  type WindowSpec,
  windowing,
} from '../../src/index.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { arraySource } from '../../src/testing/array-source.ts'
import { type TestFlow, testFlow } from '../../src/testing/test-flow.ts'
import { Virtual } from './kit.ts'

interface Reading {
  readonly at: number
  readonly value: number
}

const time = { time: (row: { readonly at: number }) => row.at, disorder: '0ms' } as const
const readings = (n: number, everyMs = 1_000): Reading[] =>
  Array.from({ length: n }, (_, i) => ({ at: i * everyMs, value: i }))

interface Result {
  readonly window: { readonly start: number; readonly end: number }
  readonly n: number
  readonly mean: number
  readonly max: number
}

/** Results of a window over all readings are at the sink 'out'. */
function windowed(window: WindowSpec): TestFlow {
  const flow = dataflow('windowed')
  flow
    .source('readings', arraySource<Reading>([]), time)
    .windowAll(window)
    .aggregate('aggregate', { n: count(), mean: mean((r) => r.value), max: max((r) => r.value) })
    .sink('out', arraySink<unknown>([]))
  return testFlow(flow)
}

test('a record that a filter drops reaches no later step, window or sink', async () => {
  const seen: number[] = []
  const flow = dataflow('filtered')
  const kept = flow
    .source('readings', arraySource<Reading>([]), time)
    .filter((r) => r.value % 2 === 0)
    .map((r) => {
      seen.push(r.value)
      return r
    })
  kept.windowAll(tumbling('10s')).aggregate('count', { n: count() }).sink('counts', arraySink<unknown>([]))
  kept.sink('out', arraySink<unknown>([]))
  const run = testFlow(flow)
  await run.send('readings', readings(10))
  await run.end()
  expect(seen).toEqual([0, 2, 4, 6, 8])
  expect(run.output<Reading>('out').map((r) => r.value)).toEqual([0, 2, 4, 6, 8])
  expect(run.output<Result>('counts').map((r) => r.n)).toEqual([5])
})

test.each([
  ['tumbling', tumbling('10s')],
  ['hopping', hopping('10s', '5s')],
  ['session', session('5s')],
  ['count', countWindow(10, 10)],
] as const)('a %s window gives nothing while it fills, and numbers when it is full', async (_, window) => {
  const run = windowed(window)
  for (const reading of readings(5)) {
    await run.send('readings', [reading])
    expect(run.output('out')).toEqual([])
  }
  await run.end()
  const results = run.output<Result>('out')
  expect(results.length).toBeGreaterThan(0)
  for (const { n, mean: average, max: largest } of results) {
    expect([n, average, largest].every(Number.isFinite)).toBe(true)
    expect(n).toBeGreaterThan(0)
  }
})

describe('windows with a slide reach their size', () => {
  test('in time: every window within the input holds all of its span', async () => {
    const run = windowed(hopping('10s', '2s'))
    await run.send('readings', readings(60))
    await run.end()
    const whole = run.output<Result>('out').filter(({ window: { start, end } }) => start >= 0 && end <= 60_000)
    expect(whole).toHaveLength(26)
    expect(new Set(whole.map(({ n }) => n))).toEqual(new Set([10]))
  })

  test('in records: every window before the end holds as many as its size says', async () => {
    const run = windowed(countWindow(10, 3))
    await run.send('readings', readings(40))
    expect(run.output<Result>('out').map(({ n, max: last }) => [n, last])).toEqual(
      [9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39].map((last) => [10, last]),
    )
    run.close()
  })
})

describe('the buffer of windowing() is a queue that is filled', () => {
  /** Most readings between the source and a sink that needs a second for each batch. */
  async function behindSlowSink(bufferSize: number): Promise<number> {
    let read = 0
    let written = 0
    let waiting = 0
    const v = new Virtual()
    const source: Source<Reading> = {
      ...arraySource<Reading>([]),
      open: () => ({
        read(maxRows) {
          if (read === 5_000) return 'end'
          const rows = readings(5_000).slice(read, read + maxRows)
          read += rows.length
          waiting = Math.max(waiting, read - written)
          return { rows, next: read, caughtUp: false, at: (i) => i }
        },
        close() {},
      }),
    }
    const flow = dataflow('buffered')
    flow
      .source('readings', source, time)
      .windowAll(windowing({ type: 'count', windowSize: 1, slideSize: 1, bufferSize }))
      .aggregate('each', { n: count() })
      .sink(
        'slow',
        {
          kind: 'slow',
          guarantee: 'at-least-once',
          describe: () => ({}),
          open: () => ({
            async write(batch) {
              await new Promise<void>((resolve) => void v.process.after(1_000, resolve))
              written += batch.length
            },
            close() {},
          }),
        },
        { buffer: { capacity: 10, whenFull: 'block' } },
      )
    await v.start(flow).end()
    expect(written).toBe(5_000)
    return waiting
  }

  test('a larger one holds more while the sink is slow, none holds more than it says, and nothing is lost', async () => {
    const small = await behindSlowSink(10)
    const large = await behindSlowSink(500)
    // Beside the buffer: the sink's queue, a batch in the sink, one on its way, one read ahead, of 10 each.
    expect(small).toBeGreaterThan(10)
    expect(small).toBeLessThanOrEqual(10 + 4 * 10)
    expect(large).toBeGreaterThan(500)
    expect(large).toBeLessThanOrEqual(500 + 4 * 10)
  })

  test('batches are cut to a buffer that is smaller than they are', async () => {
    const v = new Virtual()
    let largestRead = 0
    const source = arraySource(readings(5_000))
    const flow = dataflow('cut')
    flow
      .source(
        'readings',
        {
          ...source,
          open: async (...args) => {
            const reader = await source.open(...args)
            return {
              read: (maxRows) => {
                largestRead = Math.max(largestRead, maxRows)
                return reader.read(maxRows)
              },
              close: () => reader.close(),
            }
          },
        },
        time,
      )
      .windowAll(windowing({ type: 'time', bufferSize: 100 }))
      .aggregate('count', { n: count() })
      .sink('out', arraySink<unknown>([]))
    await v.start(flow, { batchRows: 1_000 }).end()
    expect(flow.plan().channels.map(({ capacity, whenFull }) => [capacity, whenFull])).toContainEqual([100, 'block'])
    expect(largestRead).toBe(100)
  })
})

test('seconds are not milliseconds: windowing() counts in seconds, durations name their unit, event time is in ms', async () => {
  const run = windowed(windowing({ type: 'time', windowSize: 2, slideSize: 2 }))
  await run.send(
    'readings',
    [0, 1_999, 2_000].map((at) => ({ at, value: 1 })),
  )
  await run.end()
  expect(run.output<Result>('out').map(({ window, n }) => [window.start, window.end, n])).toEqual([
    [0, 2_000, 2],
    [2_000, 4_000, 1],
  ])
  // @ts-expect-error a number has no unit
  expect(() => tumbling(10)).toThrow("Write a number and a unit: '500ms', '10s'")
})

test('a time window fires on time, however many records it has; a count window on their number, however long it takes', async () => {
  const byTime = windowed(windowing({ type: 'time', windowSize: 10, slideSize: 10 }))
  await byTime.send('readings', readings(9_999, 1))
  expect(byTime.output('out')).toEqual([])
  await byTime.send('readings', [{ at: 10_000, value: 0 }])
  expect(byTime.output<Result>('out').map(({ n }) => n)).toEqual([9_999])
  byTime.close()

  const byCount = windowed(windowing({ type: 'count', windowSize: 3, slideSize: 3 }))
  await byCount.send(
    'readings',
    [0, 86_400_000].map((at) => ({ at, value: 0 })),
  )
  expect(byCount.output('out')).toEqual([])
  await byCount.send('readings', [{ at: 86_400_001, value: 0 }])
  expect(byCount.output<Result>('out').map(({ n }) => n)).toEqual([3])
  byCount.close()
})

describe('a fused record comes whichever input is the last', () => {
  const names = ['camera', 'sensor', 'language'] as const
  const orders = names.flatMap((a) =>
    names.filter((b) => b !== a).map((b) => [a, b, names.find((c) => c !== a && c !== b)]),
  )

  function open(fuse: 'as-of join' | 'window') {
    const flow = dataflow('fused')
    const [camera, sensor, language] = names.map((name) =>
      flow.source(name, arraySource<{ from: string; at: number }>([]), time),
    )
    const robot = (): string => 'robot'
    if (fuse === 'window') {
      camera
        .union(sensor, language)
        .windowAll(tumbling('100ms'))
        .aggregate('align', { rows: collect() })
        .map(({ rows }) => (rows as { from: string }[]).map(({ from }) => from).sort())
        .sink('out', arraySink<unknown>([]))
    } else {
      camera
        .keyBy(robot)
        .asOf('fuse', {
          sensor: { stream: sensor.keyBy(robot), within: '1s' },
          language: { stream: language.keyBy(robot), within: '1s' },
        })
        .map(({ left, sensor: reading, language: word }) => [left.from, word?.from, reading?.from])
        .sink('out', arraySink<unknown>([]))
    }
    return testFlow(flow)
  }

  for (const fuse of ['as-of join', 'window'] as const) {
    test.each(orders)(`${fuse}: %s, %s, then %s`, async (...order) => {
      const run = open(fuse)
      for (const name of order as string[]) {
        expect(run.output('out')).toEqual([])
        // The second record of each input says that the first one was its last below 100.
        await run.send(name, [
          { from: name, at: name === 'camera' ? 50 : 40 },
          { from: name, at: 100 },
        ])
      }
      expect(run.output('out')).toEqual([['camera', 'language', 'sensor']])
      run.close()
    })
  }
})

test('finding a row among many does not get slower with their number, and the number has a limit that counts', async () => {
  const lookups = 20_000

  /** Time of 20,000 lookups among that many rows of one key, ms. */
  async function lookupMs(rows: number, maxPerKey: number): Promise<{ ms: number; matched: number }> {
    const flow = dataflow('search')
    const robot = (): string => 'robot'
    const side = flow.source('side', arraySource<Reading>([]), time).keyBy(robot)
    flow
      .source('left', arraySource<Reading>([]), time)
      .keyBy(robot)
      .asOf('fuse', { side: { stream: side, within: '1d' } }, { maxPerKey })
      .filter((f) => f.side !== undefined)
      .sink('out', arraySink<unknown>([]))
    const run = testFlow(flow)
    await run.send('side', readings(rows, 1))
    const started = performance.now()
    const step = rows / lookups
    await run.send(
      'left',
      readings(lookups).map(({ value }) => ({ at: value * step, value })),
    )
    const ms = performance.now() - started
    const matched = run.output('out').length
    run.close()
    return { ms, matched }
  }

  await lookupMs(100, 1_000_000)
  const few = await lookupMs(100, 1_000_000)
  const many = await lookupMs(200_000, 1_000_000)
  expect(many.matched).toBeGreaterThan(lookups / 2)
  // Going through half of the rows for each lookup takes 2e9 steps: seconds.
  expect(many.ms).toBeLessThan(5 * few.ms + 500)
  const limited = await lookupMs(200_000, 1_000)
  expect(limited.matched).toBeLessThan(200)
})

test.each([
  ['tumbling', tumbling('10s')],
  ['hopping', hopping('10s', '5s')],
  ['session', session('5s')],
  ['sliding', sliding('10s')],
  ['count', countWindow(10)],
  ['global', globalWindow({ trigger: everyCount(10) })],
] as const)('the end of a bounded input gives the last %s window, full or not', async (_, window) => {
  const results: Result[] = []
  const flow = dataflow('bounded')
  flow
    .source('readings', arraySource(readings(25)), time)
    .windowAll(window)
    .aggregate('aggregate', { n: count(), mean: mean((r) => r.value), max: max((r) => r.value) })
    .sink('out', arraySink<unknown>(results))
  await new Virtual(undefined, 1_000_000).start(flow).end()
  expect(Math.max(...results.map((r) => r.max))).toBe(24)
  if (window.type === 'time' && window.sizeMs === window.slideMs) expect(results.map(({ n }) => n)).toEqual([10, 10, 5])
})

test('the guide names a test of this file beside each trap', () => {
  const page = readFileSync(new URL('../../../../docs/guide/choosing-windows-and-buffers.md', import.meta.url), 'utf8')
  const rows = page
    .split('## Traps of naive versions')[1]
    .split('\n')
    .filter((line) => line.startsWith('| '))
  const named = rows.slice(1).map((row) => /"(.*)" \|$/.exec(row)?.[1])
  expect(named.length).toBeGreaterThanOrEqual(9)
  const tests = readFileSync(new URL(import.meta.url), 'utf8')
  for (const name of named) expect(tests).toContain(name)
})
