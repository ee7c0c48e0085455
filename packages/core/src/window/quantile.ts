/**
 * Quantiles: exact for up to 1000 values per key and window, a sketch with bounded relative error beyond.
 *
 * Invariants:
 *  Q1  Whether a result is exact depends only on how many values there are, and a sketch only on which: so the result is
 *      the same bit for bit in any order and at any parallelism.
 * @see Masson, Rim, Lee: DDSketch, VLDB 2019
 */
import { UsageError } from '../errors.ts'
import { type Aggregate, BadValue } from './types.ts'

const exactMax = 1_000
const relativeError = 0.005
const gamma = (1 + relativeError) / (1 - relativeError)
const logGamma = Math.log(gamma)

/** Values while there are few, then counts per logarithmic bucket: of positives, of negatives, and of zeros. */
interface QuantileState {
  values: number[] | undefined
  readonly positive: Map<number, number>
  readonly negative: Map<number, number>
  zeros: number
}

/**
 * The value below which a share `p` (0 to 1) of the rows lies. Up to 1000 rows: exact, interpolated between neighbours.
 * Beyond: the value of the row of rank p * (n - 1), with a relative error of at most 0.5 %.
 * @throws UsageError `AGGREGATE_SHAPE` when p is not from 0 to 1
 * @example quantile(0.99, (r: { ms: number }) => r.ms).kind // => 'quantile'
 */
export function quantile<In>(p: number, value: (row: In) => number): Aggregate<In, number> {
  if (!(p >= 0 && p <= 1)) {
    throw new UsageError('AGGREGATE_SHAPE', `quantile(${String(p)}) is not possible; use a share from 0 to 1.`, {
      data: { got: p },
    })
  }
  return {
    kind: 'quantile',
    part: {
      type: 'object',
      retains: false,
      read(row: In) {
        const got = value(row)
        return Number.isFinite(got) ? got + 0 : new BadValue(got, 'a finite number')
      },
      create: (): QuantileState => ({ values: [], positive: new Map(), negative: new Map(), zeros: 0 }),
      add(acc, v) {
        const state = acc as QuantileState
        if (state.values === undefined) count(state, v as number, 1)
        else if (state.values.push(v as number) > exactMax) toSketch(state)
        return state
      },
      merge(acc, other) {
        const into = acc as QuantileState
        const from = other as QuantileState
        if (
          into.values !== undefined &&
          from.values !== undefined &&
          into.values.length + from.values.length <= exactMax
        ) {
          for (const v of from.values) into.values.push(v)
          return into
        }
        toSketch(into)
        for (const v of from.values ?? []) count(into, v, 1)
        for (const [bucket, n] of from.positive) into.positive.set(bucket, (into.positive.get(bucket) ?? 0) + n)
        for (const [bucket, n] of from.negative) into.negative.set(bucket, (into.negative.get(bucket) ?? 0) + n)
        into.zeros += from.zeros
        return into
      },
      result(acc) {
        const state = acc as QuantileState
        return state.values === undefined ? ofSketch(state, p) : ofValues(state.values, p)
      },
    },
  }
}

function toSketch(state: QuantileState): void {
  const values = state.values ?? []
  state.values = undefined
  for (const v of values) count(state, v, 1)
}

function count(state: QuantileState, v: number, n: number): void {
  if (v === 0) {
    state.zeros += n
    return
  }
  const buckets = v > 0 ? state.positive : state.negative
  const bucket = Math.ceil(Math.log(Math.abs(v)) / logGamma)
  buckets.set(bucket, (buckets.get(bucket) ?? 0) + n)
}

function ofValues(values: readonly number[], p: number): number {
  const sorted = Float64Array.from(values).sort()
  const rank = p * (sorted.length - 1)
  const below = Math.floor(rank)
  const above = Math.min(below + 1, sorted.length - 1)
  const share = rank - below
  return share === 0 ? sorted[below] : sorted[below] * (1 - share) + sorted[above] * share
}

function ofSketch(state: QuantileState, p: number): number {
  const middle = (bucket: number): number => (2 * Math.exp(bucket * logGamma)) / (gamma + 1)
  let n = state.zeros
  for (const m of state.positive.values()) n += m
  for (const m of state.negative.values()) n += m
  let rank = Math.floor(p * (n - 1))
  for (const bucket of [...state.negative.keys()].sort((a, b) => b - a)) {
    rank -= state.negative.get(bucket) as number
    if (rank < 0) return -middle(bucket)
  }
  rank -= state.zeros
  if (rank < 0) return 0
  let result = 0
  for (const bucket of [...state.positive.keys()].sort((a, b) => a - b)) {
    result = middle(bucket)
    rank -= state.positive.get(bucket) as number
    if (rank < 0) return result
  }
  return result
}
