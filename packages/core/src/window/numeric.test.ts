import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../testing/cases.ts'
import { type NumericKind, stddevKind, sumKind, varianceKind } from './numeric.ts'
import { quantile } from './quantile.ts'
import type { Arrival, ObjectPart } from './types.ts'

const open = (kind: NumericKind): Float64Array[] => [0, ...kind.initial].map((v) => Float64Array.of(v))

function fold(kind: NumericKind, values: readonly number[], columns = open(kind), weight = 1): Float64Array[] {
  for (const v of values) {
    columns[0][0] += weight
    kind.add(columns, 1, 0, v, weight)
  }
  return columns
}

function merged(kind: NumericKind, parts: readonly (readonly number[])[]): Float64Array[] {
  const into = open(kind)
  for (const part of parts) {
    const from = fold(kind, part)
    into[0][0] += from[0][0]
    kind.merge(into, 0, from, 0, 1)
  }
  return into
}

describe('sum', () => {
  it('keeps what cancellation would lose', () => {
    expect(sumKind.result(fold(sumKind, [1e100, 1, -1e100]), 1, 0)).toBe(1)
    expect(sumKind.result(fold(sumKind, Array<number>(10).fill(0.1)), 1, 0)).toBe(1)
  })

  it('of integers is exact to 2^53 in any grouping', () => {
    const values = [2 ** 53 - 1, -1, 1, -5, 5, 3, -3]
    expect(sumKind.result(merged(sumKind, [values.slice(0, 3), values.slice(3)]), 1, 0)).toBe(2 ** 53 - 1)
  })

  it('is infinite, not NaN, beyond the range of doubles', () => {
    expect(sumKind.result(fold(sumKind, [1e308, 1e308, 1e308]), 1, 0)).toBe(Number.POSITIVE_INFINITY)
  })

  it('takes back what it was given', () => {
    const columns = fold(sumKind, [0.1, 0.2, 0.3])
    expect(sumKind.result(fold(sumKind, [0.3, 0.1], columns, -1), 1, 0)).toBe(0.2)
  })
})

describe('variance', () => {
  it('is good to 1e-12 for a mean of 1e9 standard deviations, merged or not', () => {
    const kind = varianceKind(0)
    const small = Array.from({ length: 1_000 }, (_, i) => (i % 7) - 3)
    const exact = small.reduce((s, v) => s + v * v, 0) / 1_000 - (small.reduce((s, v) => s + v, 0) / 1_000) ** 2
    const values = small.map((v) => v + 2e9)
    const halves = [values.slice(0, 333), values.slice(333)]
    for (const columns of [fold(kind, values), merged(kind, halves)]) {
      expect(Math.abs(kind.result(columns, 1, 0) / exact - 1)).toBeLessThan(1e-12)
    }
  })

  it('of equal values is 0 and never negative', () => {
    const kind = stddevKind(0)
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: 1e-100, max: 1e9 }), fc.integer({ min: 1, max: 50 }), (v, n) => {
        expect(kind.result(fold(kind, Array<number>(n).fill(v)), 1, 0)).toBeLessThanOrEqual(1e-14 * Math.abs(v))
      }),
      { numRuns: cases(100) },
    )
  })

  it('of a sample divides by n - 1, and is 0 for one row', () => {
    const kind = varianceKind(1)
    expect(kind.result(fold(kind, [1, 2, 3]), 1, 0)).toBe(1)
    expect(kind.result(fold(kind, [5]), 1, 0)).toBe(0)
  })
})

describe('quantile', () => {
  const part = (p: number): ObjectPart => quantile(p, (v: number) => v).part as ObjectPart
  const of = (p: number, values: readonly number[], split = 1): number => {
    const q = part(p)
    const accs = Array.from({ length: split }, () => q.create())
    values.forEach((v, i) => {
      accs[i % split] = q.add(accs[i % split], q.read(v as never), {} as Arrival)
    })
    return q.result(accs.reduce((a, b) => q.merge?.(a, b))) as number
  }

  it('is exact and interpolated for up to 1000 values', () => {
    expect(of(0.5, [4, 1, 3, 2])).toBe(2.5)
    expect(of(0, [4, 1, 3])).toBe(1)
    expect(of(1, [4, 1, 3], 3)).toBe(4)
  })

  it('stays within 0.5 % of the value of its rank beyond, and does not depend on how rows were split', () => {
    const values = Array.from({ length: 5_000 }, (_, i) => ((i * 7_919) % 5_000) - 2_000 + 0.5)
    const sorted = [...values].sort((a, b) => a - b)
    for (const p of [0, 0.01, 0.25, 0.5, 0.9, 0.999, 1]) {
      const exact = sorted[Math.floor(p * 4_999)]
      expect(Math.abs(of(p, values) - exact)).toBeLessThanOrEqual(0.005_000_1 * Math.abs(exact))
      expect(of(p, values, 7)).toBe(of(p, values))
    }
  })
})
