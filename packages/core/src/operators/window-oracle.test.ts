import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Graph } from '../graph/node.ts'
import { oracleCases } from '../testing/cases.ts'
import { type OperatorHost, openOperator, type TimedRow } from '../testing/operator-host.ts'
import { aggregate, count, max, mean, min, stddev, sum, variance } from '../window/aggregates.ts'
import { collect, distinct, first, last, reduce, topN } from '../window/aggregates-rows.ts'
import { type OracleRow, oracleAggregates, oracleWindows } from '../window/oracle.ts'
import type { AnyAggregates } from '../window/plan.ts'
import { quantile } from '../window/quantile.ts'
import type { WindowSpec } from '../window/types.ts'
import { countWindow, everyCount, globalWindow, hopping, onEnd, session, sliding, tumbling } from '../window/windows.ts'
import { windowAggregate } from './window-aggregate.ts'
import { testInput } from './window-test-kit.ts'

const value = (row: OracleRow): number => row.value

const numeric: AnyAggregates = {
  n: count(),
  sum: sum(value),
  mean: mean(value),
  min: min(value),
  max: max(value),
  variance: variance(value),
  stddev: stddev(value),
}

const all: AnyAggregates = {
  ...numeric,
  distinct: distinct(value),
  median: quantile(0.5, value),
  first: first((row: OracleRow) => row.at),
  last: last((row: OracleRow) => row.at),
  rows: aggregate({
    create: (): number[] => [],
    add: (acc, row: OracleRow) => [...acc, row.at],
    merge: (into, from) => [...into, ...from],
    result: (acc) => [...acc].sort((a, b) => a - b),
  }),
  collected: collect<OracleRow>(),
  top: topN(2, value),
  total: reduce((a: OracleRow, b: OracleRow) => ({ ...a, at: a.at + b.at })),
}

/** A run: rows with bounded disorder, cut into batches with watermarks and snapshots between. */
interface Run {
  readonly rows: readonly OracleRow[]
  /** Batch length, does a watermark follow, does a snapshot and restore. */
  readonly cuts: readonly { length: number; hasWatermark: boolean; hasRestore: boolean }[]
}

const disorder = 40

const runs: fc.Arbitrary<Run> = fc.record({
  rows: fc
    .array(
      fc.record({
        step: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(0.25, 0.5, 10, 20, 45)),
        back: fc.integer({ min: 0, max: disorder }),
        key: fc.constantFrom('a', 'b', 'c'),
        value: fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(0.5, -0.125, 1e9, 1e-6, -0)),
      }),
      { maxLength: 120 },
    )
    .map((drawn) => {
      let front = -150
      return drawn.map(({ step, back, key, value }, at) => {
        front += step
        // Whole values plus multiples of 2^-20 stay exact in the oracle.
        return { time: front - back, key, value: value === 1e-6 ? 2 ** -20 : value, at }
      })
    }),
  cuts: fc.array(
    fc.record({
      length: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(4096)),
      hasWatermark: fc.boolean(),
      hasRestore: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  ),
})

function play(run: Run, spec: WindowSpec, aggregates: AnyAggregates, generate: boolean): Record<string, unknown>[] {
  const graph = new Graph('test')
  const node = windowAggregate(graph, { input: testInput(graph), name: 'w', window: spec, aggregates, generate })
  let host: OperatorHost = openOperator(node)
  const out: Record<string, unknown>[] = []
  const drain = (): void => {
    for (const { row } of host.take()) out.push(row as Record<string, unknown>)
  }
  let front = Number.NEGATIVE_INFINITY
  for (let from = 0, c = 0; from < run.rows.length; c = (c + 1) % run.cuts.length) {
    const { length, hasWatermark, hasRestore } = run.cuts[c]
    const batch = run.rows.slice(from, from + length)
    host.send(batch.map((row): TimedRow => [row.time, row, row.key]))
    from += length
    for (const row of batch) front = Math.max(front, row.time)
    if (hasWatermark) host.watermark(front - disorder - 12)
    drain()
    if (hasRestore) host = host.restore(host.snapshot())
  }
  host.end()
  drain()
  expect(host.emittedLate).toBe(0)
  expect(host.metrics.late).toBe(0)
  return out
}

