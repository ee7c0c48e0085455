/** Steps that keep, drop and rank rows equal oracles over the whole input. */
import fc from 'fast-check'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectSameRows, textOf } from './compare.ts'
import { either, expectGroups, groupsOf, idOf, keyed, rowsOf } from './groups.ts'
import { placedOf, type Row } from './input.ts'
import { type Play, play } from './play.ts'
import { debounced, deduped, latestPer, rankingOf, throttled } from './steps-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const span = fc.constantFrom(1, 5, 20, 100)
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
