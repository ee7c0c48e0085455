import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import { edge, Graph } from '../graph/node.ts'
import { cases } from '../testing/cases.ts'
import { type OperatorHost, openOperator } from '../testing/operator-host.ts'
import { at, end, settle, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createMapAsync, mapAsync } from './map-async.ts'
import type { AsyncFn, AsyncOrder, CallContext, MapAsyncOptions } from './map-async-types.ts'

/** A service whose answers the test gives by hand. */
class Service {
  readonly calls: {
    readonly row: string
    readonly ctx: CallContext
    answer(value: unknown): void
    fail(error: Error): void
  }[] = []
  /** Calls made, by row. */
  readonly made: string[] = []
  readonly fn: AsyncFn<string, string> = (row, ctx) => {
    this.made.push(row)
    return new Promise<string>((resolve, reject) => {
      const call = {
        row,
        ctx,
        answer: (value: unknown) => resolve(value as string),
        fail: (error: Error) => reject(error),
      }
      this.calls.push(call)
    })
  }

  answer(...rows: string[]): void {
    for (const row of rows) this.#take(row).answer(row.toUpperCase())
  }

  fail(row: string, error: Error): void {
    this.#take(row).fail(error)
  }

  #take(row: string) {
    const index = this.calls.findIndex((call) => call.row === row)
    return this.calls.splice(index, 1)[0]
  }
}

function open(options: MapAsyncOptions<string, string> = {}, hostOptions: Parameters<typeof openOperator>[1] = {}) {
  const service = new Service()
  return { service, host: openOperator(createMapAsync(service.fn, options), { step: 'call', ...hostOptions }) }
}

const rows = (host: OperatorHost) => host.take().map((out) => out.row)

describe('mapAsync in order', () => {
  test('emits in the order of the input, whatever is answered first', async () => {
    const { host, service } = open()
    host.send([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ])
    service.answer('c', 'b')
    await host.settle()
    expect(rows(host)).toEqual([])
    service.answer('a')
    await host.settle()
    expect(rows(host)).toEqual(['A', 'B', 'C'])
  })

  test('per key, one key does not wait for another', async () => {
    const { host, service } = open({ order: 'perKey' })
    host.send([
      [1, 'a', 'x'],
      [2, 'b', 'y'],
      [3, 'c', 'x'],
      [4, 'd', 'y'],
    ])
    service.answer('c', 'd', 'b')
    await host.settle()
    expect(rows(host)).toEqual(['B', 'D'])
    service.answer('a')
    await host.settle()
    expect(rows(host)).toEqual(['A', 'C'])
  })

  test('unordered, what is answered comes out', async () => {
    const { host, service } = open({ order: 'unordered' })
    host.send([
      [1, 'a'],
      [2, 'b'],
    ])
    service.answer('b')
    await host.settle()
    expect(host.take()).toEqual([{ row: 'B', time: 2, key: undefined, weight: 1 }])
  })

  test('a function that answers at once needs no wake-up', () => {
    const host = openOperator(createMapAsync((n: number) => n + 1, { capacity: 2 }))
    host.send([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
      [5, 5],
    ])
    expect(rows(host)).toEqual([2, 3, 4, 5, 6])
  })
})

