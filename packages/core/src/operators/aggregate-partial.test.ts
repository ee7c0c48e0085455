import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Batch, RowBatch } from '../batch/batch.ts'
import { type CanonicalKey, canonicalKey } from '../batch/key.ts'
import { Graph, type GraphNode } from '../graph/node.ts'
import { cases } from '../testing/cases.ts'
import { type EmittedRow, type OperatorHost, openOperator } from '../testing/operator-host.ts'
import { count, mean, sum, variance } from '../window/aggregates.ts'
import { collect } from '../window/aggregates-rows.ts'
import type { WindowSpec } from '../window/types.ts'
import { hopping, tumbling } from '../window/windows.ts'
import { windowAggregate } from './window-aggregate.ts'
import { testInput } from './window-test-kit.ts'

const value = (v: number): number => v

function node(window: WindowSpec, lateness: '0ms' | '15ms' = '0ms'): GraphNode {
  const graph = new Graph('test')
  const aggregates = { n: count(), sum: sum(value), mean: mean(value), variance: variance(value) }
  return windowAggregate(graph, { input: testInput(graph), name: 'w', window, aggregates, lateness })
}

function sender(of: GraphNode, onError: 'fail' | 'skip' = 'fail'): OperatorHost {
  const create = of.spec.type === 'operator' ? of.spec.preAggregate : undefined
  if (create === undefined) throw new Error('no preAggregate')
  return openOperator(create, { onError })
}

function asBatch(rows: readonly EmittedRow[]): Batch {
  return new RowBatch(
    rows.map(({ row }) => row),
    rows.map(({ time }) => time),
    rows.map(({ key }) => canonicalKey(key)),
    Int8Array.from(rows, ({ weight }) => weight),
  )
}

interface Row {
  readonly time: number
  readonly value: number
  readonly key: CanonicalKey
  readonly weight: 1 | -1
}

const plain = (rows: readonly Row[]): Batch =>
  new RowBatch(
    rows.map((row) => row.value),
    rows.map((row) => row.time),
    rows.map((row) => row.key),
    Int8Array.from(rows, (row) => row.weight),
  )

describe('partial aggregation before a shuffle', () => {
  it('sends one row per key and slice before the watermark passes', () => {
    const h = sender(node(hopping('20ms', '10ms')))
    h.send([
      [1, 5, 'a'],
      [2, 7, 'a'],
      [11, 1, 'a'],
    ])
    expect(h.take()).toEqual([])
    expect(h.held).toBe(3)
    h.watermark(5)
    expect(h.take().map(({ row, time, key }) => [time, key, (row as { $rows: number }).$rows])).toEqual([
      [2, 'a', 2],
      [11, 'a', 1],
    ])
    expect(h.held).toBe(0)
  })

  it('sends what it holds at a barrier, so that it needs no state', () => {
    const h = sender(node(tumbling('10ms')))
    h.send([[1, 5, 'a']])
    h.snapshot()
    expect(h.take()).toHaveLength(1)
  })

  it('passes on rows behind its watermark and rows it cannot read as they are', () => {
    const h = sender(node(tumbling('10ms')))
    h.watermark(20)
    h.send([
      [5, 1, 'a'],
      [25, Number.NaN, 'a'],
    ])
    expect(h.take().map(({ row }) => row)).toEqual([1, Number.NaN])
    expect(h.errors).toEqual([])
  })

  it('is not offered for aggregates that keep rows', () => {
    const graph = new Graph('test')
    const aggregates = { rows: collect() }
    const made = windowAggregate(graph, { input: testInput(graph), name: 'w', window: tumbling('1s'), aggregates })
    expect(made.spec.type === 'operator' && made.spec.preAggregate).toBe(undefined)
  })

  it('counts every row of a partial that comes too late, as when an idle sender speaks again', () => {
    const of = node(tumbling('10ms'))
    const idle = sender(of)
    idle.send([
      [1, 1, 'a'],
      [2, 1, 'a'],
    ])
    idle.snapshot()
    const h = openOperator(of)
    h.watermark(50)
    h.sendBatch(asBatch(idle.take()))
    expect(h.metrics.late).toBe(2)
  })
})

const rowOf = fc.record({
  time: fc.integer({ min: -30, max: 120 }),
  value: fc.integer({ min: -50, max: 50 }),
  key: fc.constantFrom<CanonicalKey>('a', 'b'),
  weight: fc.constantFrom<1 | -1>(1, 1, 1, -1),
})
const events = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ from: fc.constantFrom(0, 1), rows: fc.array(rowOf, { maxLength: 8 }) }) },
    { weight: 2, arbitrary: fc.record({ from: fc.constantFrom(0, 1), step: fc.integer({ min: 1, max: 25 }) }) },
    { weight: 1, arbitrary: fc.constant('barrier' as const) },
  ),
  { maxLength: 25 },
)

/** Two senders and one receiver whose watermark is the lower of theirs; results, late rows and the number of them. */
function play(of: GraphNode, drawn: typeof events extends fc.Arbitrary<infer E> ? E : never, combines: boolean) {
  const senders = [sender(of), sender(of)]
  const receiver = openOperator(of)
  const marks = [-40, -40]
  const forward = (i: number): void => receiver.sendBatch(asBatch(senders[i].take()))
  for (const event of drawn) {
    if (event === 'barrier') {
      for (const i of [0, 1]) {
        senders[i].snapshot()
        forward(i)
      }
    } else if ('rows' in event) {
      if (!combines) receiver.sendBatch(plain(event.rows))
      else {
        senders[event.from].sendBatch(plain(event.rows))
        forward(event.from)
      }
    } else {
      marks[event.from] += event.step
      senders[event.from].watermark(marks[event.from])
      forward(event.from)
      const low = Math.min(...marks)
      receiver.watermark(Math.max(low, receiver.watermarkOut))
    }
  }
  for (const i of [0, 1]) {
    senders[i].end()
    forward(i)
  }
  receiver.end()
  const round = (row: object): string =>
    JSON.stringify(row, (_, v: unknown) => (typeof v === 'number' ? Number(v.toPrecision(12)) : v))
  return {
    out: receiver
      .take<object>()
      .map(({ row }) => round(row))
      .sort(),
    late: receiver
      .take('late')
      .map((row) => JSON.stringify(row))
      .sort(),
    count: receiver.metrics.late,
  }
}

it.each([
  ['tumbling', tumbling('20ms')],
  ['hopping', hopping('30ms', '20ms')],
])('%s windows are the same with and without it, with late rows, retractions and barriers', (_, window) => {
  const of = node(window)
  fc.assert(
    fc.property(events, (drawn) => {
      expect(play(of, drawn, true)).toEqual(play(of, drawn, false))
    }),
    { numRuns: cases(150) },
  )
})
