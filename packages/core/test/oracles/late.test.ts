/**
 * Rows later than the source promises. One partition and one worker, so the watermark before each row is known: what
 * is late, what a window with lateness still takes, and what it gives in the end equal the oracle.
 */
import fc from 'fast-check'
import { count, hopping, last, sum, tumbling } from 'millrace'
import { test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectSameRows, textOf } from './compare.ts'
import { inputArbitrary, type Placed, placedOf, type Row } from './input.ts'
import { play } from './play.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const inputs = inputArbitrary({ isConfined: true, partitionsMax: 1, rowsMax: 60, isWhole: true, disorders: [40] })
const settings = fc.record({
  window: fc.constantFrom([10, 10], [20, 5], [25, 7]),
  lateness: fc.constantFrom(0, 0, 8, 30),
  disorder: fc.constantFrom(0, 3),
  batchRows: fc.constantFrom(1, 3, 8, 4096),
  loops: fc.constantFrom('generated', 'interpreted'),
  isNumeric: fc.boolean(),
})

interface Out {
  readonly key: unknown
  readonly window: { readonly start: number; readonly end: number }
  readonly pane?: string
}

test('late rows, and windows that take them for a while, equal the oracle', async () => {
  await fc.assert(
    fc.asyncProperty(inputs, settings, async ({ a }, drawn) => {
      const { window, lateness, disorder, batchRows, loops, isNumeric } = drawn
      const [size, slide] = window
      const input = { a: { disorderMs: disorder, partitions: a.partitions } }
      const lives = [{ workers: 1, batchRows, loops, paceMs: 0, end: { type: 'until', rows: 0 } }] as const
      const { out = [], late = [] } = await play({ input, lives }, ({ streams, sink }) => {
        const step = streams.a
          .keyBy((row) => row.key)
          .window(size === slide ? tumbling(`${size}ms`) : hopping(`${size}ms`, `${slide}ms`), {
            lateness: `${lateness}ms`,
          })
          .aggregate('windows', {
            n: count(),
            sum: sum((row) => row.n),
            ...(isNumeric ? {} : { last: last((row: Row) => row.id) }),
          })
        step.sink('out', sink('out'))
        step.output('late').sink('late', sink('late'))
      })

      const taken = new Map<string, { start: number; rows: Placed[] }>()
      const lost: Row[] = []
      let watermark = Number.NEGATIVE_INFINITY
      for (const batch of chunks(placedOf(input, 'a'), batchRows)) {
        for (const placed of batch) {
          const { at, key } = placed.row
          const starts = range(Math.floor(at / slide) - size, Math.floor(at / slide)).map((k) => k * slide)
          const open = starts.filter((start) => at < start + size && start + size + lateness > watermark)
          if (open.length === 0) lost.push(placed.row)
          for (const start of open) {
            const name = textOf([key, start])
            taken.set(name, { start, rows: [...(taken.get(name)?.rows ?? []), placed] })
          }
        }
        watermark = Math.max(watermark, ...batch.map(({ row }) => row.at - disorder))
      }
      const expected = [...taken.values()].map(({ start, rows }) => ({
        key: rows[0].row.key as unknown,
        window: { start: start + 0, end: start + size },
        n: rows.length,
        sum: rows.reduce((total, { row }) => total + row.n, 0),
        ...(isNumeric ? {} : { last: rows[rows.length - 1].row.id }),
      }))
      const address = (row: Out) => [row.key, row.window]
      const results = out.map(({ row }) => row as Out)
      const finals = [...Map.groupBy(results, (row) => textOf(address(row))).values()].map((panes) => {
        const { pane: _, ...row } = panes[panes.length - 1]
        return row
      })
      expectSameRows(finals, expected, address)
      expectSameRows(
        late.map(({ row }) => row as Row),
        lost,
        ({ id }) => id,
      )
      // Each window is on time once; without lateness it gives nothing else.
      const onTime = results.filter(({ pane }) => pane === undefined || pane === 'onTime')
      expectSameRows(
        onTime.map((row) => ({ key: row.key, window: row.window })),
        [...new Map(onTime.map((row) => [textOf(address(row)), row])).values()].map(({ key, window: own }) => ({
          key,
          window: own,
        })),
        address,
      )
    }),
    { numRuns: oracleCases(120) },
  )
})

function chunks<T>(rows: readonly T[], length: number): T[][] {
  return Array.from({ length: Math.ceil(rows.length / length) }, (_, i) => rows.slice(i * length, (i + 1) * length))
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}
