/** Joins and tables of whole flows equal oracles that compare every row with every other. */
import fc from 'fast-check'
import { hopping, session, tumbling } from 'millrace'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectRising, expectSameRows, expectSameSequence, textOf } from './compare.ts'
import { type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import {
  asOfValue,
  changesOf,
  type Fill,
  isGone,
  type JoinType,
  type Pair,
  pairsOf,
  tableValue,
  timeOf,
} from './joins-oracle.ts'
import { play } from './play.ts'
import { type WindowKind, windowsOf } from './windows-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const spread = playArbitrary({ sources: ['a', 'b'], isConfined: false, partitionsMax: 3, rowsMax: 30 })
const confined = playArbitrary({ sources: ['a', 'b'], isConfined: true, partitionsMax: 3, rowsMax: 30 })
const twoSteps = playArbitrary({ sources: ['a', 'b'], isConfined: true, partitionsMax: 3, rowsMax: 30, hasIdle: false })
const joinType = fc.constantFrom<JoinType>('inner', 'left', 'outer')
const reach = fc.constantFrom(0, 1, 10, 40, 200)

type Joined = Pair & { readonly window?: { readonly start: number; readonly end: number } }
const address = ({ key, left, right, window }: Joined) => [key, left?.id, right?.id, window]
const keyOf = ({ key }: Joined): unknown => key

describe('joins equal the oracle', () => {
  test('within an interval', async () => {
    await fc.assert(
      fc.asyncProperty(spread, joinType, reach, reach, async (p, type, before, after) => {
        const { out = [] } = await play(p, ({ streams: { a, b }, sink }) =>
          a
            .keyBy((row) => row.key)
            .join(
              'pairs',
              b.keyBy((row) => row.key),
              { within: [`${before}ms`, `${after}ms`], type },
            )
            .sink('out', sink('out')),
        )
        const fits = (left: Row, right: Row): boolean => right.at >= left.at - before && right.at <= left.at + after
        const expected = pairsOf(type, placedOf(p.input, 'a'), placedOf(p.input, 'b'), fits)
        expectSameRows(
          out.map(({ row, time }) => ({ ...(row as Pair), time })),
          expected.map((pair) => ({ ...pair, time: timeOf(pair) })),
          address,
        )
      }),
      { numRuns: oracleCases(60) },
    )
  })

  const windows: Readonly<Record<string, fc.Arbitrary<WindowKind>>> = {
    tumbling: fc.constantFrom(10, 30).map((size) => ({ type: 'time', size, slide: size, offset: 0 })),
    'hopping with offset': fc
      .constantFrom([20, 10, 3], [25, 7, 0], [30, 20, 11])
      .map(([size, slide, offset]) => ({ type: 'time', size, slide, offset })),
    session: fc
      .record({ gap: fc.constantFrom(1, 10, 45), touches: fc.boolean() })
      .map((drawn) => ({ type: 'session', ...drawn })),
  }

  test.each(Object.entries(windows))('within a window: %s', async (_, arbitrary) => {
    await fc.assert(
      fc.asyncProperty(spread, joinType, arbitrary, async (p, type, kind) => {
        const { out = [] } = await play(p, ({ streams: { a, b }, sink }) =>
          a
            .keyBy((row) => row.key)
            .join(
              'pairs',
              b.keyBy((row) => row.key),
              { type, ...joinWindow(kind) },
            )
            .sink('out', sink('out')),
        )
        const rows = out.map(({ row, time }) => ({ ...(row as Joined), time }))
        expectSameRows(rows, windowPairs(kind, type, placedOf(p.input, 'a'), placedOf(p.input, 'b')), address)
        expectRising(rows, keyOf, ({ window, left }) =>
          type === 'inner' ? [window?.end as number, left?.at as number] : [window?.end as number],
        )
      }),
      { numRuns: oracleCases(30) },
    )
  })
})

function joinWindow(kind: WindowKind) {
  if (kind.type === 'session') return { window: session(`${kind.gap}ms`, kind.touches ? { merge: 'touching' } : {}) }
  if (kind.type !== 'time') throw new Error(kind.type)
  const window = kind.size === kind.slide ? tumbling(`${kind.size}ms`) : hopping(`${kind.size}ms`, `${kind.slide}ms`)
  return { window, offset: `${kind.offset}ms` as const }
}

function windowPairs(kind: WindowKind, type: JoinType, lefts: readonly Placed[], rights: readonly Placed[]) {
  const keys = Map.groupBy([...lefts, ...rights], ({ row }) => textOf(row.key))
  return [...keys.values()].flatMap((rows) =>
    windowsOf(kind, rows).flatMap(({ start, end, rows: inside }) => {
      const of = (source: string): Placed[] => inside.filter((placed) => placed.source === source)
      return pairsOf(type, of('a'), of('b'), () => true).map((pair) => ({
        ...pair,
        window: { start, end },
        time: end - 1,
      }))
    }),
  )
}

describe('as-of joins equal the oracle', () => {
  const absent: Row = { id: -1, key: 'absent', at: 0, n: 0 }
  const fill = fc.constantFrom<Fill>('none', 'last', 'interpolate', { default: absent })
  const side = fc.record({ within: reach, fill, required: fc.boolean() })

  test('with one and two sides', async () => {
    await fc.assert(
      fc.asyncProperty(confined, side, fc.option(side), async (p, first, second) => {
        const drawn = second === null ? { first } : { first, second }
        const { out = [], unmatched = [] } = await play(p, ({ streams: { a, b }, sink }) => {
          const stream = b.keyBy((row) => row.key)
          const sides = Object.fromEntries(
            Object.entries(drawn).map(([name, { within, fill: how, required }]) => [
              name,
              { stream, within: `${within}ms` as const, required, ...(how === 'none' ? {} : { fill: how }) },
            ]),
          )
          const fused = a.keyBy((row) => row.key).asOf('fuse', sides)
          fused.sink('out', sink('out'))
          fused.output('unmatched').sink('unmatched', sink('unmatched'))
        })
        const expected: { key: unknown; left: Row }[] = []
        const missing: Row[] = []
        for (const { row: left } of placedOf(p.input, 'a')) {
          const values = Object.entries(drawn).map(([name, how]): [string, Row | undefined] => {
            return [name, asOfValue(how, placedOf(p.input, 'b'), left.key, left.at)]
          })
          const isMissing = values.some(([name, value]) => value === undefined && drawn[name as 'first'].required)
          if (isMissing) missing.push(left)
          else expected.push({ key: left.key, left, ...Object.fromEntries(values) })
        }
        const rows = out.map(({ row }) => row as { key: unknown; left: Row })
        expectSameRows(rows, expected, ({ left }) => left.id)
        expectRising(
          rows,
          ({ key }) => key,
          ({ left }) => [left.at],
        )
        expectSameRows(
          out.map(({ time }) => time),
          rows.map(({ left }) => left.at),
          (time) => time,
        )
        expectSameRows(
          unmatched.map(({ row }) => row as Row),
          missing,
          ({ id }) => id,
        )
      }),
      { numRuns: oracleCases(80) },
    )
  })
})

describe('tables equal the oracle', () => {
  test('changes of a table, in order per key', async () => {
    await fc.assert(
      fc.asyncProperty(confined, async (p) => {
        const { out = [] } = await play(p, ({ streams: { b }, sink }) =>
          b
            .keyBy((row) => row.key)
            .toTable('table', { isDeleted: isGone })
            .sink('out', sink('out')),
        )
        const keys = Map.groupBy(placedOf(p.input, 'b'), ({ row }) => textOf(row.key))
        const got = Map.groupBy(out, ({ row }) => textOf((row as Row).key))
        for (const [key, rows] of keys) expectSameSequence(got.get(key) ?? [], changesOf(rows))
      }),
      { numRuns: oracleCases(40) },
    )
  })

  test('a stream joined with a table', async () => {
    await fc.assert(
      fc.asyncProperty(twoSteps, fc.constantFrom('inner', 'left'), async (p, type) => {
        const { out = [], unmatched = [] } = await play(p, ({ streams: { a, b }, sink }) => {
          const table = b.keyBy((row) => row.key).toTable('table', { isDeleted: isGone })
          const joined = a.keyBy((row) => row.key).joinTable('join', table, { type })
          joined.sink('out', sink('out'))
          joined.output('unmatched').sink('unmatched', sink('unmatched'))
        })
        const all = placedOf(p.input, 'a').map(({ row }): Pair => {
          return { key: row.key, left: row, right: tableValue(placedOf(p.input, 'b'), row.key, row.at) }
        })
        const isOut = ({ right }: Pair): boolean => type === 'left' || right !== undefined
        const rows = out.map(({ row }) => row as Pair)
        expectSameRows(rows, all.filter(isOut), address)
        expectRising(rows, keyOf, ({ left }) => [left?.at as number])
        expectSameRows(
          unmatched.map(({ row }) => row as Row),
          all.filter((pair) => !isOut(pair)).map(({ left }) => left as Row),
          ({ id }) => id,
        )
      }),
      { numRuns: oracleCases(50) },
    )
  })
})
