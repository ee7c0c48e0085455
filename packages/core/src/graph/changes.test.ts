import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { markedRow } from '../batch/changes.ts'
import type { Sink } from '../connector.ts'
import { dataflow } from '../dataflow.ts'
import type { Stream } from '../stream.ts'
import { arraySink } from '../testing/array-sink.ts'
import { arraySource } from '../testing/array-source.ts'
import { testFlow } from '../testing/test-flow.ts'
import { count } from '../window/aggregates.ts'
import { tumbling } from '../window/windows.ts'
import { addDeadLetterSinks } from './dead-letters.ts'
import { dlq } from './error-policy.ts'
import { plan } from './plan.ts'

interface Row {
  readonly id: number
  readonly at: number
}

/** A sink that cannot mark rows. */
function plain(): Sink<unknown> {
  return { ...arraySink<unknown>([]), kind: 'plain', takesChanges: false }
}

function described(build: (rows: Stream<Row>) => Stream<unknown>, sink = plain()) {
  const flow = dataflow('ranks')
  const rows = flow.source('in', arraySource<Row>([]), { time: (r) => r.at, disorder: '0s' })
  build(rows).sink('out', sink)
  return flow
}

const top = (rows: Stream<Row>) => rows.topN('top', { n: 1, by: (r) => r.id })
const latest = (rows: Stream<Row>) => rows.keyBy((r) => r.id).toTable('latest')

describe('the plan refuses changes at a sink that does not take them', () => {
  const carried: Record<string, (rows: Stream<Row>) => Stream<unknown>> = {
    topN: top,
    toTable: latest,
    'behind map, filter and keyBy': (rows) =>
      top(rows)
        .map((r) => r.row)
        .filter((r) => r.id > 0)
        .keyBy((r) => r.id),
    'behind a union': (rows) => rows.map((row) => ({ rank: 0, row })).union(top(rows)),
    'behind a branch': (rows) => top(rows).branch({ first: (r) => r.rank === 1 }).first,
    'behind a throttle': (rows) => top(rows).throttle('calm', { limit: 5, per: '1s' }),
  }
  for (const [what, build] of Object.entries(carried)) {
    test(what, () => {
      const step = what === 'toTable' ? /step "latest" \(toTable\)/ : /step "top" \(topN\)/
      expect(() => plan(described(build).graph)).toThrow(step)
      expect(() => plan(described(build).graph)).toThrow(/sink "out" \(plain\).*"\$weight": -1 in JSON/)
      expect(() => plan(described(build, arraySink<unknown>([])).graph)).not.toThrow()
    })
  }
})

describe('the plan lets through what is no change', () => {
  const ended: Record<string, (rows: Stream<Row>) => Stream<unknown>> = {
    'windows over changes': (rows) => top(rows).windowAll(tumbling('1s')).aggregate('n', { n: count() }),
    'a process step over changes': (rows) => top(rows).process('own', () => ({ onRecord: (r, ctx) => ctx.emit(r) })),
    'a join with a table': (rows) =>
      rows.keyBy((r) => r.id).joinTable('joined', rows.keyBy((r) => r.id).toTable('latest')),
  }
  for (const [what, build] of Object.entries(ended)) {
    test(what, () => expect(() => plan(described(build).graph)).not.toThrow())
  }

  test('dead letters of a step that takes rows back, and of one behind it', () => {
    const onError = dlq(plain())
    const ranked = (rows: Stream<Row>) =>
      rows.topN('top', { n: 1, by: (r) => r.id, onError }).map((r) => r, { onError })
    const { graph } = described(ranked, arraySink<unknown>([]))
    addDeadLetterSinks(graph)
    expect(graph.nodes.filter((node) => node.spec.type === 'sink')).toHaveLength(2)
    expect(() => plan(graph)).not.toThrow()
  })
})

test('a test flow marks changes as the sinks do, and refuses where its sink does', async () => {
  const flow = described(top, arraySink<unknown>([]))
  const run = testFlow(flow)
  await run.send('in', [
    { id: 1, at: 1 },
    { id: 2, at: 2 },
  ])
  await run.end()
  expect(run.output('out')).toEqual([
    { rank: 1, row: { id: 1, at: 1 } },
    { rank: 1, row: { id: 1, at: 1 }, $weight: -1 },
    { rank: 1, row: { id: 2, at: 2 } },
  ])
  await expect(testFlow(described(top)).end()).rejects.toMatchObject({ code: 'SINK_CHANGES', step: 'out' })
})

describe('a row that is taken back', () => {
  const marked = (row: unknown) => markedRow(new RowBatch([row], [7], undefined, Int8Array.of(-1)), 0)

  test('gets its mark on a copy', () => {
    const row = { a: 1 }
    expect(marked(row)).toEqual({ a: 1, $weight: -1 })
    expect(row).toEqual({ a: 1 })
  })

  test.each([
    [3, 'it is a number'],
    [null, 'it is null'],
    [[1], 'it is an array'],
    [new Map(), 'it is a Map'],
    [new Date(0), 'it has a toJSON of its own'],
    [{ $weight: 1 }, 'it has one already'],
  ])('has no room for a mark in %o', (row, why) => {
    expect(() => marked(row)).toThrow(why)
  })

  test('has no need of a mark when it is not', () => {
    expect(markedRow(new RowBatch([3], [7], undefined, Int8Array.of(1)), 0)).toBe(3)
  })
})
