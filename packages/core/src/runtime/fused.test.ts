import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Batch, type Origin, RowBatch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import type { InlineOp } from '../graph/node.ts'
import { cases } from '../testing/cases.ts'
import { type ChainHost, compileChain, type InlineStep } from './fused.ts'

const modes = ['generated', 'interpreted'] as const

function step(op: InlineOp, fn: InlineStep['fn']): InlineStep {
  return { op, fn, step: `${op}-step`, at: 'app.ts:18' }
}

interface Failure {
  readonly stepIndex: number
  readonly message: string
  readonly row: unknown
  readonly time: number
  readonly key: CanonicalKey | undefined
  readonly at: string | undefined
}

function hostFor(steps: readonly InlineStep[], stopAfter = Number.POSITIVE_INFINITY) {
  const failures: Failure[] = []
  const host: ChainHost = {
    counts: new Float64Array(2 * steps.length),
    onError(stepIndex, error, row, time, key, at) {
      failures.push({ stepIndex, message: error instanceof Error ? error.message : String(error), row, time, key, at })
      if (failures.length > stopAfter) throw new Error('stopped')
    },
  }
  return { host, failures }
}

/** Everything of a batch as plain data. */
function contents(batch: Batch | undefined): unknown {
  if (batch === undefined) return undefined
  const indices = Array.from({ length: batch.length }, (_, i) => i)
  return {
    length: batch.length,
    rows: indices.map((i) => batch.keep(i)),
    times: Array.from(batch.times),
    keys: batch.keys === undefined ? undefined : Array.from(batch.keys),
    weights: batch.weights === undefined ? undefined : Array.from(batch.weights),
    at: batch.origin === undefined ? undefined : indices.map((i) => batch.origin?.at(i)),
  }
}

/** A batch whose `row` hands out one shared view, as column batches do. */
class SharedRowBatch extends RowBatch<{ n: number }> {
  readonly #view = { n: 0 }

  override row(i: number): { n: number } {
    this.#view.n = this.rows[i].n
    return this.#view
  }

  override keep(i: number): { n: number } {
    return { ...this.rows[i] }
  }

  override select(indices: ArrayLike<number>, count: number, keys?: ArrayLike<CanonicalKey>): SharedRowBatch {
    const b = super.select(indices, count, keys)
    return new SharedRowBatch(b.rows, b.times, b.keys, b.weights, b.origin)
  }

  override rekey(keys: ArrayLike<CanonicalKey> | undefined, times?: ArrayLike<number>): SharedRowBatch {
    const b = super.rekey(keys, times)
    return new SharedRowBatch(b.rows, b.times, b.keys, b.weights, b.origin)
  }
}

const origin: Origin = { source: 'src', partition: 'p0', at: (i) => i * 10 }

function numbers(values: readonly number[]): RowBatch<{ n: number }> {
  return new RowBatch(
    values.map((n) => ({ n })),
    values.map((_, i) => 1000 + i),
    undefined,
    undefined,
    origin,
  )
}

type Row = { n: number }

/** Steps of every kind that sometimes throw or return the wrong type, decided by the row alone. */
const anyStep: fc.Arbitrary<InlineStep> = fc
  .record({
    op: fc.constantFrom<InlineOp>('map', 'filter', 'flatMap', 'keyBy', 'timestamp'),
    failEvery: fc.constantFrom(0, 0, 0, 7, 3),
    wrong: fc.constantFrom('throw', 'undefined', 'promise'),
    variant: fc.nat(4),
  })
  .map(({ op, failEvery, wrong, variant }) => {
    const good: Record<InlineOp, (row: Row) => unknown> = {
      map: (row) => [row, { n: row.n + 1 }, { n: row.n, twice: row.n * 2 }, { n: -row.n }, { n: row.n }][variant],
      filter: (row) => [true, row.n % 2 === 0, row.n % 3 !== 0, row.n > 0, false][variant],
      flatMap: (row) =>
        [
          [row, row],
          [{ n: row.n }],
          row.n % 2 === 0 ? [] : [row, { n: row.n + 1 }, { n: 3 }],
          new Set([{ n: 1 }, { n: row.n }]),
          [],
        ][variant],
      keyBy: (row) => [String(row.n), row.n, -0, [row.n, 'x'], `\u0000${row.n}`][variant],
      timestamp: (row) => row.n + variant / 2,
    }
    return step(op, function user(row: Row): unknown {
      if (failEvery === 0 || Math.abs(row.n) % failEvery !== 1) return good[op](row)
      if (wrong === 'throw') throw new Error(`bad ${row.n}`)
      return wrong === 'promise' ? Promise.resolve(1) : undefined
    })
  })

