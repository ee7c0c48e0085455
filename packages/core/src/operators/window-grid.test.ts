/** Tumbling and hopping windows, and what all windows share. Time runs in ms; `|` in comments are window borders. */
import { describe, expect, it } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { Graph } from '../graph/node.ts'
import { type OperatorHost, type OperatorHostOptions, openOperator } from '../testing/operator-host.ts'
import { count, max, mean, sum } from '../window/aggregates.ts'
import { collect, first, last } from '../window/aggregates-rows.ts'
import type { WindowSpec } from '../window/types.ts'
import { hopping, tumbling } from '../window/windows.ts'
import { type WindowAggregateOptions, windowAggregate, windowApply } from './window-aggregate.ts'
import { testInput } from './window-test-kit.ts'

type Options = Partial<Omit<WindowAggregateOptions, 'window' | 'input' | 'name'>>

function host(window: WindowSpec, options: Options = {}, hosting: OperatorHostOptions = {}): OperatorHost {
  const graph = new Graph('test')
  const aggregates = options.aggregates ?? { n: count(), sum: sum((v: number) => v) }
  return openOperator(
    windowAggregate(graph, { ...options, input: testInput(graph), name: 'w', window, aggregates }),
    hosting,
  )
}

const shown = (h: OperatorHost): unknown[] =>
  h
    .take<{ key: string; window: { start: number; end: number }; n: number; sum: number; pane?: string }>()
    .map(({ row }) => [
      row.key,
      row.window.start,
      row.window.end,
      row.n,
      row.sum,
      ...(row.pane === undefined ? [] : [row.pane]),
    ])

describe('tumbling windows', () => {
  //  0        10        20
  //  | 1    9 |10       |
  it('fire when the watermark reaches their end, not before, with the time end - 1', () => {
    const h = host(tumbling('10ms'))
    h.send([
      [1, 5, 'a'],
      [9, 7, 'a'],
      [10, 1, 'a'],
    ])
    h.watermark(9.5)
    expect(h.take()).toEqual([])
    h.watermark(10)
    expect(h.take()).toEqual([
      { row: { key: 'a', window: { start: 0, end: 10 }, n: 2, sum: 12 }, time: 9, key: 'a', weight: 1 },
    ])
  })

  it('fire on time, not on a count of rows', () => {
    const h = host(tumbling('10ms'))
    h.send(Array.from({ length: 5_000 }, (_, i) => [i / 1_000, 1, 'a']))
    expect(h.take()).toEqual([])
    h.watermark(10)
    expect(shown(h)).toEqual([['a', 0, 10, 5_000, 5_000]])
  })

  it('without rows emit nothing', () => {
    const h = host(tumbling('10ms'))
    h.send([[1, 1, 'a']])
    h.watermark(95)
    h.send([[96, 1, 'a']])
    h.end()
    expect(shown(h).map((row) => (row as number[])[1])).toEqual([0, 90])
  })

  it('emit nothing while they fill', () => {
    const h = host(tumbling('1s'))
    for (let time = 0; time < 900; time += 100) {
      h.send([[time, 1, 'a']])
      h.watermark(time)
    }
    expect(h.take()).toEqual([])
  })

  it('that are open at the end of the input come out', () => {
    const h = host(tumbling('10ms'))
    h.send([[3, 1, 'a']])
    h.end()
    expect(shown(h)).toEqual([['a', 0, 10, 1, 1]])
  })

  it('of a second are a thousand milliseconds long', () => {
    const h = host(tumbling('1s'))
    h.send([
      [999, 1, 'a'],
      [1_000, 1, 'a'],
    ])
    h.end()
    expect(shown(h)).toEqual([
      ['a', 0, 1_000, 1, 1],
      ['a', 1_000, 2_000, 1, 1],
    ])
  })

  it('move with their offset', () => {
    const h = host(tumbling('10ms'), { offset: '3ms' })
    h.send([
      [2, 1, 'a'],
      [3, 1, 'a'],
    ])
    h.end()
    expect(shown(h).map((row) => (row as number[])[1])).toEqual([-7, 3])
  })
})

