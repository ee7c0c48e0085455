import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { edge, Graph } from '../graph/node.ts'
import { oracleCases } from '../testing/cases.ts'
import { type OperatorHost, openOperator } from '../testing/operator-host.ts'
import { at, end, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createTopN, type Ranked, topN } from './top-n.ts'

interface Bid {
  readonly price: number
  readonly by: string
}

const bid = (price: number, by = '') => ({ price, by })
const make = createTopN<Bid>({ n: 2, by: (row) => row.price })
const changes = (host: OperatorHost) =>
  host
    .take<Ranked<Bid>>()
    .map(({ row, weight }) => `${weight > 0 ? '+' : '-'}${row.rank} ${row.row.price}${row.row.by}`)

describe('topN', () => {
  test('emits each change of a rank as a retraction and an insertion', () => {
    const host = openOperator(make)
    host.send([[1, bid(5), 'k']])
    expect(changes(host)).toEqual(['+1 5'])
    host.send([[2, bid(3), 'k']])
    expect(changes(host)).toEqual(['+2 3'])
    host.send([[3, bid(9), 'k']])
    expect(changes(host)).toEqual(['-1 5', '+1 9', '-2 3', '+2 5'])
    host.send([[4, bid(1), 'k']])
    expect(changes(host)).toEqual([])
    expect(host.metrics.merged).toBe(4)
  })

  test('ranks what came first first among equals', () => {
    const host = openOperator(make)
    host.send([
      [1, bid(5, 'x'), 'k'],
      [2, bid(5, 'y'), 'k'],
      [3, bid(5, 'z'), 'k'],
    ])
    expect(changes(host)).toEqual(['+1 5x', '+2 5y'])
  })

  test('ranks the smallest first where that is asked', () => {
    const host = openOperator(createTopN<Bid>({ n: 1, by: (row) => row.price, order: 'asc' }))
    host.send([
      [1, bid(5), 'k'],
      [2, bid(3), 'k'],
    ])
    expect(changes(host)).toEqual(['+1 5', '-1 5', '+1 3'])
  })

  test('passes the checks that every operator passes', async () => {
    await verifyOperator(createTopN<Bid>({ n: 1, by: (row) => row.price }))
      .given(at(1, bid(5), 'a'), at(1, bid(4), 'b'), watermark(1), at(2, bid(4), 'a'), end())
      .expect([
        [1, { rank: 1, row: bid(5) }, 'a'],
        [1, { rank: 1, row: bid(4) }, 'b'],
      ])
  })

  test('ranks the whole of an un-keyed stream, on one instance', () => {
    const graph = new Graph('test')
    const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }))
    const node = topN<Bid>(graph, { name: 'best', input, n: 1, by: (row) => row.price })
    expect(node.inputs[0].partitioning).toBe('single')
    const host = openOperator(node)
    host.send([[1, bid(5)]])
    expect(host.take()).toEqual([{ row: { rank: 1, row: bid(5) }, time: 1, key: undefined, weight: 1 }])
    // Keys that a step before left in the batch are not those of the stream.
    host.sendBatch(new RowBatch([bid(4)], [2], ['k']))
    expect(host.take()).toEqual([])
    expect(() => topN<Bid>(graph, { name: 'none', input, n: 0, by: (row) => row.price })).toThrow(/n is 0/)
  })

  test('gives what it cannot rank to the error policy: no number, or a retraction', () => {
    const host = openOperator(make, { onError: 'skip' })
    host.send([[1, { price: Number.NaN }, 'k']])
    host.sendBatch(new RowBatch([bid(1)], [2], ['k'], Int8Array.of(-1)))
    expect(host.errors.map((e) => (e.error as { code?: string }).code)).toEqual(['CALLBACK_RETURN', 'RETRACTION'])
    expect(host.take()).toEqual([])
  })
})

test('the sum of the changes is the ranking that sorting everything gives, after any record and restart', () => {
  const step = fc.record({
    price: fc.integer({ min: 0, max: 6 }),
    key: fc.constantFrom('a', 'b'),
    isRestart: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.constantFrom('asc', 'desc'), fc.array(step), (n, order, steps) => {
      let host = openOperator(createTopN<Bid>({ n, by: (row) => row.price, order }))
      const sums = new Map<string, number>()
      const all: { key: string; row: Bid; arrival: number }[] = []
      for (const [arrival, { price, key, isRestart }] of steps.entries()) {
        const row = bid(price, `#${arrival}`)
        all.push({ key, row, arrival })
        host.send([[arrival, row, key]])
        for (const change of host.take<Ranked<Bid>>()) {
          const name = `${String(change.key)} ${change.row.rank} ${change.row.row.by}`
          const sum = (sums.get(name) ?? 0) + change.weight
          expect(sum === 0 || sum === 1).toBe(true)
          if (sum === 0) sums.delete(name)
          else sums.set(name, sum)
        }
        const wanted = ['a', 'b'].flatMap((k) =>
          all
            .filter((other) => other.key === k)
            .sort((x, y) => (order === 'asc' ? 1 : -1) * (x.row.price - y.row.price) || x.arrival - y.arrival)
            .slice(0, n)
            .map((other, i) => `${k} ${i + 1} ${other.row.by}`),
        )
        expect([...sums.keys()].sort()).toEqual(wanted.sort())
        if (isRestart) host = host.restore(host.snapshot())
      }
    }),
    { numRuns: oracleCases(100) },
  )
})