describe('compileChain', () => {
  test('generated and interpreted chains give equal batches, counts and errors', () => {
    fc.assert(
      fc.property(
        fc.array(anyStep, { minLength: 1, maxLength: 6 }),
        fc.oneof(
          { weight: 9, arbitrary: fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 40 }) },
          {
            weight: 1,
            arbitrary: fc.integer({ min: 1, max: 4096 }).map((n) => Array.from({ length: n }, (_, i) => i)),
          },
        ),
        fc.record({ shared: fc.boolean(), keyed: fc.boolean(), weighted: fc.boolean(), stopAfter: fc.nat(60) }),
        (steps, values, { shared, keyed, weighted, stopAfter }) => {
          // Three flatMaps that triple each row are enough; more only cost time.
          if (steps.filter((s) => s.op === 'flatMap').length > 2) return
          const results = modes.map((mode) => {
            const rows = values.map((n) => ({ n }))
            const batch = new (shared ? SharedRowBatch : RowBatch<Row>)(
              rows,
              values.map((_, i) => i / 2),
              keyed ? values.map((_, i) => i % 3) : undefined,
              weighted ? Int8Array.from(values, (n) => (n % 2 === 0 ? 1 : -1)) : undefined,
              origin,
            )
            const { host, failures } = hostFor(steps, stopAfter > 50 ? Number.POSITIVE_INFINITY : stopAfter)
            const chain = compileChain(steps, mode)
            try {
              // Twice, so that memory kept between batches cannot leak from one into the next.
              const first = contents(chain(batch, host))
              return { first, second: contents(chain(batch, host)), failures, counts: [...host.counts] }
            } catch (error) {
              return { error: String(error), failures, counts: [...host.counts] }
            }
          })
          expect(results[0]).toEqual(results[1])
        },
      ),
      { numRuns: cases(300) },
    )
  })

  for (const mode of modes) {
    describe(mode, () => {
      test('a filter that keeps everything gives the batch itself', () => {
        const steps = [step('filter', () => true)]
        const batch = numbers([1, 2])
        expect(compileChain(steps, mode)(batch, hostFor(steps).host)).toBe(batch)
      })

      test('a batch of which nothing is left gives undefined and is counted', () => {
        const steps = [step('filter', () => false)]
        const { host } = hostFor(steps)
        expect(compileChain(steps, mode)(numbers([1, 2]), host)).toBeUndefined()
        expect([...host.counts]).toEqual([2, 0])
      })

      test('a dropped row skips all later steps, and origins follow the rows that are left', () => {
        const seen: number[] = []
        const steps = [
          step('filter', (r: Row) => r.n > 1),
          step('map', (r: Row) => {
            seen.push(r.n)
            return r.n
          }),
        ]
        const { host } = hostFor(steps)
        const out = compileChain(steps, mode)(numbers([1, 2, 3]), host)
        expect(seen).toEqual([2, 3])
        expect(contents(out)).toEqual({
          length: 2,
          rows: [2, 3],
          times: [1001, 1002],
          keys: undefined,
          weights: undefined,
          at: [10, 20],
        })
        expect([...host.counts]).toEqual([3, 2, 2, 2])
      })

      test('a filter that returns undefined is named with its place and the remedy', () => {
        const steps = [step('filter', function isHot() {})]
        const { host, failures } = hostFor(steps)
        compileChain(steps, mode)(numbers([1]), host)
        expect(failures[0].message).toBe(
          'filter function isHot (app.ts:18) returned undefined; it must return a boolean. Did you forget `return`?',
        )
        expect(failures[0]).toMatchObject({ stepIndex: 0, row: { n: 1 }, time: 1000, at: 'src p0:0' })
      })

      test('a map that returns a promise is pointed to mapAsync', () => {
        const steps = [step('map', async function enrich() {})]
        const { host, failures } = hostFor(steps)
        expect(compileChain(steps, mode)(numbers([1, 2]), host)).toBeUndefined()
        expect(failures[1].message).toBe(
          'map function enrich (app.ts:18) returned a promise; it must return the new row. This step cannot wait: use mapAsync.',
        )
        expect([...host.counts]).toEqual([2, 0])
      })

      test('a time that is not a finite number is TIME_INVALID', () => {
        const steps = [step('timestamp', () => new Date(0))]
        const errors: unknown[] = []
        const host = { counts: new Float64Array(2), onError: (_: number, error: unknown) => errors.push(error) }
        compileChain(steps, mode)(numbers([1]), host)
        expect(errors[0]).toBeInstanceOf(OperationalError)
        expect(errors[0]).toMatchObject({ code: 'TIME_INVALID', message: expect.stringContaining('date.getTime()') })
      })

      test('an error that the host does not accept stops the chain with that error', () => {
        const steps = [step('flatMap', (r: Row) => [r, r]), step('map', () => undefined)]
        const { host, failures } = hostFor(steps, 1)
        expect(() => compileChain(steps, mode)(numbers([1, 2, 3]), host)).toThrow('stopped')
        expect(failures).toHaveLength(2)
      })

      test('keys are canonical', () => {
        const steps = [step('keyBy', (r: Row) => [-0, '\u0000a', ['t', 1]][r.n])]
        const out = compileChain(steps, mode)(numbers([0, 1, 2]), hostFor(steps).host)
        expect(Object.is(out?.keys?.[0], 0)).toBe(true)
        expect(out?.keys?.[1]).toBe('\u0000\u0000a')
        expect(out?.keys?.[2]).toBe('\u0000T["t",1]')
      })

      test('a row view that a map returns unchanged is kept', () => {
        const steps = [step('map', (r: Row) => r)]
        const batch = new SharedRowBatch([{ n: 1 }, { n: 2 }], [1, 2])
        expect(contents(compileChain(steps, mode)(batch, hostFor(steps).host))).toMatchObject({
          rows: [{ n: 1 }, { n: 2 }],
        })
      })

      test('times, keys, weights and origins follow the rows of a flatMap that gives as many rows as it took', () => {
        const steps = [step('flatMap', (r: Row) => (r.n === 1 ? [] : r.n === 2 ? ['a', 'b'] : ['c']))]
        const batch = new RowBatch(
          [{ n: 1 }, { n: 2 }, { n: 3 }],
          [10, 20, 30],
          ['x', 'y', 'z'],
          Int8Array.of(1, -1, 1),
          origin,
        )
        expect(contents(compileChain(steps, mode)(batch, hostFor(steps).host))).toEqual({
          length: 3,
          rows: ['a', 'b', 'c'],
          times: [20, 20, 30],
          keys: ['y', 'y', 'z'],
          weights: [-1, -1, 1],
          at: [10, 10, 20],
        })
      })

      test('a failed row view is given to the host as a row that may be retained', () => {
        const steps = [
          step('filter', (r: Row) => {
            if (r.n < 3) throw new Error(`no ${r.n}`)
            return true
          }),
        ]
        const { host, failures } = hostFor(steps)
        compileChain(steps, mode)(new SharedRowBatch([{ n: 1 }, { n: 2 }, { n: 3 }], [1, 2, 3]), host)
        expect(failures.map((f) => f.row)).toEqual([{ n: 1 }, { n: 2 }])
      })

      test('a flatMap whose rows are read from a generator gives none of them when the generator throws', () => {
        const steps = [
          step('flatMap', function* (r: Row) {
            yield r.n
            if (r.n === 2) throw new Error('half way')
            yield r.n * 10
          }),
        ]
        const { host, failures } = hostFor(steps)
        const out = compileChain(steps, mode)(numbers([1, 2, 3]), host)
        expect(contents(out)).toMatchObject({ rows: [1, 10, 3, 30], times: [1000, 1000, 1002, 1002] })
        expect(failures).toHaveLength(1)
        expect([...host.counts]).toEqual([3, 4])
      })
    })
  }
})
