/** What sliding windows of numbers keep, and what a snapshot writes of it. */
import { describe, expect, it } from 'vitest'
import { keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { Graph } from '../graph/node.ts'
import { type OperatorHost, openOperator, type TimedRow } from '../testing/operator-host.ts'
import { count, max, sum } from '../window/aggregates.ts'
import { sliding } from '../window/windows.ts'
import { windowAggregate } from './window-aggregate.ts'
import { testInput } from './window-test-kit.ts'

function open(size: `${number}ms`, instance?: { index: number; count: number }): OperatorHost {
  const graph = new Graph('test')
  const aggregates = { n: count(), sum: sum((v: number) => v), max: max((v: number) => v) }
  const node = windowAggregate(graph, { input: testInput(graph), name: 'w', window: sliding(size), aggregates })
  return openOperator(node, instance === undefined ? {} : { instance })
}

const results = (host: OperatorHost): unknown[] =>
  host.take<{ n: number; sum: number; max: number }>().map(({ time, row }) => [time, row.n, row.sum, row.max])

const span = (from: number, to: number, step = 1): TimedRow[] => {
  const rows: TimedRow[] = []
  for (let time = from; time < to; time += step) rows.push([time, time % 7, 'a'])
  return rows
}

/** The same, looked at row by row. */
function naive(rows: readonly TimedRow[], size: number): unknown[] {
  return rows.map(([time]) => {
    const inside = rows.filter(([other]) => other > time - size && other <= time).map(([, v]) => v as number)
    return [time, inside.length, inside.reduce((a, b) => a + b, 0), Math.max(...inside)]
  })
}

describe('sliding windows of numbers', () => {
  it.each([1, 5, 300, 5000])('of %i rows equal a look at all rows, restored at any commit', (size) => {
    const rows = span(0, 1200)
    let host = open(`${size}ms`)
    const got: unknown[] = []
    for (let from = 0, step = 1; from < rows.length; from += step, step = (step * 2) % 97) {
      host.send(rows.slice(from, from + step))
      host.watermark(Math.min(from + step, rows.length) - 3)
      got.push(...results(host))
      host = host.restore(host.snapshot())
    }
    host.end()
    got.push(...results(host))
    expect(got).toEqual(naive(rows, size))
  })

  it('give a result once, when instances whose watermarks differ become one', () => {
    const ahead = open('100ms', { index: ownerOfGroup(keyGroupOf('a'), 2), count: 2 })
    const behind = open('100ms', { index: 1 - ahead.instance.index, count: 2 })
    ahead.send([[10, 1, 'a']])
    ahead.watermark(50)
    behind.watermark(5)
    expect(results(ahead)).toEqual([[10, 1, 1, 1]])
    const one = ahead.restore([ahead.snapshot(), behind.snapshot()], { instance: { index: 0, count: 1 } })
    one.send([[60, 2, 'a']])
    one.end()
    expect(results(one)).toEqual([[60, 2, 3, 2]])
  })

  it('write what is new, whatever the window holds', () => {
    const host = open('1000000ms')
    host.send(span(0, 10_000))
    host.watermark(10_000)
    const held = host.snapshot().length
    host.send(span(10_000, 10_001))
    host.watermark(10_001)
    expect(host.snapshot().length - held).toBeLessThan(1000)
  })

  it('write nothing of rows that came and went within an epoch', () => {
    const host = open('10ms')
    for (let at = 0; at < 10_000; at += 20) {
      host.send(span(at, at + 20))
      host.watermark(at + 20)
    }
    expect(host.snapshot().length).toBeLessThan(5000)
  })
})
