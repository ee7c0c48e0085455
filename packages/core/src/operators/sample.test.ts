import { describe, expect, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createSample, sample } from './sample.ts'

describe('sample', () => {
  test('lets every nth record of a key through', async () => {
    await verifyOperator(createSample({ every: 2 }))
      .given(at(1, 'x', 'a'), at(2, 'y', 'b'), at(3, 'z', 'a'), watermark(3), at(4, 'u', 'a'), at(5, 'v', 'b'), end())
      .expect(
        [
          [3, 'z', 'a'],
          [5, 'v', 'b'],
        ],
        { metrics: { dropped: 3 } },
      )
  })

  test('lets a fraction through, the same one whatever the batches and the order', () => {
    const pick = (times: readonly number[], seed: number, isOneByOne = false): number[] => {
      const host = openOperator(createSample({ fraction: 0.25, seed }))
      if (isOneByOne) for (const time of times) host.send([[time, 'row']])
      else host.send(times.map((time) => [time, 'row'] as const))
      const chosen = host.take().map((out) => out.time)
      expect(chosen.length + host.metrics.dropped).toBe(times.length)
      return chosen
    }
    const times = Array.from({ length: 4_000 }, (_, i) => i)
    const chosen = pick(times, 1)
    expect(chosen.length).toBeGreaterThan(900)
    expect(chosen.length).toBeLessThan(1_100)
    expect(pick(times, 1, true)).toEqual(chosen)
    expect(pick(times.toReversed(), 1).toReversed()).toEqual(chosen)
    const others = new Set(pick(times, 2))
    expect(chosen.filter((time) => others.has(time)).length).toBeLessThan(350)
  })

  test('keeps records together that agree in what `by` returns', () => {
    const host = openOperator(createSample<number>({ fraction: 0.5, by: (row) => row % 50 }))
    host.send(Array.from({ length: 1_000 }, (_, i) => [i, i] as const))
    const chosen = new Set(host.take<number>().map((out) => out.row))
    for (let i = 0; i < 50; i++) expect(chosen.has(i)).toBe(chosen.has(i + 500))
    expect(chosen.size % 20).toBe(0)
  })

  test('lets the latest record of each interval through when the watermark passes its end', async () => {
    await verifyOperator(createSample({ latestPer: '10ms' }))
      .given(
        at(8, 'w', 'a'),
        at(8, 'x', 'a'),
        at(3, 'y', 'a'),
        at(4, 'z', 'b'),
        at(12, 'u', 'a'),
        watermark(10),
        at(9, 'late', 'a'),
        end(),
      )
      .expect(
        {
          out: [
            [9, 'x', 'a'],
            [9, 'z', 'b'],
            [19, 'u', 'a'],
          ],
          late: [[9, 'late', 'a']],
        },
        { metrics: { late: 1, dropped: 2 } },
      )
  })

  test('refuses rules that are none, several or out of their range', () => {
    const graph = new Graph('test')
    const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }))
    const make = (rule: object) => () => sample(graph, { name: 's', input, ...rule } as never)
    expect(make({})).toThrow(/given no rule/)
    expect(make({ every: 2, fraction: 0.1 })).toThrow(/every and fraction/)
    expect(make({ every: 0 })).toThrow(/every is 0/)
    expect(make({ fraction: 1.5 })).toThrow(/fraction is 1.5/)
    expect(make({ latestPer: '0ms' })).toThrow(/latestPer of step "s" is 0/)
  })
})
