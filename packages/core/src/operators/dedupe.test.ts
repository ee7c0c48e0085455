import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { edge, Graph } from '../graph/node.ts'
import type { Table } from '../state/table.ts'
import { oracleCases } from '../testing/cases.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createDedupe, dedupe } from './dedupe.ts'

interface Row {
  readonly id: number
}

const make = createDedupe<Row>({ by: (row) => row.id, within: '10ms' }, { isKeyed: true })
const one = { id: 1 }
const two = { id: 2 }

describe('dedupe', () => {
  test('drops a record whose id passed less than `within` before or after it', async () => {
    await verifyOperator(make)
      .given(
        at(10, one, 'a'),
        at(19, one, 'a'),
        at(20, one, 'a'),
        at(1, one, 'a'),
        at(0, one, 'a'),
        watermark(5),
        end(),
      )
      .expect(
        [
          [10, one, 'a'],
          [20, one, 'a'],
          [0, one, 'a'],
        ],
        { metrics: { deduplicated: 2 } },
      )
  })

  test('compares ids within a key', async () => {
    await verifyOperator(make)
      .given(at(1, one, 'a'), at(2, one, 'b'), at(3, two, 'a'), at(4, one, 'b'), end())
      .expect(
        [
          [1, one, 'a'],
          [2, one, 'b'],
          [3, two, 'a'],
        ],
        { metrics: { deduplicated: 1 } },
      )
  })

  test('counts a duplicate from the record that passed, not from those dropped', () => {
    const host = openOperator(make)
    host.send([
      [0, one, 'a'],
      [6, one, 'a'],
      [12, one, 'a'],
    ])
    expect(host.take().map((out) => out.time)).toEqual([0, 12])
  })

  test('judges records up to `within` behind the watermark, and gives older ones to `late`', async () => {
    await verifyOperator(make)
      .given(at(85, one, 'a'), watermark(100), at(91, one, 'a'), at(91, two, 'a'), at(90, two, 'a'), end())
      .expect(
        {
          out: [
            [85, one, 'a'],
            [91, two, 'a'],
          ],
          late: [[90, two, 'a']],
        },
        { metrics: { late: 1, deduplicated: 1 } },
      )
  })

  test('forgets ids that cannot repeat any more', () => {
    let seen: Table<unknown> | undefined
    const host = openOperator((ctx) => {
      const operator = make(ctx)
      seen = ctx.state.table('seen', { ttlMs: 20 })
      return operator
    })
    host.send(Array.from({ length: 1_000 }, (_, i) => [i, { id: i }, 'a'] as const))
    host.watermark(500)
    expect(seen?.size).toBeGreaterThanOrEqual(519)
    expect(seen?.size).toBeLessThan(525)
    host.watermark(2_000)
    expect(seen?.size).toBe(0)
  })

  test('gives a record whose id cannot be read to the error policy', () => {
    const host = openOperator(createDedupe<Row>({ by: (row) => row.id, within: '10ms' }, { isKeyed: true }), {
      onError: 'skip',
    })
    host.send([
      [1, {}, 'a'],
      [2, one, 'a'],
    ])
    expect(host.take()).toHaveLength(1)
    expect(String(host.errors[0].error)).toMatch(/`by` returned undefined; it must return a string/)
  })

  test('spreads an un-keyed stream by id, and leaves it un-keyed', () => {
    const graph = new Graph('test')
    const from = graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } })
    const node = dedupe<Row>(graph, { name: 'once', input: edge(from), by: (row) => row.id, within: '10ms' })
    expect([node.inputs[0].partitioning, node.inputs[0].from.kind]).toEqual(['key', 'keyBy'])
    const host = openOperator(node)
    host.sendBatch(new RowBatch([one, two, one], [1, 2, 3], [1, 2, 1]))
    expect(host.take()).toEqual([
      { row: one, time: 1, key: undefined, weight: 1 },
      { row: two, time: 2, key: undefined, weight: 1 },
    ])
  })
})

test('any records, batches, watermarks and restarts give what comparing with every record that passed gives', () => {
  const step = fc.record({
    time: fc.integer({ min: 0, max: 60 }),
    id: fc.integer({ min: 1, max: 2 }),
    key: fc.constantFrom('a', 'b'),
    next: fc.constantFrom('go on', 'go on', 'send', 'watermark', 'restart'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let host = openOperator(make)
      const got: string[] = []
      const wanted: string[] = []
      const passed: { time: number; id: number; key: string }[] = []
      let late = 0
      let mark = Number.NEGATIVE_INFINITY
      let batch: [number, Row, string][] = []
      const flush = (): void => {
        host.send(batch)
        batch = []
        got.push(...host.take<Row>().map(({ row, time, key }) => `${String(key)} ${row.id} ${time}`))
      }
      for (const { time, id, key, next } of steps) {
        batch.push([time, { id }, key])
        if (time <= mark - 10) late++
        else if (!passed.some((p) => p.id === id && p.key === key && Math.abs(p.time - time) < 10)) {
          passed.push({ time, id, key })
          wanted.push(`${key} ${id} ${time}`)
        }
        if (next === 'go on') continue
        flush()
        if (next === 'restart') host = host.restore(host.snapshot())
        if (next !== 'watermark') continue
        mark = Math.max(mark, time)
        host.watermark(mark)
      }
      flush()
      expect(got).toEqual(wanted)
      expect(host.take('late').length).toBeLessThanOrEqual(late)
    }),
    { numRuns: oracleCases(200) },
  )
})
