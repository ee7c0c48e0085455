/** Steps of several streams, of one's own, and such that call out equal oracles over the whole input. */
import fc from 'fast-check'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectRising, expectSameRows, textOf } from './compare.ts'
import { expectGroups, groupsOf, idOf, keyed, rowsOf, whole } from './groups.ts'
import { type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import { type Got, play, type World } from './play.ts'
import { timersOf } from './steps-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

describe('steps of several streams equal the oracle', () => {
  const two = playArbitrary({ sources: ['a', 'b'], isConfined: true, partitionsMax: 3, isWhole: true, rowsMax: 30 })

  test('broadcast', async () => {
    await fc.assert(
      fc.asyncProperty(two, fc.boolean(), async (p, isKeyed) => {
        const { out = [] } = await play(p, ({ streams: { a, b }, sink }) => {
          const main = isKeyed ? a.keyBy((row) => row.key) : a
          main
            .withBroadcast('all', b, {
              initial: () => ({ n: 0, sum: 0 }),
              update: (state, row) => ({ n: state.n + 1, sum: state.sum + row.n }),
              join: (row, { n, sum }) => ({ left: row, n, sum }),
            })
            .sink('out', sink('out'))
        })
        const small = placedOf(p.input, 'b').map(({ row }) => row)
        const expected = placedOf(p.input, 'a').map(({ row }) => {
          const seen = small.filter((other) => other.at <= row.at)
          return { left: row, n: seen.length, sum: seen.reduce((total, other) => total + other.n, 0) }
        })
        const rows = out.map(({ row }) => row as (typeof expected)[number])
        expectSameRows(rows, expected, ({ left }) => left.id)
        // Restarted with other workers, rows that wait and rows to come of a stream without keys are on two of them.
        if (!isKeyed) return
        expectRising(
          rows,
          ({ left }) => left.key,
          ({ left }) => [left.at],
        )
      }),
      { numRuns: oracleCases(40) },
    )
  })

  test('union, branch, and steps without state', async () => {
    await fc.assert(
      fc.asyncProperty(two, async (p) => {
        const { even = [], small = [] } = await play(p, ({ streams: { a, b }, sink }) => {
          const { even, small } = a
            .map((row) => ({ ...row, n: row.n * 2 }))
            .union(b)
            .filter((row) => row.n > -20)
            .flatMap((row) => (row.n % 3 === 0 ? [row, { ...row, n: 1 }] : [row]))
            .withTime((row) => row.at + 5)
            .branch({ even: (row) => row.n % 2 === 0, small: (row) => row.n < 10 })
          even.sink('even', sink('even'))
          small.sink('small', sink('small'))
        })
        const all = [
          ...placedOf(p.input, 'a').map(({ row }) => ({ ...row, n: row.n * 2 })),
          ...placedOf(p.input, 'b').map(({ row }) => row),
        ]
          .filter((row) => row.n > -20)
          .flatMap((row) => (row.n % 3 === 0 ? [row, { ...row, n: 1 }] : [row]))
        const timed = (got: readonly Got[]) => got.map(({ row, time }) => ({ ...(row as Row), time }))
        const expected = (rows: readonly Row[]) => rows.map((row) => ({ ...row, time: row.at + 5 }))
        expectSameRows(timed(even), expected(all.filter((row) => row.n % 2 === 0)), idOf)
        expectSameRows(timed(small), expected(all.filter((row) => row.n % 2 !== 0 && row.n < 10)), idOf)
      }),
      { numRuns: oracleCases(30) },
    )
  })

  test('a process step over two streams', async () => {
    await fc.assert(
      fc.asyncProperty(two, async (p) => {
        const { out = [] } = await play(p, ({ streams: { a, b }, sink }) =>
          a
            .keyBy((row) => row.key)
            .processWith<Row, { key: unknown; left: number; right: number }>(
              'both',
              b.keyBy((row) => row.key),
              ({ value }) => {
                const left = value<number>('left', { default: 0 })
                const right = value<number>('right', { default: 0 })
                return {
                  onRecord: (row) => left.set(left.get() + row.n),
                  onRecord2: (row) => right.set(right.get() + row.n),
                  // A flow that is started again after its end meets what state is left.
                  onEnd(ctx) {
                    ctx.emit({ key: ctx.key, left: left.get(), right: right.get() }, 0)
                    left.clear()
                    right.clear()
                  },
                }
              },
            )
            .sink('out', sink('out')),
        )
        const keys = Map.groupBy([...placedOf(p.input, 'a'), ...placedOf(p.input, 'b')], ({ row }) => textOf(row.key))
        const expected = [...keys.values()].map((rows) => {
          const of = (name: string): number =>
            rows.filter(({ source }) => source === name).reduce((total, { row }) => total + row.n, 0)
          return { key: rows[0].row.key as unknown, left: of('a'), right: of('b') }
        })
        expectSameRows(
          out.map(({ row }) => row as (typeof expected)[number]),
          expected,
          ({ key }) => key,
        )
      }),
      { numRuns: oracleCases(30) },
    )
  })
})

test('a process step with timers equals the oracle', async () => {
  await fc.assert(
    fc.asyncProperty(keyed, fc.constantFrom(1, 7.5, 60), async (p, delay) => {
      type Fired = { key: unknown; at: number; tag: string; ids: number[] }
      const { out = [] } = await play(p, ({ streams, sink }) =>
        streams.a
          .keyBy((row) => row.key)
          .process<Fired>('timed', ({ list }) => {
            const seen = list<{ id: number; due: number }>('seen')
            return {
              onRecord(row, ctx) {
                seen.append({ id: row.id, due: Math.ceil(row.at + delay) })
                ctx.timers.event(row.at + delay, String(row.id % 2))
              },
              onTimer({ time, tag }, ctx) {
                const due = [...seen.get()].filter((row) => row.due <= time)
                ctx.emit({ key: ctx.key, at: time, tag, ids: due.map(({ id }) => id).sort((a, b) => a - b) })
              },
            }
          })
          .sink('out', sink('out')),
      )
      const expected = groupsOf(p, true).flatMap((rows) =>
        timersOf(rows, delay).map((fired): Fired => ({ key: rows[0].row.key, ...fired })),
      )
      const rows = out.map(({ row }) => row as Fired)
      expectSameRows(rows, expected, (row) => [row.key, row.at, row.tag])
      expectRising(
        rows,
        ({ key }) => key,
        (row) => [row.at],
      )
    }),
    { numRuns: oracleCases(50) },
  )
})

describe('mapAsync gives every result once, in the order it promises', () => {
  const call = (world: World) => async (row: Row, attempt: number) => {
    await world.delay((row.id * 7) % 5)
    if (attempt === 1 && row.id % 5 === 0) throw new Error('busy')
    return { ...row, n: row.n + 1 }
  }
  const options = { capacity: 4, retry: { times: 3, delay: '2ms' } } as const
  const expected = (rows: readonly Placed[]): Row[] => rows.map(({ row }) => ({ ...row, n: row.n + 1 }))

  test('ordered', async () => {
    await fc.assert(
      fc.asyncProperty(whole, (p) =>
        expectGroups(
          { p, isKeyed: false },
          (world, stream) => stream.mapAsync('call', (row, ctx) => call(world)(row, ctx.attempt), options),
          expected,
          'arrival',
          ({ at }) => at,
        ),
      ),
      { numRuns: oracleCases(25) },
    )
  })

  test('in order per key', async () => {
    await fc.assert(
      fc.asyncProperty(keyed, (p) =>
        expectGroups(
          { p, isKeyed: true },
          (world, stream) =>
            stream.mapAsync('call', (row, ctx) => call(world)(row, ctx.attempt), { ...options, order: 'perKey' }),
          expected,
          'arrival',
          ({ at }) => at,
        ),
      ),
      { numRuns: oracleCases(25) },
    )
  })

  test('in any order', async () => {
    await fc.assert(
      fc.asyncProperty(keyed, async (p) => {
        const { out } = await play(p, (world) =>
          world.streams.a
            .mapAsync('call', (row, ctx) => call(world)(row, ctx.attempt), { ...options, order: 'unordered' })
            .sink('out', world.sink('out')),
        )
        expectSameRows(rowsOf(out), expected(placedOf(p.input, 'a')), idOf)
      }),
      { numRuns: oracleCases(25) },
    )
  })
})
