/** Windows and aggregates of whole flows equal oracles that look at all rows at once. */
import fc from 'fast-check'
import {
  countWindow,
  everyCount,
  globalWindow,
  hopping,
  onEnd,
  session,
  sliding,
  tumbling,
  type WindowSpec,
  when,
} from 'millrace'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { numericAggregates, objectAggregates, type Tested } from './aggregates-oracle.ts'
import { expectRising, expectSameRows, textOf } from './compare.ts'
import { type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import { type Play, play } from './play.ts'
import { isTrigger, type OracleWindow, type WindowKind, windowsOf } from './windows-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const everyAggregate = { ...numericAggregates, ...objectAggregates }
const size = fc.integer({ min: 1, max: 60 })
const sized = size.chain((s) => fc.record({ size: fc.constant(s), slide: fc.integer({ min: 1, max: s }) }))
const smallSized = fc
  .integer({ min: 1, max: 7 })
  .chain((s) => fc.record({ size: fc.constant(s), slide: fc.integer({ min: 1, max: s }) }))

const kinds: Readonly<Record<string, fc.Arbitrary<WindowKind>>> = {
  tumbling: size.map((s) => ({ type: 'time', size: s, slide: s, offset: 0 })),
  'tumbling with offset': size
    .chain((s) => fc.record({ s: fc.constant(s), offset: fc.nat(s - 1) }))
    .map(({ s, offset }) => ({ type: 'time', size: s, slide: s, offset })),
  hopping: sized.chain(({ size: s, slide }) =>
    fc
      .nat(slide - 1)
      .map((offset): WindowKind => ({ type: 'time', size: s, slide: Math.max(slide, Math.ceil(s / 12)), offset })),
  ),
  sliding: size.map((s) => ({ type: 'sliding', size: s })),
  session: fc
    .record({ gap: fc.constantFrom(1, 5, 10, 45, 100), touches: fc.boolean() })
    .map((drawn) => ({ type: 'session', ...drawn })),
  count: smallSized.map((drawn) => ({ type: 'count', ...drawn, byTime: false })),
  'count by event time': smallSized.map((drawn) => ({ type: 'count', ...drawn, byTime: true })),
  global: fc
    .record({
      trigger: fc.oneof(
        fc.constant('end' as const),
        fc.integer({ min: 1, max: 6 }).map((every) => ({ every })),
        fc.integer({ min: 2, max: 5 }).map((modulus) => ({ when: modulus })),
      ),
      purges: fc.boolean(),
    })
    .map((drawn) => ({ type: 'global', ...drawn })),
}

function specOf(kind: WindowKind): WindowSpec {
  switch (kind.type) {
    case 'time':
      return kind.size === kind.slide ? tumbling(`${kind.size}ms`) : hopping(`${kind.size}ms`, `${kind.slide}ms`)
    case 'sliding':
      return sliding(`${kind.size}ms`)
    case 'session':
      return session(`${kind.gap}ms`, kind.touches ? { merge: 'touching' } : {})
    case 'count':
      return countWindow(kind.size, kind.slide, kind.byTime ? { order: 'eventTime' } : {})
    case 'global': {
      const { trigger, purges } = kind
      const after = purges ? 'purge' : 'accumulate'
      if (trigger === 'end') return globalWindow({ trigger: onEnd(), after })
      if ('every' in trigger) return globalWindow({ trigger: everyCount(trigger.every), after })
      return globalWindow({ trigger: when((row: Row) => isTrigger(row.id, trigger.when)), after })
    }
  }
}

const optionsOf = (kind: WindowKind) =>
  kind.type === 'time' && kind.offset > 0 ? { offset: `${kind.offset}ms` as const } : {}
const byArrival = new Set(['count', 'global'])

/** Windows whose rows are numbered as they arrive. */
const isByArrival = (kind: WindowKind): boolean => kind.type === 'global' || (kind.type === 'count' && !kind.byTime)

/** Some aggregates, half of the time only such as live in columns. */
function some(isArrivalKnown: boolean): fc.Arbitrary<string[]> {
  const known = Object.keys(everyAggregate).filter((name) => isArrivalKnown || everyAggregate[name].byArrival !== true)
  const pick = (names: readonly string[]) => fc.subarray([...names], { minLength: 1 })
  return fc.oneof(pick(Object.keys(numericAggregates)), pick(known), fc.constant(known))
}

type Out = { readonly key?: unknown; readonly window: { readonly start: number; readonly end: number } }

const aggregatesOf = (names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, everyAggregate[name].aggregate]))
const valuesOf = (names: readonly string[], rows: readonly Placed[]) =>
  Object.fromEntries(names.map((name) => [name, (everyAggregate[name] as Tested).value(rows)]))
