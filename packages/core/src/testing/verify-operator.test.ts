import { expect, test } from 'vitest'
import type { Batch } from '../batch/batch.ts'
import type { OperatorContext } from '../graph/operator.ts'
import { advance, at, end, input, settle, watermark } from './timeline.ts'
import { verifyOperator } from './verify-operator.ts'

/** Counts rows per key and emits the counts at each watermark. */
const counter = (mistake?: 'forgets' | 'per batch' | 'emits late') => (ctx: OperatorContext) => {
  const saved = ctx.state.table<number>('counts')
  const inMemory = new Map<unknown, number>()
  return {
    process(batch: Batch) {
      for (let i = 0; i < batch.length; i++) {
        const key = batch.keys![i]
        if (batch.times[i] < ctx.currentWatermark()) {
          ctx.metrics.late(1)
          continue
        }
        if (mistake === 'forgets') inMemory.set(key, (inMemory.get(key) ?? 0) + 1)
        else saved.set(key, (saved.get(key) ?? 0) + 1)
        if (mistake === 'per batch') ctx.out.emit(batch.length, batch.times[i], key)
      }
    },
    watermark(time: number) {
      const when = mistake === 'emits late' ? -1e9 : time === Number.POSITIVE_INFINITY ? 99 : time - 1
      saved.forEach((key, _, n) => {
        ctx.out.emit(n, when, key)
      })
      for (const [key, n] of inMemory) ctx.out.emit(n, when, key as string)
      inMemory.clear()
    },
  }
}

const timeline = [at(1, 'x', 'a'), at(2, 'x', 'a'), at(3, 'x', 'b'), watermark(10), at(12, 'x', 'b'), end()]
const counts = [
  [9, 2, 'a'],
  [9, 1, 'b'],
  [99, 2, 'a'],
  [99, 2, 'b'],
] as const

test('an operator that keeps its state in tables passes every way of playing', async () => {
  await verifyOperator(counter(), { late: 'dropped' })
    .given(timeline)
    .expect(counts, { metrics: { late: 0 } })
})

test('a wrong expectation is reported with the row and the timeline', async () => {
  const wrong = verifyOperator(counter())
    .given(timeline)
    .expect([[9, 3, 'a']])
  await expect(wrong).rejects.toThrow(
    /item by item: row 0 of output "out" differs\.\n +expected {2}\[9, 3, "a"\]\n +got {7}\[9, 2, "a"\]\n {2}timeline:\n +at\(1, "x", "a"\)/,
  )
})

test('state outside the tables is found by the restores', async () => {
  const forgets = verifyOperator(counter('forgets'))
    .given(timeline)
    .expect([
      [9, 2, 'a'],
      [9, 1, 'b'],
      [99, 1, 'b'],
    ])
  await expect(forgets).rejects.toThrow(/snapshot and restore after every item: row 0 of output "out", key "a"/)
})

test('output that depends on how rows are batched is found', async () => {
  const perBatch = verifyOperator(counter('per batch'))
    .given(at(1, 'x', 'a'), at(2, 'x', 'a'))
    .expect([
      [1, 1],
      [2, 1],
    ])
  await expect(perBatch).rejects.toThrow(/one batch per input: row 0/)
})

test('output behind the watermark already sent on is found', async () => {
  const late = verifyOperator(counter('emits late'))
    .given(at(1, 'x', 'a'), watermark(10), end())
    .expect([
      [-1e9, 1],
      [-1e9, 1],
    ])
  await expect(late).rejects.toThrow(/1 rows were emitted behind the watermark/)
})

test('rows of two inputs, timers and promises are played', async () => {
  const make = (ctx: OperatorContext) => {
    const pending = ctx.state.table<[number, string]>('pending', { major: 'key' })
    const arm = () => pending.forEach((_, at) => void ctx.wakeAt(at as number))
    arm()
    return {
      process(batch: Batch, from: number) {
        for (let i = 0; i < batch.length; i++) {
          const due = ctx.now() + 1_000
          pending.set(batch.keys![i], [batch.times[i], `${batch.keep(i)}${from}`], due)
        }
        arm()
      },
      wake(now: number) {
        const done: [string, number][] = []
        pending.forEach((key, due, [time, row]) => {
          if ((due as number) > now) return
          ctx.out.emit(row, time, key)
          done.push([key as string, due as number])
        })
        for (const [key, due] of done) pending.delete(key, due)
        arm()
      },
    }
  }
  await verifyOperator(make, { inputs: 2 })
    .given(at(1, 'l', 'a'), input(1).at(2, 'r', 'b'), input(1).watermark(5), settle(), advance('999ms'), advance('1ms'))
    .expect(
      [
        [1, 'l0', 'a'],
        [2, 'r1', 'b'],
      ],
      { order: 'any' },
    )
})
