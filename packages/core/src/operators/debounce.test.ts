import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { oracleCases } from '../testing/cases.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createDebounce, debounce } from './debounce.ts'

describe('debounce in event time', () => {
  test('emits the last record of a key once it was quiet for the gap', async () => {
    await verifyOperator(createDebounce({ gap: '10ms' }))
      .given(
        at(0, 'x', 'a'),
        at(5, 'y', 'a'),
        at(3, 'z', 'b'),
        watermark(13),
        at(15, 'u', 'a'),
        at(20, 'v', 'a'),
        end(),
      )
      .expect(
        [
          [13, 'z', 'b'],
          [15, 'y', 'a'],
          [30, 'v', 'a'],
        ],
        { metrics: { filtered: 2 } },
      )
  })

  test('joins what disorder kept apart', () => {
    const host = openOperator(createDebounce({ gap: '10ms' }))
    host.send([
      [0, 'x'],
      [18, 'z'],
      [9, 'y'],
    ])
    expect(host.held).toBe(1)
    host.end()
    expect(host.take().map((out) => [out.row, out.time])).toEqual([['z', 28]])
  })

  test('gives records that come after the quiet was decided to `late`', async () => {
    await verifyOperator(createDebounce({ gap: '10ms' }))
      .given(at(0, 'x', 'a'), watermark(20), at(9, 'late', 'a'), at(11, 'in time', 'a'), end())
      .expect(
        {
          out: [
            [10, 'x', 'a'],
            [21, 'in time', 'a'],
          ],
          late: [[9, 'late', 'a']],
        },
        { metrics: { late: 1 } },
      )
  })
})

test('debounce by the clock emits the last to arrive, also over a restart, and at the end of input', () => {
  const graph = new Graph('test')
  const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }), 'key')
  const node = debounce(graph, { name: 'settled', input, gap: '1s', time: 'processing' })
  expect(node.determinism).toBe('timed')
  const host = openOperator(node)
  host.send([
    [5, 'x', 'a'],
    [9, 'u', 'b'],
  ])
  host.advance(600)
  host.send([[4, 'y', 'a']])
  host.advance(500)
  expect(host.take().map((out) => out.row)).toEqual(['u'])
  const restored = host.restore(host.snapshot())
  restored.watermark(50)
  restored.advance(500)
  expect(restored.take()).toEqual([{ row: 'y', time: 50, key: 'a', weight: 1 }])
  restored.send([[60, 'z', 'a']])
  restored.end()
  expect([restored.take().map((out) => out.row), restored.held]).toEqual([['z'], 0])
})

test('any records in time, in any order and with restarts, give the last of each quiet stretch of the sorted list', () => {
  const record = fc.record({
    time: fc.integer({ min: 0, max: 120 }),
    key: fc.constantFrom('a', 'b'),
    isRestart: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(record, { maxLength: 30 }), fc.integer({ min: 0, max: 60 }), (records, disorder) => {
      let host = openOperator(createDebounce({ gap: '10ms' }))
      const got: string[] = []
      const collect = () =>
        got.push(...host.take().map(({ row, time, key }) => `${String(key)} ${String(row)} ${time}`))
      let mark = Number.NEGATIVE_INFINITY
      const sent: { time: number; key: string; row: number }[] = []
      for (const [row, { time, key, isRestart }] of records.entries()) {
        if (time < mark) continue
        host.send([[time, row, key]])
        sent.push({ time, key, row })
        mark = Math.max(mark, time - disorder)
        host.watermark(mark)
        collect()
        if (isRestart) host = host.restore(host.snapshot())
      }
      host.end()
      collect()
      const wanted = ['a', 'b'].flatMap((key) => {
        const sorted = sent.filter((one) => one.key === key).sort((x, y) => x.time - y.time || x.row - y.row)
        const last = sorted.filter((one, i) => sorted[i + 1] === undefined || sorted[i + 1].time >= one.time + 10)
        return last.map((one) => `${key} ${one.row} ${one.time + 10}`)
      })
      expect(got.sort()).toEqual(wanted.sort())
      expect(host.emittedLate + host.metrics.late + host.held).toBe(0)
    }),
    { numRuns: oracleCases(200) },
  )
})
