import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { edge, Graph, type GraphNode } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, input, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { toTable } from './table.ts'
import { type JoinTableOptions, joinTable } from './table-join.ts'

const isDeleted = (row: string): boolean => row === 'gone'
const graph = (): { graph: Graph; from: (name: string) => ReturnType<typeof edge> } => {
  const made = new Graph('test')
  const from = (name: string) => edge(made.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } }), 'key')
  return { graph: made, from }
}
function table(): GraphNode {
  const on = graph()
  return toTable(on.graph, { name: 't', input: on.from('in'), isDeleted })
}
function join(options: Partial<JoinTableOptions> = {}): GraphNode {
  const on = graph()
  return joinTable(on.graph, { name: 'j', stream: on.from('s'), table: on.from('t'), isDeleted, ...options })
}
const changes = input(1)

describe('toTable', () => {
  test('emits a new row, and before it takes the old one back, in event-time order', () => {
    const host = openOperator(table())
    host.send([
      [2_000, 'second', 'k'],
      [1_000, 'first', 'k'],
      [3_000, 'gone', 'k'],
    ])
    expect(host.take()).toEqual([])
    host.watermark(3_001)
    expect(host.take().map((e) => [e.time, e.weight, e.row])).toEqual([
      [1_000, 1, 'first'],
      [2_000, -1, 'first'],
      [2_000, 1, 'second'],
      [3_000, -1, 'second'],
    ])
  })

  test('of rows with one time the last to arrive wins', async () => {
    await verifyOperator(table(), { late: 'dropped' })
      .given(at(1_000, 'a', 'k'), at(1_000, 'b', 'k'), watermark(2_000), end())
      .expect([
        [1_000, 'a', 'k'],
        [1_000, 'a', 'k'],
        [1_000, 'b', 'k'],
      ])
  })

  test('deleting a key that has no value gives nothing', async () => {
    await verifyOperator(table())
      .given(at(1_000, 'gone', 'k'), end())
      .expect([], { metrics: { filtered: 1 } })
  })

  test('isDeleted that returns something else than a boolean fails with the step', () => {
    const on = graph()
    const node = toTable(on.graph, { name: 't', input: on.from('in'), isDeleted: (() => undefined) as never })
    expect(() => openOperator(node).send([[1_000, 'a', 'k']])).toThrow(/isDeleted returned undefined/)
  })
})

describe('joinTable', () => {
  test('a row meets the value as of its own time, changes at the same time included', async () => {
    await verifyOperator(join(), { late: 'dropped' })
      .given(
        changes.at(1_000, 'v1', 'k'),
        changes.at(3_000, 'v3', 'k'),
        at(3_000, 'c', 'k'),
        at(2_999, 'b', 'k'),
        at(999, 'a', 'k'),
        watermark(5_000),
        end(),
      )
      .expect({
        out: [
          [2_999, { key: 'k', left: 'b', right: 'v1' }, 'k'],
          [3_000, { key: 'k', left: 'c', right: 'v3' }, 'k'],
        ],
        unmatched: [[999, 'a', 'k']],
      })
  })

  test('a deleted value is missing, and a left join says so', async () => {
    await verifyOperator(join({ type: 'left' }))
      .given(changes.at(1_000, 'v1', 'k'), changes.at(2_000, 'gone', 'k'), at(2_500, 'l', 'k'), end())
      .expect([[2_500, { key: 'k', left: 'l', right: undefined }, 'k']])
  })

  test('takes the changes that toTable gives: a retraction and the new value at one time leave the new value', () => {
    const host = openOperator(join({ type: 'left' }))
    const send = (rows: string[], times: number[], weights: number[]): void =>
      host.sendBatch(
        new RowBatch(
          rows,
          times,
          rows.map(() => 'k'),
          Int8Array.from(weights),
        ),
        1,
      )
    send(['v1', 'v1', 'v2', 'v2'], [1_000, 2_000, 2_000, 3_000], [1, -1, 1, -1])
    host.send([
      [1_500, 'a', 'k'],
      [2_500, 'b', 'k'],
      [3_500, 'c', 'k'],
    ])
    host.end()
    expect(host.take<{ right: unknown }>().map((e) => e.row.right)).toEqual(['v1', 'v2', undefined])
  })

  test('with now it answers at once from what has arrived, and the step is timed', () => {
    const node = join({ now: true })
    expect(node.determinism).toBe('timed')
    const host = openOperator(node)
    host.send([[1_000, 'too early', 'k']])
    host.send([[5_000, 'newest', 'k']], 1)
    host.send([[4_000, 'older', 'k']], 1)
    host.send([[1_000, 'l', 'k']])
    expect(host.take().map((e) => e.row)).toEqual([{ key: 'k', left: 'l', right: 'newest' }])
    expect(host.take('unmatched').map((e) => e.row)).toEqual(['too early'])
  })
})
