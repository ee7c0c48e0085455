import { describe, expect, test } from 'vitest'
import { edge, Graph, type GraphNode, type Partitioning } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, input, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { type BroadcastFunctions, broadcast } from './broadcast.ts'

type Rates = Record<string, number>
const functions: BroadcastFunctions<number, [string, number], Rates, number> = {
  initial: () => ({ eur: 1 }),
  update: (rates, [name, rate]) => ({ ...rates, [name]: rate }),
  join: (amount, rates) => amount * rates.eur,
}
function convert(partitioning: Partitioning, how: Partial<typeof functions> = {}): GraphNode {
  const graph = new Graph('test')
  const from = (name: string, to: Partitioning) =>
    edge(graph.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } }), to)
  return broadcast(graph, {
    name: 'b',
    main: from('main', partitioning),
    small: from('small', 'broadcast'),
    functions: { ...functions, ...how },
  })
}
const rates = input(1)

describe('broadcast', () => {
  test('a row meets the state as of its event time, whatever arrives first', async () => {
    await verifyOperator(convert('forward'), { late: 'dropped' })
      .given(
        rates.at(3_000, ['eur', 3]),
        at(2_500, 10),
        at(500, 10),
        rates.at(1_000, ['eur', 2]),
        at(3_000, 10),
        watermark(5_000),
        end(),
      )
      .expect([
        [500, 10],
        [2_500, 20],
        [3_000, 30],
      ])
  })

  test('a row waits for the small rows that may still come at its own time', () => {
    const host = openOperator(convert('forward'))
    host.send([[1_000, 10]])
    host.watermark(1_000)
    host.send([[1_000, ['eur', 4]]], 1)
    host.watermark(1_001)
    expect(host.take().map((e) => e.row)).toEqual([40])
  })

  test('a keyed main stream stays keyed', () => {
    const host = openOperator(convert('key'))
    host.send([[1_000, 7, 'k']])
    host.end()
    expect(host.take()).toEqual([{ row: 7, time: 1_000, key: 'k', weight: 1 }])
  })

  test('every instance finds the state after a change of their number', () => {
    const one = openOperator(convert('key'))
    one.send([[1_000, ['eur', 5]]], 1)
    one.send([[4_000, ['eur', 9]]], 1)
    one.watermark(3_000)
    const saved = one.snapshot()
    for (const index of [0, 1, 2]) {
      const host = one.restore(saved, { instance: { index, count: 3 } })
      host.send([[3_500, 1, 'k']])
      host.send([[4_500, 1, 'k']])
      host.end()
      expect(host.take().map((e) => e.row)).toEqual([5, 9])
    }
  })

  test('a join function that returns nothing fails', () => {
    const host = openOperator(convert('forward', { join: (() => undefined) as never }))
    host.send([[1_000, 7]])
    expect(() => host.end()).toThrow(/join returned undefined/)
  })
})
