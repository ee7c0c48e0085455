/** Full batches of every size up to the largest, and the flow as a user runs it: state in a folder, the real clock. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { count, hopping, max, sum } from 'millrace'
import { arraySink, seededRandom } from 'millrace/testing'
import { describe, test, vi } from 'vitest'
import { oracleCases } from '../../src/testing/cases.ts'
import { expectSameRows, textOf } from './compare.ts'
import { type Input, type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import { build, type Life, play, type World } from './play.ts'
import { windowsOf } from './windows-oracle.ts'

// CI draws many more cases than fit into the time a test has by default.
vi.setConfig({ testTimeout: 120_000 })

const address = (row: Out) => [row.key, row.window]

interface Out {
  readonly key: unknown
  readonly window: { readonly start: number; readonly end: number }
  readonly n: number
  readonly sum: number
  readonly max: number
}

function connect({ streams, sink }: World): void {
  streams.a
    .keyBy((row) => row.key)
    .window(hopping('200ms', '50ms'))
    .aggregate('windows', { n: count(), sum: sum((row) => row.n), max: max((row) => row.n) })
    .sink('out', sink('out'))
}

function expected(input: Input): Out[] {
  const keys = Map.groupBy(placedOf(input, 'a'), ({ row }) => textOf(row.key))
  return [...keys.values()].flatMap((rows) =>
    windowsOf({ type: 'time', size: 200, slide: 50, offset: 0 }, rows).map(({ start, end, rows: inside }) => ({
      key: rows[0].row.key,
      window: { start, end },
      n: inside.length,
      sum: inside.reduce((total, { row }) => total + row.n, 0),
      max: Math.max(...inside.map(({ row }) => row.n)),
    })),
  )
}

/** Thousands of rows of many keys in two partitions. */
function manyRows(seed: number): Input {
  const random = seededRandom(seed)
  const partition = (name: string, length: number): Placed[] =>
    Array.from({ length }, (_, offset) => {
      const row: Row = { id: offset, key: random.int(300), at: offset / 4 - random.int(30), n: random.between(-50, 50) }
      return { row, source: 'a', partition: name, offset }
    })
  return { a: { disorderMs: 30, partitions: { p0: partition('p0', 9_000), p1: partition('p1', random.int(9_000)) } } }
}

describe('windows equal the oracle', () => {
  test('with batches that fill up to 4096 rows', async () => {
    const life: fc.Arbitrary<Life> = fc.record({
      workers: fc.constantFrom(1, 2, 3),
      batchRows: fc.constantFrom(4096, 4095, 1024, 777),
      loops: fc.constantFrom('generated' as const, 'interpreted' as const),
      paceMs: fc.constantFrom(0, 4),
      end: fc.record({ type: fc.constant('until' as const), rows: fc.integer({ min: 1, max: 8_000 }) }),
    })
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(life, { minLength: 1, maxLength: 2 }), async (seed, lives) => {
        const input = manyRows(seed)
        const { out = [] } = await play({ input, lives }, connect)
        expectSameRows(
          out.map(({ row }) => row as Out),
          expected(input),
          address,
        )
      }),
      { numRuns: oracleCases(4) },
    )
  })

  test('run as a user runs a flow: state in a folder, stopped and started again', async () => {
    const plays = playArbitrary({ isConfined: false, isWhole: true, hasCrashes: false })
    await fc.assert(
      fc.asyncProperty(plays, async ({ input, lives }) => {
        const state = await mkdtemp(path.join(tmpdir(), 'millrace-oracle-'))
        try {
          const rows: Out[] = []
          const sink = () => arraySink(rows as unknown[])
          for (const [i, { workers, batchRows, loops, end }] of lives.entries()) {
            const flow = build(input, undefined, connect, { sink, delay: () => Promise.resolve() })
            const isStopped = i + 1 < lives.length && end.type === 'until'
            const until = isStopped ? { until: { a: { '*': end.rows } } } : {}
            await flow.run({ state, workers, batchRows, loops, execution: 'inline', commitEvery: '2ms', ...until })
          }
          expectSameRows(rows, expected(input), address)
        } finally {
          await rm(state, { recursive: true, force: true })
        }
      }),
      { numRuns: oracleCases(10) },
    )
  })
})
