/** Rows that are taken back, where the plan could not foresee them. */
import { expect, test } from 'vitest'
import { type Batch, RowBatch } from '../../src/batch/batch.ts'
import type { Sink, Source } from '../../src/connector.ts'
import { dataflow } from '../../src/index.ts'
import { type Row, Virtual } from './kit.ts'

/** One batch of three rows, the second of which takes the first back. */
const changing: Source<Row> = {
  kind: 'changing',
  bounded: true,
  replayable: true,
  describe: () => ({}),
  partitions: () => ['p'],
  open: (_partition, position) => {
    let isGiven = position !== undefined
    return {
      read() {
        if (isGiven) return 'end'
        isGiven = true
        const rows = [1, 1, 2].map((n): Row => ({ key: 'k', at: n, n }))
        return {
          rows: new RowBatch(rows, [1, 1, 2], undefined, Int8Array.of(1, -1, 1)),
          next: 3,
          caughtUp: true,
          at: String,
        }
      },
      close() {},
    }
  },
}

function writing(takesChanges: boolean | undefined, seen: number[]): Sink<Row> {
  return {
    kind: 'plain',
    guarantee: 'at-least-once',
    ...(takesChanges === undefined ? {} : { takesChanges }),
    describe: () => ({}),
    open: () => ({
      write(batch: Batch<Row>) {
        for (let i = 0; i < batch.length; i++) seen.push((batch.weights?.[i] ?? 1) * batch.row(i).n)
      },
      close() {},
    }),
  }
}

function run(takesChanges: boolean | undefined, seen: number[]) {
  const flow = dataflow('changing')
  flow
    .source('rows', changing, { time: (r) => r.at, disorder: '0s' })
    .map((r) => r)
    .sink('out', writing(takesChanges, seen))
  return new Virtual(undefined, 1_000).start(flow).end()
}

test.each([undefined, false])('stop the flow before a sink gets them that does not take them (%s)', async (takes) => {
  const seen: number[] = []
  await expect(run(takes, seen)).rejects.toMatchObject({
    code: 'SINK_CHANGES',
    step: 'out',
    message: expect.stringContaining('a row is taken back at event time 1 (weight -1), and sink "out" (plain)'),
  })
  expect(seen).toEqual([])
})

test('reach a sink that takes them', async () => {
  const seen: number[] = []
  await run(true, seen)
  expect(seen).toEqual([1, -1, 2])
})
