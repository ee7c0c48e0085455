import { expect, test } from 'vitest'
import { type Batch, RowBatch } from '../batch/batch.ts'
import type { OperatorContext } from '../graph/operator.ts'
import { openOperator } from './operator-host.ts'

const code = (value: string) => expect.objectContaining({ code: value })

function countPerKey(ctx: OperatorContext) {
  const counts = ctx.state.table<number>('counts')
  return {
    process(batch: Batch) {
      for (let i = 0; i < batch.length; i++) {
        const key = batch.keys![i]
        counts.set(key, (counts.get(key) ?? 0) + 1)
      }
    },
    watermark(time: number) {
      counts.forEach((key, _, n) => {
        ctx.out.emit(n, time - 1, key)
      })
    },
  }
}

test('an operator gets rows, and its emissions are taken', () => {
  const host = openOperator((ctx) => ({ process: (batch) => ctx.out.emitBatch(batch) }))
  host.send([[1_000, 'a', ['x', 1]]])
  host.sendBatch(new RowBatch(['b'], [2_000]))
  expect(host.take()).toEqual([
    { row: 'a', time: 1_000, key: ['x', 1], weight: 1 },
    { row: 'b', time: 2_000, key: undefined, weight: 1 },
  ])
  expect(host.take()).toEqual([])
})

test('a keyed operator continues from its snapshot, and each instance takes the keys it owns', () => {
  const host = openOperator(countPerKey)
  host.send(['a', 'b', 'c', 'a'].map((key, i) => [i, key, key] as const))
  const saved = host.snapshot()
  const counts = [0, 1].flatMap((index) => {
    const part = host.restore(saved, { instance: { index, count: 2 } })
    part.watermark(10)
    return part.take<number>().map((e) => [e.key, e.row])
  })
  expect(counts.sort()).toEqual([
    ['a', 2],
    ['b', 1],
    ['c', 1],
  ])
})

test('the operator sees the minimum of the watermarks of its active inputs', () => {
  const seen: number[] = []
  const host = openOperator(() => ({ process: () => {}, watermark: (time) => void seen.push(time) }), { inputs: 2 })
  host.watermark(10, 0)
  host.watermark(5, 1)
  host.watermark(20, 0)
  host.idle(1)
  host.end()
  expect(seen).toEqual([5, 20, Number.POSITIVE_INFINITY])
})

test('a falling watermark is refused', () => {
  const host = openOperator(() => ({ process: () => {} }))
  host.watermark(10)
  expect(() => host.watermark(9)).toThrow(code('WATERMARK_BACKWARDS'))
})

test('emission outside a call is refused', () => {
  const host = openOperator((ctx) => ({
    process: () => {},
    held: () => {
      ctx.out.emit(1, 1)
      return 0
    },
  }))
  expect(() => host.held).toThrow(code('EMIT_OUTSIDE_CALL'))
})

test('a row view that is emitted, retained or written is refused', () => {
  let retained: { n: number } | undefined
  const host = openOperator((ctx) => ({
    process: (batch) => {
      const row = batch.row(0) as { n: number }
      if (row.n === 1) ctx.out.emit(row, 0)
      if (row.n === 2) row.n = 3
      retained = row
    },
  }))
  expect(() => host.send([[0, { n: 1 }]])).toThrow(code('VIEW_EMITTED'))
  expect(() => host.send([[0, { n: 2 }]])).toThrow(code('ROW_WRITTEN'))
  host.send([[0, { n: 4 }]])
  expect(() => retained!.n).toThrow(code('VIEW_RETAINED'))
})

test('a wake-up comes at its time, and a requested one when the host settles', async () => {
  const woken: number[] = []
  const host = openOperator((ctx) => ({
    process: (batch) => {
      if (batch.length === 1) ctx.wakeAt(ctx.now() + 100)
      else void Promise.resolve().then(() => ctx.requestWake())
    },
    wake: (now) => void woken.push(now),
  }))
  host.send([[0, 'a']])
  host.advance(99)
  expect(woken).toEqual([])
  host.advance(50)
  expect(woken).toEqual([100])
  host.send([
    [0, 'a'],
    [0, 'b'],
  ])
  await host.settle()
  expect(woken).toEqual([100, 149])
})

test('input waits while the operator is not ready', async () => {
  let isReady = true
  const host = openOperator((ctx) => ({
    isReady: () => isReady,
    process: (batch) => {
      isReady = false
      ctx.out.emitBatch(batch)
      ctx.requestWake()
    },
    wake: () => {
      isReady = true
    },
  }))
  host.send([[0, 'a']])
  host.send([[1, 'b']])
  host.watermark(5)
  expect(host.take()).toHaveLength(1)
  expect(host.waiting).toBe(2)
  await host.settle()
  expect(host.take()).toHaveLength(1)
  expect(host.watermarkOut).toBe(5)
})

test('records in flight hold the forwarded watermark back', () => {
  let oldest = 3
  const host = openOperator(() => ({ process: () => {}, hold: () => oldest }))
  host.watermark(10)
  expect(host.watermarkOut).toBe(3)
  oldest = Number.POSITIVE_INFINITY
  host.watermark(11)
  expect(host.watermarkOut).toBe(11)
})

test('a failing callback is recorded, and throws unless the policy is skip', () => {
  const create = (ctx: OperatorContext) => ({
    process: (batch: Batch) => ctx.onError(new Error('bad'), batch.keep(0), batch.times[0], 'k', undefined),
  })
  expect(() => openOperator(create).send([[7, 'a']])).toThrow(code('CALLBACK_FAILED'))
  const host = openOperator(create, { onError: 'skip' })
  host.send([[7, 'a']])
  expect(host.errors).toMatchObject([{ row: 'a', time: 7, key: 'k' }])
})