describe('hopping windows', () => {
  it('reach their full size from the first slide on, and past the last row at the end', () => {
    const h = host(hopping('10ms', '5ms'))
    h.send([[7, 1, 'a']])
    h.end()
    expect(shown(h)).toEqual([
      ['a', 0, 10, 1, 1],
      ['a', 5, 15, 1, 1],
    ])
  })

  it('keep two slices per slide whatever size and slide are', () => {
    const h = host(hopping('1s', '333ms'))
    h.send(Array.from({ length: 1_000 }, (_, i) => [i, 1, 'a']))
    h.watermark(999)
    h.send([[999, 1, 'a']])
    h.watermark(1_000)
    expect(shown(h).at(-1)).toEqual(['a', 0, 1_000, 1_001, 1_001])
  })
})

describe('late records', () => {
  it('are counted, go to the side output and into no window', () => {
    const h = host(tumbling('10ms'))
    h.send([[1, 1, 'a']])
    h.watermark(10)
    h.take()
    h.send([
      [9, 5, 'a'],
      [10, 2, 'a'],
    ])
    h.end()
    expect(shown(h)).toEqual([['a', 10, 20, 1, 2]])
    expect(h.metrics.late).toBe(1)
    expect(h.take('late')).toEqual([{ row: 5, time: 9, key: 'a', weight: 1 }])
  })

  it('behind the watermark whose window is open are not late', () => {
    const h = host(tumbling('10ms'))
    h.watermark(9)
    h.send([[1, 1, 'a']])
    h.end()
    expect(shown(h)).toEqual([['a', 0, 10, 1, 1]])
    expect(h.metrics.late).toBe(0)
  })

  it('count in the hopping windows that have not fired', () => {
    const h = host(hopping('10ms', '5ms'))
    h.watermark(11)
    h.send([[7, 1, 'a']])
    h.end()
    expect(shown(h)).toEqual([['a', 5, 15, 1, 1]])
  })

  it('within the lateness give the window again, marked late', () => {
    const h = host(tumbling('10ms'), { lateness: '5ms' })
    h.send([[1, 1, 'a']])
    h.watermark(10)
    h.send([
      [2, 2, 'a'],
      [3, 3, 'a'],
    ])
    h.watermark(15)
    h.send([[4, 4, 'a']])
    expect(shown(h)).toEqual([
      ['a', 0, 10, 1, 1, 'onTime'],
      ['a', 0, 10, 2, 3, 'late'],
      ['a', 0, 10, 3, 6, 'late'],
    ])
    expect(h.metrics.late).toBe(1)
  })
})

it('early results come in processing time, for windows that changed', () => {
  const h = host(hopping('20ms', '10ms'), { early: '1s' })
  h.send([[12, 1, 'a']])
  h.advance(999)
  expect(h.take()).toEqual([])
  h.advance(1)
  expect(shown(h)).toEqual([
    ['a', 0, 20, 1, 1, 'early'],
    ['a', 10, 30, 1, 1, 'early'],
  ])
  h.advance(5_000)
  expect(h.take()).toEqual([])
  h.end()
  expect(shown(h).map((row) => (row as string[])[5])).toEqual(['onTime', 'onTime'])
})

describe('retractions', () => {
  const batch = (rows: readonly (readonly [number, number, 1 | -1])[]): RowBatch<number> =>
    new RowBatch(
      rows.map((r) => r[1]),
      rows.map((r) => r[0]),
      rows.map(() => 'a'),
      Int8Array.from(rows, (r) => r[2]),
    )

  it('take rows back, and a window left without rows emits nothing', () => {
    const h = host(hopping('10ms', '5ms'))
    h.sendBatch(
      batch([
        [1, 5, 1],
        [2, 7, 1],
        [12, 9, 1],
        [1, 5, -1],
        [12, 9, -1],
      ]),
    )
    h.end()
    expect(shown(h)).toEqual([
      ['a', -5, 5, 1, 7],
      ['a', 0, 10, 1, 7],
    ])
  })

  it('that an aggregate cannot take go to the error policy', () => {
    const h = host(tumbling('10ms'), { aggregates: { max: max((v: number) => v) } }, { onError: 'skip' })
    h.sendBatch(
      batch([
        [1, 5, 1],
        [1, 5, -1],
      ]),
    )
    expect(h.errors.map(({ error }) => (error as { code: string }).code)).toEqual(['AGGREGATE_RETRACT'])
  })
})

