/**
 * The numeric aggregates and the constructor of one's own. The others are in aggregates-rows.ts and quantile.ts.
 */
import { UsageError } from '../errors.ts'
import {
  countKind,
  maxKind,
  meanKind,
  minKind,
  type NumericKind,
  stddevKind,
  sumKind,
  varianceKind,
} from './numeric.ts'
import type { Aggregate, ObjectPart } from './types.ts'

/** Number of rows. @example count().kind // => 'count' */
export function count(): Aggregate<unknown, number> {
  return numeric(countKind, undefined)
}

/**
 * Sum of a finite number per row, compensated: integers are exact up to 2^53, fractions within 1e-12 in any order.
 * A row whose value is NaN, infinite or no number goes to the step's error policy (`CALLBACK_RETURN`).
 */
export function sum<In>(value: (row: In) => number): Aggregate<In, number> {
  return numeric(sumKind, value)
}

/** Arithmetic mean of a finite number per row. Bad values as in `sum`. */
export function mean<In>(value: (row: In) => number): Aggregate<In, number> {
  return numeric(meanKind, value)
}

/** Least value; infinities are allowed, NaN is not. Cannot take retractions. */
export function min<In>(value: (row: In) => number): Aggregate<In, number> {
  return numeric(minKind, value)
}

/** Greatest value; infinities are allowed, NaN is not. Cannot take retractions. */
export function max<In>(value: (row: In) => number): Aggregate<In, number> {
  return numeric(maxKind, value)
}

export interface VarianceOptions {
  /** Divide by n - 1 instead of n. The variance of a single row is 0 either way. */
  readonly sample?: boolean
}

/** Variance of a finite number per row; of the population unless `sample`. Good to 1e-12 while |mean| < 1e9 stddev. */
export function variance<In>(value: (row: In) => number, options: VarianceOptions = {}): Aggregate<In, number> {
  return numeric(varianceKind(options.sample === true ? 1 : 0), value)
}

/** Square root of `variance`. */
export function stddev<In>(value: (row: In) => number, options: VarianceOptions = {}): Aggregate<In, number> {
  return numeric(stddevKind(options.sample === true ? 1 : 0), value)
}

export interface CustomAggregate<In, Acc, Out> {
  /** A new accumulator: a value that state can hold (see `ValueState`). */
  create(): Acc
  /** Takes a row; may change `acc` and return it. `time` is the row's event time. */
  add(acc: Acc, row: In, time: number): Acc
  /** Joins two accumulators; may change and return `into`, must neither change nor keep `from`. */
  merge?(into: Acc, from: Acc): Acc
  /** Takes a row back. Without it, retractions go to the step's error policy (`AGGREGATE_RETRACT`). */
  retract?(acc: Acc, row: In, time: number): Acc
  /** The value of the accumulator, which may go on changing afterwards: hand out a copy of what `add` changes in place. */
  result(acc: Acc): Out
}

/**
 * An aggregate of one's own. Windows that are put together from parts (hopping, session, sliding, count with a slide)
 * need `merge`.
 * @throws UsageError `AGGREGATE_SHAPE` when create, add or result is missing
 * @example
 * const longest = aggregate({ create: () => '', add: (acc, row: string) => (row.length > acc.length ? row : acc), result: acc => acc })
 * longest.kind // => 'aggregate'
 */
export function aggregate<In, Acc, Out>(custom: CustomAggregate<In, Acc, Out>): Aggregate<In, Out> {
  for (const name of ['create', 'add', 'result'] as const) {
    if (typeof custom[name] !== 'function') {
      throw new UsageError(
        'AGGREGATE_SHAPE',
        `aggregate({ ... }) has no function "${name}"; it needs create, add and result.`,
        {
          data: { missing: name },
        },
      )
    }
  }
  const part: ObjectPart = {
    type: 'object',
    retains: true,
    read: (row: unknown) => row,
    create: () => custom.create(),
    add: (acc, row, arrival) => custom.add(acc as Acc, row as In, arrival.time),
    ...(custom.merge === undefined
      ? {}
      : { merge: (into: unknown, from: unknown) => custom.merge?.(into as Acc, from as Acc) }),
    ...(custom.retract === undefined
      ? {}
      : {
          retract: (acc: unknown, row: unknown, arrival: { readonly time: number }) =>
            custom.retract?.(acc as Acc, row as In, arrival.time),
        }),
    result: (acc) => custom.result(acc as Acc),
  }
  return { kind: 'aggregate', part }
}

function numeric<In>(kind: NumericKind, value: ((row: In) => number) | undefined): Aggregate<In, number> {
  if (value !== undefined && typeof value !== 'function') {
    throw new UsageError(
      'AGGREGATE_SHAPE',
      `${kind.name}() needs a function from a row to a number; got ${typeof value}.`,
    )
  }
  return { kind: kind.name, part: { type: 'numeric', kind, value } }
}