function expectSame(got: readonly Record<string, unknown>[], expected: readonly Record<string, unknown>[]): void {
  const sortKey = (row: Record<string, unknown>): string => {
    const { start, end } = row.window as { start: number; end: number }
    return JSON.stringify([row.key, start, end, row.n, row.total, row.sum])
  }
  const sorted = (rows: readonly Record<string, unknown>[]) =>
    [...rows].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
  expect(got.length).toBe(expected.length)
  const e = sorted(expected)
  sorted(got).forEach((row, i) => {
    for (const name of Object.keys(row)) {
      const have = row[name]
      const want = e[i][name]
      if (typeof have === 'number' && typeof want === 'number' && have !== want) {
        expect(Math.abs(have - want), `${name}: ${have} is not ${want}`).toBeLessThanOrEqual(1e-12 * Math.abs(want))
      } else expect(have, name).toEqual(want)
    }
  })
}

function expected(spec: WindowSpec, rows: readonly OracleRow[], names: readonly string[]): Record<string, unknown>[] {
  return oracleWindows(spec, rows).map((window) => {
    const values = oracleAggregates(window.rows)
    const row: Record<string, unknown> = { key: window.key, window: { start: window.start, end: window.end } }
    for (const name of names) {
      if (name === 'total') row.total = { ...window.rows[0], at: values.total }
      else if (name === 'top') row.top = (values.top as number[]).map((at) => rows[at])
      else if (name === 'collected') row.collected = window.rows
      else if (name === 'rows') row.rows = [...(values.rows as number[])].sort((a, b) => a - b)
      else row[name] = values[name]
    }
    return row
  })
}

const specs: Record<string, WindowSpec> = {
  tumbling: tumbling('20ms'),
  'hopping by a divisor': hopping('30ms', '10ms'),
  'hopping by no divisor': hopping('25ms', '7ms'),
  'hopping with pairs': hopping('20ms', '15ms'),
  'hopping by the millisecond': hopping('3ms', '1ms'),
  'sessions apart': session('10ms'),
  'sessions touching': session('10ms', { merge: 'touching' }),
  sliding: sliding('30ms'),
  'count, tumbling': countWindow(5),
  'count, sliding': countWindow(7, 3),
  'count in event-time order': countWindow(4, 2, { order: 'eventTime' }),
  'global, every 4, purged': globalWindow({ trigger: everyCount(4) }),
  'global, every 4, accumulated': globalWindow({ trigger: everyCount(4), after: 'accumulate' }),
  'global at the end': globalWindow({ trigger: onEnd() }),
}

/** Aggregates whose result depends on the order of rows that the window puts in event-time order. */
const orderFree = (spec: WindowSpec): AnyAggregates => {
  const isByTime = spec.type === 'sliding' || (spec.type === 'count' && spec.order === 'eventTime')
  const { total: _total, ...rest } = all
  return isByTime
    ? Object.fromEntries(Object.entries(rest).filter(([n]) => !['first', 'last', 'collected', 'top'].includes(n)))
    : rest
}

describe.each(Object.entries(specs))('%s windows equal the oracle', (_, spec) => {
  it('with numeric aggregates, generated loop', () => {
    fc.assert(
      fc.property(runs, (run) =>
        expectSame(play(run, spec, numeric, true), expected(spec, run.rows, Object.keys(numeric))),
      ),
      { numRuns: oracleCases(60) },
    )
  })

  it('with numeric aggregates, interpreted loop', () => {
    fc.assert(
      fc.property(runs, (run) =>
        expectSame(play(run, spec, numeric, false), expected(spec, run.rows, Object.keys(numeric))),
      ),
      { numRuns: oracleCases(20) },
    )
  })

  it('with every aggregate', () => {
    const aggregates = orderFree(spec)
    fc.assert(
      fc.property(runs, (run) =>
        expectSame(play(run, spec, aggregates, true), expected(spec, run.rows, Object.keys(aggregates))),
      ),
      { numRuns: oracleCases(40) },
    )
  })
})