const boundsOf = ({ start, end }: OracleWindow) => ({ start, end })
const addressOf = (row: Out) => [row.key, row.window]

function expectedOf(kind: WindowKind, p: Play, values: (rows: readonly Placed[]) => object): Out[] {
  const keys = Map.groupBy(placedOf(p.input, 'a'), ({ row }) => textOf(row.key))
  return [...keys.values()].flatMap((rows) =>
    windowsOf(kind, rows).map((window) => ({ key: rows[0].row.key, window: boundsOf(window), ...values(window.rows) })),
  )
}

/** By the end of windows; windows over row numbers by their first row where it moves on. */
function expectInOrder(kind: WindowKind, got: readonly Out[]): void {
  if (!isByArrival(kind))
    expectRising(
      got,
      (row) => row.key,
      (row) => [row.window.end],
    )
}

describe.each(Object.entries(kinds))('%s windows equal the oracle', (name, arbitrary) => {
  for (const isConfined of [true, false]) {
    const title = isConfined ? 'keys in one partition each' : 'keys all over the partitions'
    if (!isConfined && byArrival.has(name)) continue
    test(`with some aggregates, ${title}`, async () => {
      await fc.assert(
        fc.asyncProperty(playArbitrary({ isConfined }), arbitrary, some(isConfined), async (p, kind, names) => {
          const { out = [] } = await play(p, ({ streams, sink }) =>
            streams.a
              .keyBy((row) => row.key)
              .window(specOf(kind), optionsOf(kind))
              .aggregate('windows', aggregatesOf(names))
              .sink('out', sink('out')),
          )
          const rows = out.map(({ row }) => row as Out)
          expectSameRows(
            rows,
            expectedOf(kind, p, (inside) => valuesOf(names, inside)),
            addressOf,
          )
          expectInOrder(kind, rows)
          if (kind.type === 'time' || kind.type === 'session') {
            expectSameRows(
              out.map(({ time }) => time),
              rows.map(({ window }) => window.end - 1),
              (time) => time,
            )
          }
        }),
        { numRuns: oracleCases(isConfined ? 24 : 12) },
      )
    })
  }

  test('with a function of the rows', async () => {
    await fc.assert(
      fc.asyncProperty(playArbitrary({ isConfined: true }), arbitrary, async (p, kind) => {
        const { out = [] } = await play(p, ({ streams, sink }) =>
          streams.a
            .keyBy((row) => row.key)
            .window(specOf(kind), optionsOf(kind))
            .aggregate('windows', (rows) => ({ ids: rows.map((row) => row.id) }))
            .sink('out', sink('out')),
        )
        const expected = expectedOf(kind, p, (inside) => ({ value: { ids: inside.map(({ row }) => row.id) } }))
        expectSameRows(
          out.map(({ row }) => row as Out),
          expected,
          addressOf,
        )
      }),
      { numRuns: oracleCases(8) },
    )
  })

  test('over a whole stream', async () => {
    const usable = fc.tuple(arbitrary, fc.boolean()).chain(([kind, isOne]) => {
      const isArrivalKnown = isOne || isByArrival(kind)
      const inputs = playArbitrary({ isConfined: true, ...(isArrivalKnown ? { partitionsMax: 1 } : {}) })
      return fc.record({ kind: fc.constant(kind), p: inputs, names: some(isArrivalKnown) })
    })
    await fc.assert(
      fc.asyncProperty(usable, async ({ kind, p, names }) => {
        const { out = [] } = await play(p, ({ streams, sink }) =>
          streams.a
            .windowAll(specOf(kind), optionsOf(kind))
            .aggregate('all', aggregatesOf(names))
            .sink('out', sink('out')),
        )
        const expected = windowsOf(kind, placedOf(p.input, 'a')).map((window) => ({
          window: boundsOf(window),
          ...valuesOf(names, window.rows),
        }))
        const rows = out.map(({ row }) => row as Out)
        expectSameRows(rows, expected, addressOf)
        expectInOrder(kind, rows)
      }),
      { numRuns: oracleCases(8) },
    )
  })
})
