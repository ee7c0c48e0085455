/**
 * Windows by the calendar of a time zone, around changes of the clocks. The oracle walks through time by the quarter of
 * an hour: a window begins when the clocks first show its start.
 */
import fc from 'fast-check'
import { count, hopping, sum, tumbling } from 'millrace'
import { test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectSameRows, textOf } from './compare.ts'
import { type Input, placedOf, playArbitrary, type Row } from './input.ts'
import { play } from './play.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const quarter = 900_000
const hour = 4 * quarter
const plays = playArbitrary({ isConfined: false, isWhole: true, partitionsMax: 2 })
const zones = fc.constantFrom(
  ['Europe/Berlin', Date.UTC(2023, 2, 26)],
  ['Europe/Berlin', Date.UTC(2022, 9, 30)],
  ['America/New_York', Date.UTC(2022, 10, 6)],
  ['Australia/Lord_Howe', Date.UTC(2023, 3, 1)],
  ['Asia/Kolkata', Date.UTC(2023, 0, 1)],
  ['UTC', 0],
) as fc.Arbitrary<readonly [string, number]>
/** Hours of slide, windows per size, hours of offset. */
const windows = fc.constantFrom([24, 1, 0], [24, 1, 6], [24, 3, 0], [48, 1, 0], [6, 1, 0], [6, 2, 1], [12, 1, 0])

test('windows in a time zone equal the oracle', async () => {
  await fc.assert(
    fc.asyncProperty(plays, zones, windows, async ({ input, lives }, [timeZone, middle], [slide, parts, offset]) => {
      const stretched = stretch(input, middle)
      const size = slide * parts
      const { out = [] } = await play({ input: stretched, lives }, ({ streams, sink }) =>
        streams.a
          .keyBy((row) => row.key)
          .window(parts === 1 ? tumbling(`${size}h`) : hopping(`${size}h`, `${slide}h`), {
            timeZone,
            ...(offset === 0 ? {} : { offset: `${offset}h` }),
          })
          .aggregate('days', { n: count(), sum: sum((row) => row.n) })
          .sink('out', sink('out')),
      )
      const edges = edgesOf(timeZone, middle, slide * hour, offset * hour)
      const keys = Map.groupBy(placedOf(stretched, 'a'), ({ row }) => textOf(row.key))
      const expected = [...keys.values()].flatMap((rows) =>
        edges.slice(0, -parts).flatMap((start, i) => {
          const window = { start, end: edges[i + parts] }
          const inside = rows.filter(({ row }) => row.at >= window.start && row.at < window.end)
          if (inside.length === 0) return []
          const total = inside.reduce((all, { row }) => all + row.n, 0)
          return [{ key: rows[0].row.key as unknown, window, n: inside.length, sum: total }]
        }),
      )
      expectSameRows(
        out.map(({ row }) => row as (typeof expected)[number]),
        expected,
        ({ key, window }) => [key, window],
      )
    }),
    { numRuns: oracleCases(60) },
  )
})

/** Seconds of the input become hours of a few days around `middle`. */
function stretch(input: Input, middle: number): Input {
  const { disorderMs, partitions } = input.a
  const least = Math.min(...placedOf(input, 'a').map(({ row }) => row.at))
  const perMs = 600_000
  const move = (row: Row): Row => ({ ...row, at: middle - 48 * hour + (row.at - least) * perMs })
  const moved = Object.entries(partitions).map(([name, rows]) => [name, rows.map((p) => ({ ...p, row: move(p.row) }))])
  return { a: { disorderMs: disorderMs * perMs, partitions: Object.fromEntries(moved) } }
}

const known = new Map<string, readonly number[]>()

/** Instants at which a window begins, over the days around `middle`. */
function edgesOf(timeZone: string, middle: number, step: number, offset: number): readonly number[] {
  const name = textOf([timeZone, middle, step, offset])
  let edges = known.get(name)
  if (edges === undefined) known.set(name, (edges = walk(timeZone, middle, step, offset)))
  return edges
}

function walk(timeZone: string, middle: number, step: number, offset: number): readonly number[] {
  const edges: number[] = []
  let furthest = Number.NEGATIVE_INFINITY
  for (let at = middle - 200 * hour; at < middle + 700 * hour; at += quarter) {
    const index = Math.floor((wallClock(timeZone, at) - offset) / step)
    if (index > furthest && furthest !== Number.NEGATIVE_INFINITY) edges.push(at)
    furthest = Math.max(furthest, index)
  }
  return edges
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** What the clocks of a zone show, as if it were UTC. */
function wallClock(timeZone: string, at: number): number {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
    formats.set(timeZone, format)
  }
  return Date.parse(`${format.format(at).replace(' ', 'T')}Z`)
}
