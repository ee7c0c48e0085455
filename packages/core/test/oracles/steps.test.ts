/** Steps that keep, drop, rank, call and time rows equal oracles over the whole input. */
import fc from 'fast-check'
import type { Stream } from 'millrace'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectRising, expectSameRows, expectSameSequence, textOf } from './compare.ts'
import { type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import { type Got, type Play, play, type World } from './play.ts'
import { debounced, deduped, latestPer, rankingOf, throttled, timersOf } from './steps-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const keyed = playArbitrary({ isConfined: true })
const whole = playArbitrary({ isConfined: true, partitionsMax: 1 })
const span = fc.constantFrom(1, 5, 20, 100)
/** A keyed stream, or a whole one of a single partition, whose order of arrival is known. */
const either = fc.oneof(
  keyed.map((p) => ({ p, isKeyed: true })),
  whole.map((p) => ({ p, isKeyed: false })),
)

const idOf = ({ id }: Row): unknown => id
const rowsOf = (got: readonly Got[] = []): Row[] => got.map(({ row }) => row as Row)

/** The rows of each key, or all of them, in order of arrival. */
function groupsOf({ input }: Play, isKeyed: boolean, source = 'a'): Placed[][] {
  const rows = placedOf(input, source)
  return isKeyed ? [...Map.groupBy(rows, ({ row }) => textOf(row.key)).values()] : [rows]
}

/** Runs one step on `a`, keyed or not, and compares each group's rows in their order. */
async function expectGroups(
  { p, isKeyed }: { p: Play; isKeyed: boolean },
  step: (world: World, stream: Stream<Row>) => Stream<Row>,
  oracle: (rows: readonly Placed[]) => readonly Row[],
  order: 'arrival' | 'time',
  timeOf: (row: Row) => number,
): Promise<void> {
  const { out = [] } = await play(p, (world) => {
    const stream = isKeyed ? world.streams.a.keyBy((row) => row.key) : world.streams.a
    step(world, stream).sink('out', world.sink('out'))
  })
  const got = Map.groupBy(out, ({ row }) => (isKeyed ? textOf((row as Row).key) : ''))
  for (const rows of groupsOf(p, isKeyed)) {
    const mine = got.get(isKeyed && rows.length > 0 ? textOf(rows[0].row.key) : '') ?? []
    const expected = oracle(rows)
    const inOrder = order === 'arrival' ? expected : expected.toSorted((a, b) => a.at - b.at)
    expectSameSequence(
      mine,
      inOrder.map((row) => ({ row, time: timeOf(row), weight: 1 })),
    )
  }
}

const at = (row: Row): number => row.at

describe('steps that drop rows equal the oracle', () => {
  test('dedupe', async () => {
    const id = (row: Row) => row.n
    await fc.assert(
      fc.asyncProperty(keyed, span, (p, within) =>
        expectGroups(
          { p, isKeyed: true },
          (_, stream) => stream.dedupe('once', { by: id, within: `${within}ms` }),
          (rows) => deduped(rows, id, within),
          'arrival',
          at,
        ),
      ),
      { numRuns: oracleCases(40) },
    )
  })

  test('dedupe of a stream that is not keyed', async () => {
    await fc.assert(
      fc.asyncProperty(keyed, span, async (p, within) => {
        const { out } = await play(p, ({ streams, sink }) =>
          streams.a.dedupe('once', { by: (row) => row.key, within: `${within}ms` }).sink('out', sink('out')),
        )
        const expected = groupsOf(p, true).flatMap((rows) => deduped(rows, ({ key }) => textOf(key), within))
        expectSameRows(rowsOf(out), expected, idOf)
      }),
      { numRuns: oracleCases(20) },
    )
  })

  test('throttle', async () => {
    await fc.assert(
      fc.asyncProperty(either, fc.integer({ min: 1, max: 4 }), span, (drawn, limit, per) =>
        expectGroups(
          drawn,
          (_, stream) => stream.throttle('slow', { limit, per: `${per}ms` }),
          (rows) => throttled(rows, limit, per),
          'arrival',
          at,
        ),
      ),
      { numRuns: oracleCases(40) },
    )
  })

  test('debounce', async () => {
    await fc.assert(
      fc.asyncProperty(either, span, (drawn, gap) =>
        expectGroups(
          drawn,
          (_, stream) => stream.debounce('quiet', { gap: `${gap}ms` }),
          (rows) => debounced(rows, gap),
          'time',
          (row) => row.at + gap,
        ),
      ),
      { numRuns: oracleCases(40) },
    )
  })

  test('sample of every nth', async () => {
    await fc.assert(
      fc.asyncProperty(either, fc.integer({ min: 1, max: 5 }), (drawn, every) =>
        expectGroups(
          drawn,
          (_, stream) => stream.sample('some', { every }),
          (rows) => rows.filter((_, i) => (i + 1) % every === 0).map(({ row }) => row),
          'arrival',
          at,
        ),
      ),
      { numRuns: oracleCases(20) },
    )
  })

  test('sample of the latest per interval', async () => {
    await fc.assert(
      fc.asyncProperty(either, span, (drawn, per) =>
        expectGroups(
          drawn,
          (_, stream) => stream.sample('latest', { latestPer: `${per}ms` }),
          (rows) => latestPer(rows, per),
          'time',
          (row) => (Math.floor(row.at / per) + 1) * per - 1,
        ),
      ),
      { numRuns: oracleCases(30) },
    )
  })

  test('sample of a share keeps rows that agree together, and takes the same ones however it runs', async () => {
    const calm = {
      workers: 1,
      batchRows: 4096,
      loops: 'interpreted',
      paceMs: 0,
      end: { type: 'until', rows: 0 },
    } as const
    await fc.assert(
      fc.asyncProperty(keyed, fc.constantFrom(0, 0.3, 0.5, 1), fc.boolean(), async (p, fraction, isBy) => {
        const run = async (played: Play): Promise<Row[]> => {
          const { out } = await play(played, ({ streams, sink }) =>
            streams.a
              .sample('share', { fraction, ...(isBy ? { by: (row: Row) => row.n } : {}) })
              .sink('out', sink('out')),
          )
          return rowsOf(out)
        }
        const got = await run(p)
        expectSameRows(got, await run({ ...p, lives: [calm] }), idOf)
        const all = placedOf(p.input, 'a').map(({ row }) => row)
        if (fraction === 0 || fraction === 1) expectSameRows(got, fraction === 1 ? all : [], idOf)
        const kept = new Set(got.map(({ n }) => n + 0))
        if (isBy)
          expectSameRows(
            got,
            all.filter(({ n }) => kept.has(n + 0)),
            idOf,
          )
      }),
      { numRuns: oracleCases(15) },
    )
  })
})

test('the sum of the changes that topN gives is the ranking from scratch', async () => {
  const settings = fc.record({ n: fc.integer({ min: 1, max: 5 }), order: fc.constantFrom('asc', 'desc') })
  await fc.assert(
    fc.asyncProperty(either, settings, async ({ p, isKeyed }, { n, order }) => {
      const { out = [] } = await play(p, ({ streams, sink }) => {
        const stream = isKeyed ? streams.a.keyBy((row) => row.key) : streams.a
        stream.topN('top', { n, by: (row) => row.n, order }).sink('out', sink('out'))
      })
      const left: { rank: number; row: Row }[] = []
      for (const { row, weight } of out) {
        const change = row as { rank: number; row: Row }
        if (weight === 1) left.push(change)
        else
          left.splice(
            left.findIndex((place) => textOf(place) === textOf(change)),
            1,
          )
      }
      const expected = groupsOf(p, isKeyed).flatMap((rows) => rankingOf(rows, n, order))
      expectSameRows(left, expected, ({ rank, row }) => [rank, row.id])
    }),
    { numRuns: oracleCases(40) },
  )
})

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
          at,
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
          at,
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
