/** Flows of several steps with state: the second one lives on the watermark that the first one lets through. */
import fc from 'fast-check'
import { count, countWindow, hopping, session, sum, tumbling } from 'millrace'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectRising, expectSameRows, textOf } from './compare.ts'
import { type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import { type JoinType, type Pair, pairsOf, timeOf } from './joins-oracle.ts'
import { type Got, type Play, play } from './play.ts'
import { debounced, deduped } from './steps-oracle.ts'
import { type WindowKind, windowsOf } from './windows-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const shared = { isWhole: true, hasIdle: false, partitionsMax: 3, rowsMax: 30 } as const
const one = playArbitrary({ ...shared, isConfined: false })
const confined = playArbitrary({ ...shared, isConfined: true })
const two = playArbitrary({ ...shared, isConfined: false, sources: ['a', 'b'] })

interface Windowed {
  readonly key: unknown
  readonly window: { readonly start: number; readonly end: number }
  readonly n: number
  readonly sum: number
}

const address = ({ key, window }: Omit<Windowed, 'sum'>) => [key, window]
const rowsOf = <T>(got: readonly Got[] = []): T[] => got.map(({ row }) => row as T)
const keyOf = ({ key }: Windowed): unknown => key
const endOf = ({ window }: Windowed): number[] => [window.end]

/** Windows over values of a time and a key, with how many there are and their sum. */
function totals(kind: WindowKind, values: readonly { key: unknown; time: number; n: number }[]): Windowed[] {
  const placed = values.map(({ key, time, n }, offset): Placed => {
    return { row: { id: offset, key: key as Row['key'], at: time, n }, source: '', partition: '', offset }
  })
  return [...Map.groupBy(placed, ({ row }) => textOf(row.key)).values()].flatMap((rows) =>
    windowsOf(kind, rows).map(({ start, end, rows: inside }) => ({
      key: rows[0].row.key,
      window: { start, end },
      n: inside.length,
      sum: inside.reduce((total, { row }) => total + row.n, 0),
    })),
  )
}

const timed = (rows: readonly Placed[]) => rows.map(({ row }) => ({ key: row.key, time: row.at, n: row.n }))
const ofTime = (size: number, slide = size): WindowKind => ({ type: 'time', size, slide, offset: 0 })

describe('chains of steps with state equal the oracle', () => {
  test('windows of an interval join', async () => {
    const type = fc.constantFrom<JoinType>('inner', 'left', 'outer')
    await fc.assert(
      fc.asyncProperty(two, type, fc.constantFrom(0, 10, 60), async (p, type, reach) => {
        const { out } = await play(p, ({ streams: { a, b }, sink }) =>
          a
            .keyBy((row) => row.key)
            .join(
              'pairs',
              b.keyBy((row) => row.key),
              { within: [`${reach}ms`, '5ms'], type },
            )
            .keyBy((pair) => pair.key)
            .window(tumbling('25ms'))
            .aggregate('windows', { n: count(), sum: sum((pair) => (pair.right?.n ?? 0) - (pair.left?.n ?? 0)) })
            .sink('out', sink('out')),
        )
        const fits = (left: Row, right: Row): boolean => right.at >= left.at - reach && right.at <= left.at + 5
        const pairs = pairsOf(type, placedOf(p.input, 'a'), placedOf(p.input, 'b'), fits)
        const expected = totals(
          ofTime(25),
          pairs.map((pair: Pair) => ({
            key: pair.key,
            time: timeOf(pair),
            n: (pair.right?.n ?? 0) - (pair.left?.n ?? 0),
          })),
        )
        expectSameRows(rowsOf<Windowed>(out), expected, address)
        expectRising(rowsOf<Windowed>(out), keyOf, endOf)
      }),
      { numRuns: oracleCases(40) },
    )
  })

  test('an as-of join with the windows of another stream', async () => {
    await fc.assert(
      fc.asyncProperty(two, fc.constantFrom(10, 50), fc.constantFrom(0, 30, 300), async (p, size, within) => {
        const { out } = await play(p, ({ streams: { a, b }, sink }) => {
          const windows = b
            .keyBy((row) => row.key)
            .window(tumbling(`${size}ms`))
            .aggregate('windows', { n: count(), sum: sum((row) => row.n) })
            .keyBy((window) => window.key)
          a.keyBy((row) => row.key)
            .asOf('fuse', { latest: { stream: windows, within: `${within}ms` } })
            .sink('out', sink('out'))
        })
        const windows = totals(ofTime(size), timed(placedOf(p.input, 'b')))
        const expected = placedOf(p.input, 'a').map(({ row }) => {
          const own = windows.filter(({ key, window }) => textOf(key) === textOf(row.key) && window.end - 1 <= row.at)
          const latest = own.reduce<Windowed | undefined>(
            (best, other) => (best === undefined || other.window.end > best.window.end ? other : best),
            undefined,
          )
          const isNear = latest !== undefined && latest.window.end - 1 >= row.at - within
          return { key: row.key as unknown, left: row, latest: isNear ? latest : undefined }
        })
        expectSameRows(rowsOf<(typeof expected)[number]>(out), expected, ({ left }) => left.id)
      }),
      { numRuns: oracleCases(40) },
    )
  })

  test('windows of windows, and all of them together', async () => {
    await fc.assert(
      fc.asyncProperty(one, async (p) => {
        const { out, all } = await play(p, ({ streams, sink }) => {
          const small = streams.a
            .keyBy((row) => row.key)
            .window(session('10ms'))
            .aggregate('small', { n: count(), sum: sum((row) => row.n) })
          small
            .keyBy((window) => window.key)
            .window(hopping('60ms', '20ms'))
            .aggregate('large', { n: count(), sum: sum((window) => window.sum) })
            .sink('out', sink('out'))
          small
            .windowAll(tumbling('50ms'))
            .aggregate('wide', { n: count(), sum: sum((window) => window.n) })
            .map((row) => ({ key: 'all', ...row }))
            .sink('all', sink('all'))
        })
        const small = totals({ type: 'session', gap: 10, touches: false }, timed(placedOf(p.input, 'a')))
        const large = small.map(({ key, window, sum }) => ({ key, time: window.end - 1, n: sum }))
        expectSameRows(rowsOf<Windowed>(out), totals(ofTime(60, 20), large), address)
        const wide = small.map(({ window, n }) => ({ key: 'all', time: window.end - 1, n }))
        expectSameRows(rowsOf<Windowed>(all), totals(ofTime(50), wide), address)
        expectRising(rowsOf<Windowed>(all), keyOf, endOf)
      }),
      { numRuns: oracleCases(40) },
    )
  })

  test('count windows of what dedupe lets through, and windows of what debounce does', async () => {
    const byKey = (p: Play): Placed[][] => [
      ...Map.groupBy(placedOf(p.input, 'a'), ({ row }) => textOf(row.key)).values(),
    ]
    await fc.assert(
      fc.asyncProperty(confined, async (p) => {
        const { once, quiet } = await play(p, ({ streams, sink }) => {
          const keyed = streams.a.keyBy((row) => row.key)
          keyed
            .dedupe('dedupe', { by: (row) => row.n, within: '30ms' })
            .window(countWindow(3, 2))
            .aggregate('counted', { n: count(), sum: sum((row) => row.n) })
            .sink('once', sink('once'))
          keyed
            .debounce('debounce', { gap: '8ms' })
            .keyBy((row) => row.key)
            .window(tumbling('40ms'))
            .aggregate('calm', { n: count(), sum: sum((row) => row.n) })
            .sink('quiet', sink('quiet'))
        })
        const passed = byKey(p).flatMap((rows) => deduped(rows, (row) => row.n, 30))
        const times = (rows: readonly Row[], later: number) =>
          rows.map((row) => ({ key: row.key, time: row.at + later, n: row.n }))
        const counted = totals({ type: 'count', size: 3, slide: 2, byTime: false }, times(passed, 0))
        expectSameRows(rowsOf<Windowed>(once), counted, address)
        const calm = byKey(p).flatMap((rows) => debounced(rows, 8))
        expectSameRows(rowsOf<Windowed>(quiet), totals(ofTime(40), times(calm, 8)), address)
      }),
      { numRuns: oracleCases(30) },
    )
  })
})
