/** Session, sliding, count and global windows, and what the step refuses. */
import { describe, expect, it } from 'vitest'
import { Graph } from '../graph/node.ts'
import { type OperatorHost, openOperator } from '../testing/operator-host.ts'
import { aggregate, count } from '../window/aggregates.ts'
import { collect } from '../window/aggregates-rows.ts'
import type { AnyAggregates } from '../window/plan.ts'
import type { WindowSpec } from '../window/types.ts'
import {
  countWindow,
  everyCount,
  everyTime,
  globalWindow,
  hopping,
  onEnd,
  session,
  sliding,
  tumbling,
  when,
} from '../window/windows.ts'
import { type WindowAggregateOptions, windowAggregate } from './window-aggregate.ts'
import { testInput } from './window-test-kit.ts'

type Options = Partial<Omit<WindowAggregateOptions, 'window' | 'input' | 'name'>>

function node(window: WindowSpec, options: Options = {}) {
  const graph = new Graph('test')
  const aggregates: AnyAggregates = options.aggregates ?? { n: count() }
  return windowAggregate(graph, { ...options, input: testInput(graph), name: 'w', window, aggregates })
}

const shown = (h: OperatorHost): unknown[] =>
  h
    .take<{ window: { start: number; end: number }; n: number; pane?: string }>()
    .map(({ row }) => [row.window.start, row.window.end, row.n, ...(row.pane === undefined ? [] : [row.pane])])

const rows = (...times: number[]): [number, number, string][] => times.map((time) => [time, time, 'a'])

describe('sessions', () => {
  it('exactly a gap apart stay apart, or join when they are told to', () => {
    const apart = openOperator(node(session('10ms')))
    apart.send(rows(0, 9, 19))
    apart.end()
    expect(shown(apart)).toEqual([
      [0, 19, 2],
      [19, 29, 1],
    ])
    const touching = openOperator(node(session('10ms', { merge: 'touching' })))
    touching.send(rows(0, 10, 20))
    touching.end()
    expect(shown(touching)).toEqual([[0, 30, 3]])
  })

  it('are joined by a row that comes between them', () => {
    const h = openOperator(node(session('10ms')))
    h.send(rows(0, 18))
    h.watermark(9)
    h.send(rows(9))
    h.watermark(28)
    expect(shown(h)).toEqual([[0, 28, 3]])
  })

  it('fire once the watermark is a gap past their last row', () => {
    const h = openOperator(node(session('10ms')))
    h.send(rows(0, 5))
    h.watermark(14.9)
    expect(shown(h)).toEqual([])
    h.watermark(15)
    expect(shown(h)).toEqual([[0, 15, 2]])
  })

  it('that have fired take no rows; a row that would only belong to one is late', () => {
    const h = openOperator(node(session('10ms')))
    h.send(rows(0))
    h.watermark(10)
    h.send(rows(0))
    h.send(rows(1))
    h.end()
    expect(shown(h)).toEqual([
      [0, 10, 1],
      [1, 11, 1],
    ])
    expect(h.metrics.late).toBe(1)
  })

  it('take rows within the lateness, and say so', () => {
    const h = openOperator(node(session('10ms'), { lateness: '5ms' }))
    h.send(rows(0, 3))
    h.watermark(14)
    h.send(rows(1))
    expect(shown(h)).toEqual([
      [0, 13, 2, 'onTime'],
      [0, 13, 3, 'late'],
    ])
  })

  it('that end on fractions hold the watermark back so far that their results are on time', () => {
    const h = openOperator(node(session('10ms')))
    h.send(rows(0.5))
    h.watermark(10.25)
    expect(h.watermarkOut).toBe(9.5)
    h.watermark(10.5)
    expect(h.take()[0].time).toBe(9.5)
    expect(h.emittedLate).toBe(0)
  })

  it('give early results', () => {
    const h = openOperator(node(session('10ms'), { early: '1s' }))
    h.send(rows(0, 4))
    h.advance(1_000)
    expect(shown(h)).toEqual([[0, 14, 2, 'early']])
  })
})

describe('sliding windows', () => {
  it('give one result per record, over the rows after time - size up to its time', () => {
    const h = openOperator(node(sliding('10ms')))
    h.send(rows(0, 10, 10, 4))
    h.watermark(10)
    expect(shown(h)).toEqual([
      [-9, 1, 1],
      [-5, 5, 2],
    ])
    h.watermark(10.5)
    expect(shown(h)).toEqual([
      [1, 11, 3],
      [1, 11, 3],
    ])
  })

  it('behind the watermark count the record late, or within the lateness answer it alone', () => {
    const strict = openOperator(node(sliding('10ms')))
    strict.watermark(5)
    strict.send(rows(4))
    expect(strict.metrics.late).toBe(1)
    const lenient = openOperator(node(sliding('10ms'), { lateness: '3ms' }))
    lenient.send(rows(1, 6))
    lenient.watermark(7)
    lenient.send(rows(4))
    lenient.send(rows(8))
    lenient.end()
    expect(shown(lenient)).toEqual([
      [-8, 2, 1, 'onTime'],
      [-3, 7, 2, 'onTime'],
      [-5, 5, 2, 'late'],
      [-1, 9, 4, 'onTime'],
    ])
  })
})

