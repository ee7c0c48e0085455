import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { edge, Graph, type GraphNode } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, input, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import type { Duration } from '../time/duration.ts'
import { type IntervalJoinOptions, intervalJoin } from './join-interval.ts'
import type { JoinType } from './join-types.ts'

function join(options: Partial<IntervalJoinOptions> = {}): GraphNode {
  const graph = new Graph('test')
  const from = (name: string) => edge(graph.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } }), 'key')
  return intervalJoin(graph, { name: 'j', left: from('l'), right: from('r'), within: ['5s', '2s'], ...options })
}
const right = input(1)
const kept = { inputOrder: 'kept' } as const

describe('intervalJoin', () => {
  test('pairs rows of one key whose times lie within the bounds, bounds included', async () => {
    //  right  4.999 5 ........ 10 ... 12 12.001
    //  left                    10
    await verifyOperator(join(), { ...kept, late: 'dropped' })
      .given(right.at(4_999, 'too early', 'k'), right.at(5_000, 'r5', 'k'), right.at(9_000, 'other key', 'x'))
      .expect([])
    await verifyOperator(join(), { ...kept, late: 'dropped' })
      .given(
        right.at(4_999, 'too early', 'k'),
        right.at(5_000, 'r5', 'k'),
        right.at(9_000, 'other key', 'x'),
        at(10_000, 'l10', 'k'),
        right.at(12_000, 'r12', 'k'),
        right.at(12_001, 'too late', 'k'),
        watermark(20_000),
        end(),
      )
      .expect([
        [10_000, { key: 'k', left: 'l10', right: 'r5' }, 'k'],
        [12_000, { key: 'k', left: 'l10', right: 'r12' }, 'k'],
      ])
  })

  test('the bounds are included whichever row comes last', async () => {
    for (const last of ['left', 'right']) {
      const rows = [right.at(5_000, 'r5', 'k'), right.at(12_000, 'r12', 'k')]
      const left = at(10_000, 'l10', 'k')
      await verifyOperator(join(), kept)
        .given(...(last === 'left' ? [...rows, left] : [left, ...rows]), end())
        .expect([
          [10_000, { key: 'k', left: 'l10', right: 'r5' }, 'k'],
          [12_000, { key: 'k', left: 'l10', right: 'r12' }, 'k'],
        ])
    }
  })

  test('a left join gives a left row without a partner once none can come', async () => {
    await verifyOperator(join({ type: 'left' }), kept)
      .given(at(1_000, 'lonely', 'k'), at(2_000, 'paired', 'k'), right.at(4_000, 'r4', 'k'), watermark(60_000), end())
      .expect(
        [
          [4_000, { key: 'k', left: 'paired', right: 'r4' }, 'k'],
          [1_000, { key: 'k', left: 'lonely', right: undefined }, 'k'],
        ],
        { metrics: { late: 0, merged: 3 } },
      )
  })

  test('an outer join gives lonely rows of both sides', async () => {
    await verifyOperator(join({ type: 'outer' }), kept)
      .given(at(100_000, 'l', 'k'), right.at(1_000, 'r', 'k'), end())
      .expect(
        [
          [1_000, { key: 'k', left: undefined, right: 'r' }, 'k'],
          [100_000, { key: 'k', left: 'l', right: undefined }, 'k'],
        ],
        { order: 'any' },
      )
  })

  test('the watermark does not pass a row that may still come out alone', () => {
    const host = openOperator(join({ type: 'left' }))
    host.send([[10_000, 'l', 'k']])
    host.watermark(11_000)
    expect(host.watermarkOut).toBeLessThanOrEqual(10_000)
    host.watermark(15_000)
    expect(host.take()).toEqual([{ row: { key: 'k', left: 'l', right: undefined }, time: 10_000, key: 'k', weight: 1 }])
    expect(host.emittedLate).toBe(0)
  })

  test('an inner join holds nothing back', () => {
    const host = openOperator(join())
    host.watermark(11_000)
    expect(host.watermarkOut).toBe(11_000)
  })

  test('state is dropped when the watermark has passed everything that could pair', () => {
    const host = openOperator(join())
    host.send([[10_000, 'l', 'k']])
    host.send([[10_000, 'r', 'k']], 1)
    expect(host.held).toBe(2)
    host.watermark(20_000)
    expect(host.held).toBe(0)
    expect(host.metrics.merged).toBe(2)
  })

  test('a row behind the watermark of its input is counted late and not joined, whatever the other input', () => {
    const host = openOperator(join())
    host.send([[10_000, 'l', 'k']])
    host.watermark(11_000, 1)
    host.send([[10_500, 'late', 'k']], 1)
    host.send([[11_000, 'on time', 'k']], 1)
    expect(host.take().map((e) => e.row)).toEqual([{ key: 'k', left: 'l', right: 'on time' }])
    expect(host.take('late').map((e) => e.row)).toEqual(['late'])
    expect(host.metrics.late).toBe(1)
  })

  test('an inner join of changes gives changes: weights are multiplied', () => {
    const host = openOperator(join(), { views: false })
    const batch = (row: string, weight: number) => ({ row, weight })
    for (const { row, weight } of [batch('l', 1), batch('l', -1)]) host.sendBatch(weighted(row, weight), 0)
    host.sendBatch(weighted('r', 1), 1)
    host.sendBatch(weighted('r', -1), 1)
    expect(host.take().map((e) => e.weight)).toEqual([1, -1, -1, 1])
  })

  test('a left join refuses a retraction and names the step', () => {
    const host = openOperator(join({ type: 'left' }))
    expect(() => host.sendBatch(weighted('l', -1), 0)).toThrow(/step "j" received a retraction/)
  })

  test('a malformed bound and an unknown type are refused while the flow is built', () => {
    expect(() => join({ within: ['5 s' as Duration, '2s'] })).toThrow(/"within" before, of join "j"/)
    expect(() => join({ type: 'full' as JoinType })).toThrow(/'inner', 'left' or 'outer'/)
  })
})

function weighted(row: string, weight: number): RowBatch {
  return new RowBatch([row], [1_000], ['k'], Int8Array.of(weight))
}
