import { describe, expect, expectTypeOf, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, input, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { createProcess, process, process2 } from './process.ts'
import type { ProcessSetup, RecordContext } from './process-types.ts'
import type { ValueState } from './state-handles.ts'

const keyed = { isKeyed: true }

/** A graph with keyed streams 'left' and 'right'. */
function graphOf() {
  const graph = new Graph('test')
  const stream = (name: string) => graph.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } })
  return { graph, left: edge(stream('left'), 'key'), right: edge(stream('right'), 'key') }
}

describe('process', () => {
  test('keeps state per key', async () => {
    const { graph, left } = graphOf()
    const node = process<number, number>(graph, {
      name: 'running total',
      input: left,
      create: (setup) => {
        const total = setup.value('total', { default: 0 })
        return { onRecord: (n, ctx) => ctx.emit(total.update((sum) => sum + n)) }
      },
    })
    await verifyOperator(node)
      .given(at(1, 5, 'a'), at(2, 7, 'b'), watermark(2), at(3, 1, 'a'), at(4, 1, 'b'), end())
      .expect([
        [1, 5, 'a'],
        [2, 7, 'b'],
        [3, 6, 'a'],
        [4, 8, 'b'],
      ])
  })

  test('fires event timers with the state of their key, before the watermark goes on', async () => {
    const { graph, left } = graphOf()
    const node = process<string, string>(graph, {
      name: 'quiet',
      input: left,
      create: (setup) => {
        const seen = setup.list<string>('seen')
        return {
          onRecord(row, ctx) {
            seen.append(row)
            ctx.timers.event(ctx.time + 10, 'flush')
          },
          onTimer(timer, ctx) {
            ctx.emit(`${timer.kind} ${timer.tag} ${seen.get().join('')}`)
            seen.clear()
          },
        }
      },
    })
    await verifyOperator(node)
      .given(at(1, 'x', 'a'), at(1, 'y', 'b'), at(1, 'z', 'a'), watermark(11), at(20, 'w', 'a'), end())
      .expect([
        [11, 'event flush xz', 'a'],
        [11, 'event flush y', 'b'],
        [30, 'event flush w', 'a'],
      ])
  })

  test('fires a timer that is set behind the watermark right after the record', () => {
    const host = openOperator(
      createProcess<number, string>(
        () => ({
          onRecord: (n, ctx) => ctx.timers.event(n),
          onTimer: (timer, ctx) => ctx.emit(`fired ${timer.time}`, ctx.watermark),
        }),
        keyed,
      ),
    )
    host.watermark(100)
    host.send([
      [120, 50, 'a'],
      [120, 150, 'a'],
    ])
    expect(host.take().map((out) => out.row)).toEqual(['fired 50'])
  })

  test('calls onEnd once for each key that has state, after its timers', () => {
    const host = openOperator(
      createProcess<number, string>((setup) => {
        const total = setup.value('total', { default: 0 })
        return {
          onRecord(n, ctx) {
            if (n > 0) total.set(total.get() + n)
            ctx.timers.event(ctx.time + 1)
          },
          onTimer: (_timer, ctx) => ctx.emit(`timer ${String(ctx.key)}`),
          onEnd: (ctx) => ctx.emit(`${String(ctx.key)} ${total.get()}`, 1_000),
        }
      }, keyed),
    )
    host.send([
      [1, 2, 'a'],
      [2, 0, 'b'],
      [3, 3, 'a'],
    ])
    host.end()
    expect(host.take().map((out) => [out.row, out.time])).toEqual([
      ['timer a', 2],
      ['timer b', 3],
      ['timer a', 4],
      ['a 5', 1_000],
    ])
  })

  test('gives an un-keyed stream one state, on one instance', () => {
    const graph = new Graph('test')
    const from = graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } })
    const node = process<number, number>(graph, {
      name: 'count',
      input: edge(from),
      create: (setup) => {
        const n = setup.value('n', { default: 0 })
        return { onRecord: (_row, ctx) => ctx.emit(n.update((count) => count + 1)) }
      },
    })
    expect(node.inputs[0].partitioning).toBe('single')
    const host = openOperator(node)
    host.send([
      [1, 0],
      [2, 0],
    ])
    expect(host.take().map((out) => [out.row, out.key])).toEqual([
      [1, undefined],
      [2, undefined],
    ])
  })

  test('brings two keyed streams together in one state', async () => {
    const { graph, left, right } = graphOf()
    const node = process2<number, { limit: number }, string>(graph, {
      name: 'above limit',
      inputs: [left, right],
      create: (setup) => {
        const limit = setup.value('limit', { default: 10 })
        return {
          onRecord: (n, ctx) => n > limit.get() && ctx.emit(`${n} > ${limit.get()}`),
          onRecord2: (row) => limit.set(row.limit),
        }
      },
    })
    await verifyOperator(node, { inputOrder: 'kept' })
      .given(at(1, 8, 'a'), input(1).at(2, { limit: 5 }, 'a'), at(3, 8, 'a'), at(4, 8, 'b'), end())
      .expect([[3, '8 > 5', 'a']])
  })

  test('writes to side outputs by name', () => {
    const { graph, left } = graphOf()
    const node = process<number, number, string, { odd: number }>(graph, {
      name: 'parity',
      input: left,
      outputs: ['odd'],
      create: () => ({ onRecord: (n, ctx) => (n % 2 === 0 ? ctx.emit(n) : ctx.output('odd', n)) }),
    })
    const host = openOperator(node)
    host.send([
      [1, 4, 'a'],
      [2, 5, 'a'],
    ])
    expect(host.take().map((out) => out.row)).toEqual([4])
    expect(host.take('odd')).toEqual([{ row: 5, time: 2, key: 'a', weight: 1 }])
  })

  test('infers the types of state and rows', () => {
    const check = (setup: ProcessSetup, ctx: RecordContext<number, string, { odd: string }>): void => {
      expectTypeOf(setup.value('a', { default: 0 })).toEqualTypeOf<ValueState<number>>()
      expectTypeOf(setup.value<number>('b')).toEqualTypeOf<ValueState<number | undefined>>()
      expectTypeOf(ctx.key).toEqualTypeOf<string>()
      // @ts-expect-error rows of this step are numbers
      ctx.emit('text')
      // @ts-expect-error there is no such output
      ctx.output('even', 'text')
    }
    expect(check).toBeTypeOf('function')
  })
})

