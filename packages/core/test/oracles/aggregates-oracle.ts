/** Every aggregate twice: as the engine has it, and from scratch over all rows of a window in exact arithmetic. */
import {
  type Aggregate,
  aggregate,
  collect,
  count,
  distinct,
  first,
  last,
  max,
  mean,
  min,
  quantile,
  reduce,
  stddev,
  sum,
  topN,
  variance,
} from 'millrace'
import type { Placed, Row } from './input.ts'
import { byTime } from './windows-oracle.ts'

export interface Tested {
  readonly aggregate: Aggregate<Row, unknown>
  /** `rows` in order of arrival, at least one. */
  readonly value: (rows: readonly Placed[]) => unknown
  /** True: the result depends on the order of arrival. */
  readonly byArrival?: boolean
}

const n = (row: Row): number => row.n
const numbers = (rows: readonly Placed[]): number[] => rows.map(({ row }) => row.n)
const bare = (rows: readonly Placed[]): Row[] => rows.map(({ row }) => row)
const sorted = (rows: readonly Placed[]): number[] => numbers(rows).sort((a, b) => a - b)

export const numericAggregates: Readonly<Record<string, Tested>> = {
  rows: { aggregate: count(), value: (rows) => rows.length },
  sum: { aggregate: sum(n), value: (rows) => ratio(exactSum(numbers(rows)), unit) },
  mean: { aggregate: mean(n), value: (rows) => ratio(exactSum(numbers(rows)), unit * BigInt(rows.length)) },
  min: { aggregate: min(n), value: (rows) => sorted(rows)[0] },
  max: { aggregate: max(n), value: (rows) => sorted(rows).at(-1) },
  variance: { aggregate: variance(n), value: (rows) => varianceOf(numbers(rows), 0) },
  sampleVariance: { aggregate: variance(n, { sample: true }), value: (rows) => varianceOf(numbers(rows), 1) },
  stddev: { aggregate: stddev(n), value: (rows) => Math.sqrt(varianceOf(numbers(rows), 0)) },
}

export const objectAggregates: Readonly<Record<string, Tested>> = {
  first: { aggregate: first<Row>(), value: (rows) => rows[0].row, byArrival: true },
  last: { aggregate: last((row: Row) => row.id), value: (rows) => rows.at(-1)?.row.id, byArrival: true },
  firstByTime: {
    aggregate: first((row: Row) => row.id, { order: 'eventTime' }),
    value: (rows) => byTime(rows)[0].row.id,
  },
  lastByTime: { aggregate: last<Row>({ order: 'eventTime' }), value: (rows) => byTime(rows).at(-1)?.row },
  collect: { aggregate: collect<Row>(), value: bare, byArrival: true },
  collectByTime: { aggregate: collect<Row>({ order: 'eventTime' }), value: (rows) => bare(byTime(rows)) },
  top: { aggregate: topN<Row>(2, n), value: (rows) => bare(ranked(rows, 2)), byArrival: true },
  topByTime: {
    aggregate: topN<Row>(3, n, { order: 'eventTime' }),
    value: (rows) => bare(ranked(byTime(rows), 3)),
  },
  distinct: { aggregate: distinct((row: Row) => row.n), value: (rows) => new Set(numbers(rows)).size },
  distinctTuples: {
    aggregate: distinct((row: Row) => [row.n > 0, row.id % 3]),
    value: (rows) => new Set(rows.map(({ row }) => `${row.n > 0} ${row.id % 3}`)).size,
  },
  median: { aggregate: quantile(0.5, n), value: (rows) => quantileOf(sorted(rows), 0.5) },
  p75: { aggregate: quantile(0.75, n), value: (rows) => quantileOf(sorted(rows), 0.75) },
  p0: { aggregate: quantile(0, n), value: (rows) => sorted(rows)[0] },
  reduce: {
    aggregate: reduce<Row>((a, b) => ({
      id: a.id + b.id,
      key: '',
      at: Math.min(a.at, b.at),
      n: Math.max(a.n, b.n),
    })),
    value: (rows) =>
      rows.length === 1
        ? rows[0].row
        : {
            id: rows.reduce((total, { row }) => total + row.id, 0),
            key: '',
            at: Math.min(...rows.map(({ row }) => row.at)),
            n: Math.max(...numbers(rows)),
          },
  },
  custom: {
    aggregate: aggregate({
      create: () => ({ ids: [] as number[], latest: Number.NEGATIVE_INFINITY }),
      add(acc, row: Row, time) {
        acc.ids.push(row.id)
        acc.latest = Math.max(acc.latest, time)
        return acc
      },
      merge: (into, from) => ({ ids: [...into.ids, ...from.ids], latest: Math.max(into.latest, from.latest) }),
      result: ({ ids, latest }) => ({ ids: [...ids].sort((a, b) => a - b), latest }),
    }),
    value: (rows) => ({
      ids: rows.map(({ row }) => row.id).sort((a, b) => a - b),
      latest: Math.max(...rows.map(({ row }) => row.at)),
    }),
  },
}

/** Numbers are multiples of this unit's inverse, so sums of them are whole. */
const unit = 1n << 20n

function exact(value: number): bigint {
  return BigInt(value * Number(unit))
}

function exactSum(values: readonly number[]): bigint {
  return values.reduce((total, value) => total + exact(value), 0n)
}

function varianceOf(values: readonly number[], ddof: 0 | 1): number {
  const size = BigInt(values.length)
  if (values.length === 1) return 0
  const total = exactSum(values)
  const squares = values.reduce((all, value) => all + exact(value) ** 2n, 0n)
  return ratio(squares * size - total * total, unit * unit * size * (size - BigInt(ddof)))
}

/** A quotient of whole numbers, correct to about 200 bits before it is rounded. */
function ratio(numerator: bigint, denominator: bigint): number {
  const sign = numerator < 0n ? -1 : 1
  const scaled = ((numerator * BigInt(sign)) << 200n) / denominator
  return (sign * Number(scaled)) / 2 ** 200
}

/** Greatest first, of equal ones the earlier in the list. */
function ranked(rows: readonly Placed[], most: number): Placed[] {
  const left = [...rows]
  const out: Placed[] = []
  while (left.length > 0 && out.length < most) {
    const best = left.reduce((a, b) => (b.row.n > a.row.n ? b : a))
    out.push(best)
    left.splice(left.indexOf(best), 1)
  }
  return out
}

function quantileOf(values: readonly number[], p: number): number {
  const rank = p * (values.length - 1)
  const below = Math.floor(rank)
  const above = Math.ceil(rank)
  return values[below] + (values[above] - values[below]) * (rank - below)
}