describe('bad values', () => {
  it('go to the error policy with the names of step and aggregate, and the row is in no aggregate', () => {
    const h = host(
      tumbling('10ms'),
      { aggregates: { n: count(), mean: mean((r: { v: number }) => r.v) } },
      { onError: 'skip' },
    )
    h.send([
      [1, { v: 1 }, 'a'],
      [2, {}, 'a'],
      [3, { v: Number.NaN }, 'b'],
    ])
    h.end()
    expect(h.take().map(({ row }) => row)).toEqual([{ key: 'a', window: { start: 0, end: 10 }, n: 1, mean: 1 }])
    expect(h.errors).toMatchObject([
      { error: { code: 'CALLBACK_RETURN', step: 'w', data: { aggregate: 'mean' } }, row: {}, time: 2, key: 'a' },
      { error: { code: 'CALLBACK_RETURN' }, key: 'b' },
    ])
  })

  it('stop the flow by default', () => {
    expect(() => host(tumbling('10ms')).send([[1, undefined, 'a']])).toThrow('"sum" returned undefined')
  })
})

it('rows are in order of arrival by default and in event-time order when asked', () => {
  const row = (v: number) => v
  const h = host(hopping('10ms', '5ms'), {
    aggregates: {
      first: first(row),
      last: last(row),
      early: first(row, { order: 'eventTime' }),
      sorted: collect<number>({ order: 'eventTime' }),
      arrived: collect<number>(),
    },
  })
  h.send([
    [7, 70, 'a'],
    [2, 20, 'a'],
    [5, 50, 'a'],
  ])
  h.watermark(10)
  expect(h.take().at(-1)?.row).toEqual({
    key: 'a',
    window: { start: 0, end: 10 },
    first: 70,
    last: 50,
    early: 20,
    sorted: [20, 50, 70],
    arrived: [70, 20, 50],
  })
})

it('a plain function is given the rows of the window', () => {
  const graph = new Graph('test')
  const h = openOperator(
    windowApply(graph, { input: testInput(graph), name: 'w', window: tumbling('10ms'), apply: (rows) => rows.length }),
  )
  h.send([
    [1, 'x', 'a'],
    [2, 'y', 'a'],
  ])
  h.end()
  expect(h.take()[0].row).toEqual({ key: 'a', window: { start: 0, end: 10 }, value: 2 })
})

it('a stream windowed as a whole gives rows without a key', () => {
  const graph = new Graph('test')
  const input = testInput(graph, 'single')
  const h = openOperator(
    windowAggregate(graph, { input, name: 'w', window: tumbling('10ms'), aggregates: { n: count() } }),
  )
  h.send([
    [1, 'x', 'a'],
    [2, 'y', 'b'],
  ])
  h.end()
  expect(h.take()).toEqual([{ row: { window: { start: 0, end: 10 }, n: 2 }, time: 9, key: undefined, weight: 1 }])
})

it('collect refuses rows beyond its limit', () => {
  const h = host(tumbling('10ms'), { aggregates: { rows: collect({ limit: 2 }) } }, { onError: 'skip' })
  h.send([
    [1, 1, 'a'],
    [2, 2, 'a'],
    [3, 3, 'a'],
  ])
  h.end()
  expect(h.take()[0].row).toMatchObject({ rows: [1, 2] })
  expect(h.errors).toMatchObject([{ error: { code: 'AGGREGATE_LIMIT' }, row: 3 }])
})
