/**
 * Numeric accumulators as Float64 columns: how each starts, takes a value, merges and answers.
 *
 * Invariants:
 *  N1  Column 0 of every accumulator is its number of rows (inserted minus retracted); `at` is the first own column.
 *  N2  Sums are double-double numbers (two columns, about 106 bits), so the order of additions, and with it the
 *      parallelism, shows only far below 1e-12; integer sums are exact. Mean and variance are sums.
 *
 * Variance is kept as the sums of values and of squares. In double-double arithmetic their difference is good to 1e-12
 * up to a mean of about 1e9 standard deviations, merges and retracts exactly, and needs no division per row. Squares
 * must be doubles: beyond about 1e150, and for deviations below 1e-140, it is infinite or loses digits.
 * @see Dekker, A floating-point technique for extending the available precision, 1971
 */
export type Columns = ArrayLike<Float64Array>

export interface NumericKind {
  readonly name: string
  /** Own columns, after the row count. */
  readonly initial: readonly number[]
  /** 'finite' refuses infinities, 'number' only NaN; -0 counts as 0. */
  readonly takes: 'finite' | 'number'
  readonly retracts: boolean
  /** `weight` is -1 only when `retracts`. */
  add(columns: Columns, at: number, slot: number, value: number, weight: number): void
  merge(into: Columns, intoSlot: number, from: Columns, fromSlot: number, at: number): void
  result(columns: Columns, at: number, slot: number): number
}

export const countKind: NumericKind = {
  name: 'count',
  initial: [],
  takes: 'finite',
  retracts: true,
  add() {},
  merge() {},
  result: (columns, _, slot) => columns[0][slot],
}

export const sumKind: NumericKind = {
  name: 'sum',
  initial: [0, 0],
  takes: 'finite',
  retracts: true,
  add(columns, at, slot, value, weight) {
    addTo(columns, at, slot, weight < 0 ? -value : value, 0)
  },
  merge: mergeSum,
  result: (columns, at, slot) => columns[at][slot] + columns[at + 1][slot],
}

export const meanKind: NumericKind = {
  ...sumKind,
  name: 'mean',
  result: (columns, at, slot) => (columns[at][slot] + columns[at + 1][slot]) / columns[0][slot],
}

export const minKind: NumericKind = {
  name: 'min',
  initial: [Number.POSITIVE_INFINITY],
  takes: 'number',
  retracts: false,
  add(columns, at, slot, value) {
    if (value < columns[at][slot]) columns[at][slot] = value
  },
  merge(into, intoSlot, from, fromSlot, at) {
    if (from[at][fromSlot] < into[at][intoSlot]) into[at][intoSlot] = from[at][fromSlot]
  },
  result: (columns, at, slot) => columns[at][slot],
}

export const maxKind: NumericKind = {
  name: 'max',
  initial: [Number.NEGATIVE_INFINITY],
  takes: 'number',
  retracts: false,
  add(columns, at, slot, value) {
    if (value > columns[at][slot]) columns[at][slot] = value
  },
  merge(into, intoSlot, from, fromSlot, at) {
    if (from[at][fromSlot] > into[at][intoSlot]) into[at][intoSlot] = from[at][fromSlot]
  },
  result: (columns, at, slot) => columns[at][slot],
}

/** `freedom` is what n is reduced by in the divisor: 0 for a population, 1 for a sample. */
export function varianceKind(freedom: 0 | 1): NumericKind {
  return {
    name: 'variance',
    initial: [0, 0, 0, 0],
    takes: 'finite',
    retracts: true,
    add(columns, at, slot, value, weight) {
      addTo(columns, at, slot, weight < 0 ? -value : value, 0)
      const square = value * value
      const rest = productError(value, value, square)
      addTo(columns, at + 2, slot, weight < 0 ? -square : square, weight < 0 ? -rest : rest)
    },
    merge(into, intoSlot, from, fromSlot, at) {
      mergeSum(into, intoSlot, from, fromSlot, at)
      mergeSum(into, intoSlot, from, fromSlot, at + 2)
    },
    result(columns, at, slot) {
      const n = columns[0][slot]
      return n > freedom ? squaredDeviations(columns, at, slot, n) / (n - freedom) : 0
    },
  }
}

export function stddevKind(freedom: 0 | 1): NumericKind {
  const variance = varianceKind(freedom)
  return { ...variance, name: 'stddev', result: (columns, at, slot) => Math.sqrt(variance.result(columns, at, slot)) }
}

function mergeSum(into: Columns, intoSlot: number, from: Columns, fromSlot: number, at: number): void {
  addTo(into, at, intoSlot, from[at][fromSlot], from[at + 1][fromSlot])
}

/** Adds the double-double (value, rest). A sum beyond the range of doubles stays infinite. */
function addTo(columns: Columns, at: number, slot: number, value: number, rest: number): void {
  const high = columns[at]
  const low = columns[at + 1]
  const a = high[slot]
  const sum = a + value
  const b = sum - a
  const error = a - (sum - b) + (value - b) + low[slot] + rest
  const normal = sum + error
  if (normal - normal === 0) {
    high[slot] = normal
    low[slot] = error - (normal - sum)
  } else {
    high[slot] = sum
    low[slot] = 0
  }
}

/** n times the population variance: sum of squares minus square of the sum over n, in double-double. */
function squaredDeviations(columns: Columns, at: number, slot: number, n: number): number {
  const sum = columns[at][slot]
  const sumRest = columns[at + 1][slot]
  const product = sum * sum
  const productRest = productError(sum, sum, product) + 2 * sum * sumRest
  const mean = product / n
  const back = mean * n
  const meanRest = (product - back - productError(mean, n, back) + productRest) / n
  const squares = columns[at + 2][slot]
  const difference = squares - mean
  const b = difference - squares
  const error = squares - (difference - b) + (-mean - b)
  const result = difference + (error + columns[at + 3][slot] - meanRest)
  return squares === Number.POSITIVE_INFINITY ? squares : Math.max(result, 0)
}

const splitter = 134217729

/** What rounding `a * b` to `product` lost (Dekker, Veltkamp). */
function productError(a: number, b: number, product: number): number {
  const ca = splitter * a
  const ah = ca - (ca - a)
  const al = a - ah
  const cb = splitter * b
  const bh = cb - (cb - b)
  const bl = b - bh
  return ah * bh - product + ah * bl + al * bh + al * bl
}
