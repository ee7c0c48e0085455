import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { oracleCases } from '../testing/cases.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createThrottle, throttle } from './throttle.ts'

describe('throttle', () => {
  test('lets n records through in any span, per key', async () => {
    await verifyOperator(createThrottle({ limit: 1, per: '10ms' }))
      .given(at(0, 'x', 'a'), at(5, 'y', 'b'), at(9, 'z', 'a'), watermark(9), at(10, 'u', 'a'), at(14, 'v', 'b'), end())
      .expect(
        [
          [0, 'x', 'a'],
          [5, 'y', 'b'],
          [10, 'u', 'a'],
        ],
        { metrics: { dropped: 2 } },
      )
  })

  test('counts spans around a record that comes in disorder', () => {
    const host = openOperator(createThrottle({ limit: 2, per: '10ms' }))
    host.send([
      [20, 'a'],
      [12, 'b'],
      [16, 'c'],
      [8, 'd'],
      [9, 'e'],
      [30, 'f'],
    ])
    expect(host.take().map((out) => out.row)).toEqual(['a', 'b', 'd', 'f'])
    expect(host.metrics.droppedBy).toEqual({ throttled: 2 })
  })

  test('goes by the clock where that is asked, and is then timed', () => {
    const graph = new Graph('test')
    const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }))
    const node = throttle(graph, { name: 'slow', input, limit: 1, per: '1s', time: 'processing' })
    expect(node.determinism).toBe('timed')
    const host = openOperator(node)
    for (const row of ['a', 'b', 'c']) {
      host.send([[1, row]])
      host.advance(500)
    }
    expect(host.take().map((out) => out.row)).toEqual(['a', 'c'])
  })

  test('refuses a limit out of its range', () => {
    const graph = new Graph('test')
    const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }))
    expect(() => throttle(graph, { name: 'slow', input, limit: 0, per: '1s' })).toThrow(/limit is 0/)
  })
})

test('any records in time for the watermark pass as the search through all that passed says', () => {
  const step = fc.record({
    time: fc.integer({ min: 0, max: 14 }),
    key: fc.constantFrom('a', 'b'),
    next: fc.constantFrom('go on', 'go on', 'watermark', 'restart'),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 40 }), (limit, steps) => {
      let host = openOperator(createThrottle({ limit, per: '10ms' }))
      const passed: Record<string, number[]> = { a: [], b: [] }
      let mark = 0
      for (const { time: offset, key, next } of steps) {
        const time = mark + offset
        host.send([[time, 'row', key]])
        // The fullest span of 10 ms with this record in it begins at one of the records.
        const times = [...passed[key], time]
        const spans = times.map((start) => times.filter((t) => t >= start && t < start + 10))
        const mayPass = spans.every((span) => !span.includes(time) || span.length <= limit)
        if (mayPass) passed[key].push(time)
        expect(host.take().length).toBe(mayPass ? 1 : 0)
        if (next === 'restart') host = host.restore(host.snapshot())
        if (next !== 'watermark') continue
        mark += offset / 2
        host.watermark(mark)
      }
    }),
    { numRuns: oracleCases(400) },
  )
})