describe('count windows', () => {
  it('emit when they are full, and what is left at the end', () => {
    const h = openOperator(node(countWindow(3)))
    h.send(rows(1, 2))
    expect(shown(h)).toEqual([])
    h.send(rows(3, 4))
    expect(shown(h)).toEqual([[1, 4, 3]])
    h.watermark(1_000_000)
    expect(shown(h)).toEqual([])
    h.end()
    expect(shown(h)).toEqual([[4, 5, 1]])
  })

  it('that slide reach their size before they emit', () => {
    const h = openOperator(node(countWindow(4, 2)))
    h.send(rows(1, 2, 3, 4, 5, 6))
    expect(shown(h)).toEqual([
      [1, 5, 4],
      [3, 7, 4],
    ])
    h.end()
    expect(shown(h)).toEqual([[5, 7, 2]])
  })
})

describe('global windows', () => {
  it('fire after the row a test is true for', () => {
    const trigger = when((row: number) => row === 2)
    const h = openOperator(node(globalWindow({ trigger })))
    h.send(rows(1, 2, 3))
    expect(shown(h)).toEqual([[1, 3, 2]])
    h.end()
    expect(shown(h)).toEqual([[3, 4, 1]])
  })

  it('fire by the clock for keys with new rows', () => {
    const h = openOperator(node(globalWindow({ trigger: everyTime('1s'), after: 'accumulate' })))
    h.send(rows(1))
    h.advance(1_000)
    h.advance(1_000)
    expect(shown(h)).toEqual([[1, 2, 1]])
    const again = h.restore(h.snapshot())
    again.send(rows(2))
    again.advance(1_000)
    expect(shown(again)).toEqual([[1, 3, 2]])
  })

  it('keep their clock over a restart', () => {
    const h = openOperator(node(globalWindow({ trigger: everyTime('1s') })))
    h.send(rows(1))
    const again = h.restore(h.snapshot())
    again.advance(1_000)
    expect(shown(again)).toEqual([[1, 2, 1]])
  })

  it('with onEnd give one result', () => {
    const h = openOperator(node(globalWindow({ trigger: onEnd() })))
    h.send(rows(1, 5))
    h.watermark(100)
    h.end()
    expect(shown(h)).toEqual([[1, 6, 2]])
  })
})

it.each<[string, WindowSpec]>([
  ['tumbling', tumbling('10ms')],
  ['hopping', hopping('20ms', '10ms')],
  ['session', session('10ms')],
  ['sliding', sliding('10ms')],
  ['count', countWindow(4)],
  ['count in event-time order', countWindow(4, undefined, { order: 'eventTime' })],
  ['global', globalWindow({ trigger: everyCount(4) })],
])('%s windows that are over leave nothing in the state', (_, window) => {
  const after = (keys: number, aggregates: AnyAggregates): number => {
    const h = openOperator(node(window, { aggregates }))
    const given = Array.from({ length: keys * 4 }, (_, i) => [i, i, `key ${i % keys}`] as [number, number, string])
    h.send(given)
    h.watermark(1_000_000)
    return h.snapshot().length
  }
  // A snapshot says when it was made and how many rows came; a hundred keys would take kilobytes.
  for (const aggregates of [{ n: count() }, { n: count(), rows: collect() }]) {
    expect(after(100, aggregates) - after(1, aggregates)).toBeLessThan(64)
  }
})

it('sliding windows put rows in order again after a restart', () => {
  let h = openOperator(node(sliding('10ms'), { lateness: '9ms' }))
  h.send(rows(1, 6))
  h.watermark(8)
  h.send(rows(3))
  h = h.restore(h.snapshot())
  h.send(rows(4))
  expect(shown(h)).toEqual([[-5, 5, 3, 'late']])
})

describe('the window step refuses', () => {
  it('aggregates with the names of the result row, or none at all', () => {
    expect(() => node(tumbling('1s'), { aggregates: { key: count() } })).toThrow('an aggregate is called "key"')
    expect(() => node(tumbling('1s'), { aggregates: {} })).toThrow('there is no aggregate')
    expect(() => node(tumbling('1s'), { aggregates: { n: 3 as never } })).toThrow('"n" is no aggregate')
  })

  it('options its kind of window does not take', () => {
    expect(() => node(countWindow(3), { lateness: '1s' })).toThrow('a count window takes no option "lateness"')
    expect(() => node(session('1s'), { timeZone: 'Europe/Berlin' })).toThrow('takes no option "timeZone"')
  })

  it('aggregates without merge where windows are put together', () => {
    const own = aggregate({ create: () => 0, add: (n: number) => n + 1, result: (n) => n })
    expect(() => node(hopping('2s', '1s'), { aggregates: { own } })).toThrow('"own" has no merge')
    const h = openOperator(node(tumbling('10ms'), { aggregates: { n: own }, lateness: '5ms' }))
    h.send(rows(1))
    h.watermark(10)
    h.send(rows(2))
    expect(shown(h)).toEqual([
      [0, 10, 1, 'onTime'],
      [0, 10, 2, 'late'],
    ])
  })
})

it('steps that depend on the clock or on arrival say so, and the plan shows the window', () => {
  expect(node(tumbling('1s')).determinism).toBe('deterministic')
  expect(node(tumbling('1s'), { early: '1s' }).determinism).toBe('timed')
  expect(node(countWindow(3)).determinism).toBe('timed')
  expect(node(countWindow(3, 1, { order: 'eventTime' })).determinism).toBe('deterministic')
  expect(node(hopping('2s', '1s'), { lateness: '5s' }).spec).toMatchObject({
    outputs: ['late'],
    describe: { window: { type: 'time', sizeMs: 2_000, slideMs: 1_000 }, aggregates: { n: 'count' }, lateness: '5s' },
  })
})
