import { expect, test } from 'vitest'
import type { Batch, RowBatch } from '../batch/batch.ts'
import type { Source, SourceBatch, SourceReader } from '../connector.ts'
import { Graph } from '../graph/node.ts'
import type { Receiver } from './receiver.ts'
import { SourceInput } from './source-input.ts'
import type { StepHost } from './step-host.ts'

const batchOf = (rows: readonly number[], next: number): SourceBatch<number> => {
  return { rows, next, caughtUp: rows.length === 0, at: (i) => i }
}

test('a batch that is ready right after an empty one does not wait for the next wake-up of the worker', async () => {
  const reads = [Promise.resolve(batchOf([], 0)), batchOf([7], 1), new Promise<never>(() => {})]
  const reader: SourceReader<number> = { read: () => reads.shift() ?? 'end', close() {} }
  const source: Source<number> = {
    kind: 'test',
    replayable: true,
    describe: () => ({}),
    partitions: () => ['0'],
    open: () => reader,
  }
  const options = { time: 'processing', disorderMs: 0, idleAfterMs: undefined, alignMs: 0, maxFutureMs: 0 } as const
  const node = new Graph('test').add({
    kind: 'source',
    name: 'numbers',
    inputs: [],
    spec: { type: 'source', source, options },
  })
  const got: unknown[] = []
  const next: Receiver = {
    batch: (batch: Batch) => got.push(...(batch as RowBatch).rows),
    watermark() {},
    idle() {},
  }
  let wakes = 0
  const host = {
    ports: { clock: { now: () => 0, monotonic: () => 0 } },
    counters: new Float64Array(100),
    wake: () => wakes++,
    wakeAt() {},
  } as unknown as StepHost
  const alignment = { publish() {}, slowest: () => Number.POSITIVE_INFINITY }
  const input = new SourceInput(node, host, next, next, alignment, () => {}, undefined, 1024)
  input.add('0', reader, undefined)

  expect(input.poll()).toBe(false)
  await Promise.resolve().then(() => {})
  expect(wakes).toBe(1)
  // The empty batch is taken, and the next read gives rows at once.
  expect(input.poll()).toBe(false)
  expect(wakes).toBe(2)
  expect(input.poll()).toBe(true)
  expect(got).toEqual([7])
})