describe('process refuses', () => {
  const run = (create: Parameters<typeof createProcess>[0], options = {}) => {
    const host = openOperator(createProcess(create, { ...keyed, ...options }))
    host.send([[1, 'row', 'a']])
    return host
  }

  test('state outside a call', () => {
    let total: ValueState<number> | undefined
    run((setup) => {
      total = setup.value('total', { default: 0 })
      return { onRecord() {} }
    })
    expect(() => total?.get()).toThrow(/state "total" was used outside a call/)
    expect(() =>
      run((setup) => {
        setup.value('total').set(1)
        return { onRecord() {} }
      }),
    ).toThrow(/not in create/)
  })

  test('its context after the handler has returned', () => {
    let kept: RecordContext<unknown> | undefined
    run(() => ({
      onRecord(_row, ctx) {
        kept = ctx as RecordContext<unknown>
      },
    }))
    expect(() => kept?.emit('late')).toThrow(/valid until the handler returns/)
  })

  test('the clock, unless the step says that it is timed', () => {
    const usesClock: Parameters<typeof createProcess>[0] = () => ({ onRecord: (_row, ctx) => ctx.timers.processing(5) })
    expect(() => run(usesClock)).toThrow(/\{ timed: true \}/)
    expect(() => run(usesClock, { timed: true })).not.toThrow()
    expect(() =>
      run((setup) => {
        setup.value('token', { ttl: { after: '1m', time: 'processing' } })
        return { onRecord() {} }
      }),
    ).toThrow(/ttl in processing time/)
  })

  test('handlers that return a promise, rows that are undefined, outputs it does not have', () => {
    expect(() => run(() => ({ onRecord: async () => {} }))).toThrow(/onRecord returned a promise.*mapAsync/)
    expect(() => run(() => ({ onRecord: (_row, ctx) => ctx.emit(undefined) }))).toThrow(/undefined was emitted/)
    expect(() => run(() => ({ onRecord: (_row, ctx) => ctx.output('nope', 1) }))).toThrow(/"nope" is not one of/)
  })

  test('a create function that returns no handlers, and two states of one name', () => {
    expect(() => run((() => ({})) as never)).toThrow(/create returned no onRecord/)
    expect(() =>
      run((setup) => {
        setup.value('x')
        setup.list('x')
        return { onRecord() {} }
      }),
    ).toThrow(/"x" is declared twice/)
  })

  test('two streams of which one is not keyed', () => {
    const { graph, left } = graphOf()
    const right = edge(left.from)
    const create = () => ({ onRecord() {}, onRecord2() {} })
    expect(() => process2(graph, { name: 'both', inputs: [left, right], create })).toThrow(/needs both keyed/)
  })
})

test('a handler that throws gives its record to the error policy, and the next record is handled', () => {
  const host = openOperator(
    createProcess<number, number>(
      () => ({
        onRecord(n, ctx) {
          if (n < 0) throw new Error('negative')
          ctx.emit(n)
        },
      }),
      keyed,
    ),
    { onError: 'skip' },
  )
  host.send([
    [1, -1, 'a'],
    [2, 2, 'a'],
  ])
  expect(host.take().map((out) => out.row)).toEqual([2])
  expect(host.errors.map((e) => [(e.error as Error).message, e.row, e.time, e.key])).toEqual([['negative', -1, 1, 'a']])
  expect(host.metrics.merged).toBe(1)
})