describe('mapAsync limits', () => {
  test('calls in flight to its capacity, and takes no input at it', async () => {
    const { host, service } = open({ capacity: 2, order: 'unordered' })
    host.send([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ])
    host.send([[4, 'd']])
    expect(service.made).toEqual(['a', 'b'])
    expect([host.isReady, host.waiting, host.held]).toEqual([false, 1, 3])
    service.answer('b')
    await host.settle()
    expect(service.made).toEqual(['a', 'b', 'c'])
    expect(host.waiting).toBe(1)
    service.answer('a', 'c')
    await host.settle()
    expect([service.made, host.waiting, host.held]).toEqual([['a', 'b', 'c', 'd'], 0, 1])
  })

  test('the watermark does not pass a record in flight, but a late one does not hold it back', async () => {
    const { host, service } = open({ order: 'unordered' })
    host.send([
      [10, 'a'],
      [20, 'b'],
    ])
    host.watermark(30)
    expect(host.watermarkOut).toBe(10)
    service.answer('a')
    await host.settle()
    expect(host.watermarkOut).toBe(20)
    host.send([[5, 'late']])
    service.answer('b')
    await host.settle()
    expect([host.watermarkOut, host.emittedLate]).toEqual([30, 0])
    host.end()
    expect(host.watermarkOut).toBe(30)
    service.answer('late')
    await host.settle()
    expect(host.watermarkOut).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('mapAsync failures', () => {
  test('are retried with growing pauses and the same id, then given to the error policy', async () => {
    const { host, service } = open({ retry: { times: 2, delay: '100ms', jitter: 0 } }, { onError: 'skip' })
    host.send([
      [1, 'a'],
      [2, 'b'],
    ])
    const { id } = service.calls[0].ctx
    service.answer('b')
    for (const pause of [100, 200]) {
      service.fail('a', new Error('down'))
      await host.settle()
      host.advance(pause - 1)
      expect(service.calls).toHaveLength(0)
      host.advance(1)
      expect(service.calls.map((call) => call.ctx.id)).toEqual([id])
    }
    expect(service.calls[0].ctx.attempt).toBe(3)
    service.fail('a', new Error('still down'))
    await host.settle()
    expect(rows(host)).toEqual(['B'])
    expect(host.metrics.retried).toBe(2)
    expect(host.errors.map((e) => [(e.error as Error).message, e.row, e.time])).toEqual([['still down', 'a', 1]])
  })

  test('that say they are not retryable are not retried', async () => {
    const { host, service } = open({ retry: { times: 5 } }, { onError: 'skip' })
    host.send([[1, 'a']])
    service.fail('a', new OperationalError('BAD_REQUEST', 'no such thing'))
    await host.settle()
    expect([host.metrics.retried, host.errors.length]).toEqual([0, 1])
  })

  test('by time abort the attempt, and its late answer counts for nothing', async () => {
    const { host, service } = open({ timeout: '1s', retry: { times: 1, delay: '1ms', jitter: 0 } })
    host.send([[1, 'a']])
    const [first] = service.calls
    host.advance(1_000)
    host.advance(1)
    expect(first.ctx.signal.aborted).toBe(true)
    expect((first.ctx.signal.reason as OperationalError).code).toBe('CALL_TIMEOUT')
    expect(service.calls[1].ctx.signal.aborted).toBe(false)
    first.answer('too late')
    await host.settle()
    expect(rows(host)).toEqual([])
    service.calls[1].answer('A')
    await host.settle()
    expect(rows(host)).toEqual(['A'])
  })

  test('by time give the substitute, where there is one', async () => {
    const { host } = open({ timeout: '1s', onTimeout: (row) => `${row}?` })
    host.send([[1, 'a']])
    host.advance(1_000)
    expect(rows(host)).toEqual(['a?'])
  })

  test('without a policy stop the flow', async () => {
    const { host, service } = open()
    host.send([[1, 'a']])
    service.fail('a', new Error('down'))
    await expect(host.settle()).rejects.toThrow('down')
  })

  test('include a function that resolves to undefined', async () => {
    const host = openOperator(
      createMapAsync(async () => undefined),
      { onError: 'skip' },
    )
    host.send([[1, 'a']])
    await host.settle()
    expect(host.errors.map((e) => (e.error as Error).message)).toEqual([
      'the function returned undefined; it must resolve to a result; null says that there is none. Did you forget `return`?',
    ])
  })

  test('closing aborts what is in flight', () => {
    const { host, service } = open()
    host.send([[1, 'a']])
    const { signal } = service.calls[0].ctx
    host.close()
    expect(signal.aborted).toBe(true)
  })
})

describe('a restored mapAsync', () => {
  test('calls again, with the same id, what was in flight, and emits what was answered without a call', async () => {
    const { host, service } = open()
    host.send([
      [1, 'a', 'k'],
      [2, 'b', 'k'],
      [3, 'c', 'k'],
    ])
    service.answer('b')
    await host.settle()
    const ids = service.calls.map((call) => call.ctx.id)
    const snapshot = host.snapshot()
    service.calls.length = 0
    service.made.length = 0
    const restored = host.restore(snapshot)
    await restored.settle()
    expect(service.made).toEqual(['a', 'c'])
    expect(service.calls.map((call) => call.ctx.id)).toEqual(ids)
    restored.watermark(10)
    expect(restored.watermarkOut).toBe(1)
    service.answer('a', 'c')
    await restored.settle()
    expect(restored.take().map((out) => [out.row, out.key])).toEqual([
      ['A', 'k'],
      ['B', 'k'],
      ['C', 'k'],
    ])
  })

  test('leaves nothing in state once all is answered', async () => {
    const { host, service } = open()
    host.send([[1, 'a']])
    host.snapshot()
    service.answer('a')
    await host.settle()
    const restored = host.restore(host.snapshot())
    await restored.settle()
    expect([restored.held, service.made]).toEqual([0, ['a']])
  })

  test('names a record that is read again by its position, the others by number', () => {
    const { host, service } = open({ order: 'unordered' })
    const origin = { source: 'in', partition: 'p0', at: (i: number) => 7 + (i >> 1) }
    host.sendBatch(new RowBatch(['a', 'b', 'c'], [1, 2, 3], undefined, undefined, origin))
    host.send([[4, 'd']])
    expect(service.calls.map((call) => call.ctx.id)).toEqual([
      'call/in/p0/7',
      'call/in/p0/7#2',
      'call/in/p0/8',
      'call/4/0-3',
    ])
  })

  test('is moved to other instances with its calls', async () => {
    const service = new Service()
    const make = createMapAsync(service.fn, { order: 'perKey' })
    const hosts = [0, 1].map((index) => openOperator(make, { instance: { index, count: 2 } }))
    hosts[0].send([
      [1, 'a', 1],
      [2, 'b', 1],
    ])
    hosts[1].send([
      [1, 'c', 2],
      [2, 'd', 2],
    ])
    const snapshots = hosts.map((host) => host.snapshot())
    const idsBefore = new Map(service.calls.map((call) => [call.row, call.ctx.id]))
    service.calls.length = 0
    const restored = [0, 1, 2].map((index) => hosts[0].restore(snapshots, { instance: { index, count: 3 } }))
    for (const host of restored) await host.settle()
    expect(new Map(service.calls.map((call) => [call.row, call.ctx.id]))).toEqual(idsBefore)
    // New calls do not take the place of those that came from elsewhere.
    for (const key of [1, 2]) {
      const owner = restored.find((host) => ownerOfGroup(keyGroupOf(key), 3) === host.instance.index)
      owner?.send([[3, `e${key}`, key]])
    }
    const again = restored.map((host) => host.snapshot())
    service.calls.length = 0
    const last = hosts[0].restore(again, { instance: { index: 0, count: 1 } })
    await last.settle()
    service.answer('a', 'b', 'c', 'd', 'e1', 'e2')
    await last.settle()
    expect(rows(last).sort()).toEqual(['A', 'B', 'C', 'D', 'E1', 'E2'])
  })
})

test('passes the checks that every operator passes', async () => {
  await verifyOperator(createMapAsync(async (n: number) => n * 2, { capacity: 3 }))
    .given(
      at(1, 1, 'a'),
      at(2, 2, 'b'),
      settle(),
      watermark(2),
      at(3, 3, 'a'),
      at(4, 4, 'b'),
      settle(),
      end(),
      settle(),
    )
    .expect([
      [1, 2, 'a'],
      [2, 4, 'b'],
      [3, 6, 'a'],
      [4, 8, 'b'],
    ])
})

test('options out of their range are refused by name', () => {
  const graph = new Graph('test')
  const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }))
  const make = (options: object) => () => mapAsync(graph, { name: 'call', input, fn: (row: string) => row, ...options })
  expect(make({ capacity: 0 })).toThrow(/capacity is 0; it must be an integer from 1 to 10000/)
  expect(make({ order: 'perKey' })).toThrow(/has no keys/)
  expect(make({ order: 'sorted' })).toThrow(/order is "sorted"/)
  expect(make({ retry: { times: 0 } })).toThrow(/retry.times is 0/)
  expect(make({ timeout: '0s' })).toThrow(/timeout of step "call" is 0/)
  const onError = { type: 'retry', times: 1, delayMs: 1, otherwise: { type: 'fail' } }
  expect(make({ retry: { times: 1 }, onError })).toThrow(/retry is given twice/)
  expect(make({ onTimeout: () => '' })().determinism).toBe('timed')
})

test('any answers, failures and restarts in any order give each record once, in the promised order', async () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ send: fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 1, maxLength: 4 }) }),
    },
    { weight: 4, arbitrary: fc.record({ answer: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ fail: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.constant({ watermark: true }) },
    { weight: 1, arbitrary: fc.constant({ restart: true }) },
  )
  const order = fc.constantFrom<AsyncOrder>('ordered', 'perKey', 'unordered')
  await fc.assert(
    fc.asyncProperty(
      order,
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { maxLength: 25 }),
      async (order, capacity, steps) => {
        const service = new Service()
        const options = { order, capacity, retry: { times: 100, delay: '1ms', factor: 1 } } as const
        let host = openOperator(createMapAsync(service.fn, options))
        const sent: { row: string; key: string }[] = []
        const got: { row: string; key: string }[] = []
        const answered = new Set<string>()
        const collect = () =>
          got.push(...host.take<string>().map(({ row, key }) => ({ row: row.toLowerCase(), key: String(key) })))
        const turn = async () => {
          await host.settle()
          host.advance(2)
          collect()
          expect(service.calls.length).toBeLessThanOrEqual(capacity)
        }
        for (const action of steps) {
          const call = service.calls.at(
            ('answer' in action ? action.answer : 'fail' in action ? action.fail : 0) %
              Math.max(1, service.calls.length),
          )
          if ('send' in action && host.isReady) {
            const batch = action.send.map((key) => ({ row: `r${sent.length}-${sent.push({ row: '', key })}`, key }))
            batch.forEach((one, i) => {
              sent[sent.length - batch.length + i].row = one.row
            })
            host.send(batch.map(({ row, key }) => [Number(row.split('-')[1]), row, key] as const))
          } else if ('answer' in action && call !== undefined) {
            service.answer(call.row)
            answered.add(call.row)
          } else if ('fail' in action && call !== undefined) {
            service.fail(call.row, new Error('down'))
          } else if ('watermark' in action) {
            if (host.waiting === 0) host.watermark(sent.length)
          } else if ('restart' in action && host.waiting === 0) {
            await turn()
            const snapshot = host.snapshot()
            service.calls.length = 0
            service.made.length = 0
            host = host.restore(snapshot)
            await turn()
            expect(service.made.filter((row) => answered.has(row))).toEqual([])
          }
          await turn()
        }
        host.end()
        for (let left = 0; host.held > 0 && left < 200; left++) {
          for (const call of [...service.calls]) service.answer(call.row)
          await turn()
        }
        expect(host.emittedLate).toBe(0)
        expect(got.map(({ row }) => row).sort()).toEqual(sent.map(({ row }) => row).sort())
        if (order === 'ordered') expect(got).toEqual(sent)
        if (order === 'perKey') {
          for (const key of ['x', 'y', 'z'])
            expect(got.filter((g) => g.key === key)).toEqual(sent.filter((s) => s.key === key))
        }
        expect(host.watermarkOut).toBe(Number.POSITIVE_INFINITY)
      },
    ),
    { numRuns: cases(60) },
  )
})
