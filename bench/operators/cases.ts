/**
 * What is measured: each operator in the smallest flow that uses it, and where a program would do without an engine, the
 * same by hand (`byHand`): a loop and a Map, without event time, state that survives, or checks.
 */
import {
  count,
  countWindow,
  distinct,
  everyCount,
  first,
  globalWindow,
  hopping,
  quantile,
  type Stream,
  session,
  sliding,
  sum,
  tumbling,
} from 'millrace'
import * as hand from './by-hand.ts'
import type { Reading } from './rows.ts'

export interface OperatorCase {
  readonly group: 'stateless' | 'windows' | 'keyed state' | 'joins'
  /** `side` is a second stream with every tenth reading. */
  build(input: Stream<Reading>, side: () => Stream<Reading>): Stream<unknown>
  byHand?(rows: readonly Reading[]): hand.Out
  readonly input?: 'columns'
  readonly loops?: 'interpreted'
  /** Reads the side stream too. */
  readonly hasSide?: true
}

const key = (row: Reading): number => row.key
const value = (row: Reading): number => row.value
const toFahrenheit = (row: Reading): Reading => ({ ...row, value: row.value * 1.8 + 32 })
const isWarm = (row: Reading): boolean => row.value >= 0

const eight = (input: Stream<Reading>): Stream<Reading> => {
  return input
    .map((row) => ({ id: row.id, key: row.key, value: row.value + 1, at: row.at }))
    .filter((row) => row.value > 0)
    .map((row) => ({ id: row.id, key: row.key, value: row.value * 2, at: row.at }))
    .filter((row) => row.value > 1)
    .map((row) => ({ id: row.id, key: row.key, value: row.value - 3, at: row.at }))
    .filter((row) => row.value > -10)
    .map((row) => ({ id: row.id, key: row.key, value: row.value / 2, at: row.at }))
    .filter((row) => row.value < 1e9)
}

const warmKeys = (input: Stream<Reading>): Stream<unknown> => input.filter((row) => row.key % 2 === 0).map(value)

export const cases: Readonly<Record<string, OperatorCase>> = {
  map: { group: 'stateless', build: (s) => s.map(toFahrenheit), byHand: (rows) => hand.map(rows, toFahrenheit) },
  'map, interpreted': { group: 'stateless', build: (s) => s.map(toFahrenheit), loops: 'interpreted' },
  filter: { group: 'stateless', build: (s) => s.filter(isWarm), byHand: (rows) => hand.filter(rows, isWarm) },
  flatMap: { group: 'stateless', build: (s) => s.flatMap((row) => [row]) },
  withTime: { group: 'stateless', build: (s) => s.withTime((row) => row.at + 1) },
  keyBy: { group: 'stateless', build: (s) => s.keyBy(key) },
  'branch in 2': { group: 'stateless', build: (s) => s.branch({ warm: isWarm, rest: true }).warm },
  union: { group: 'stateless', build: (s, side) => s.union(side()), hasSide: true },
  '8 maps and filters': { group: 'stateless', build: eight, byHand: hand.eight },
  '8 maps and filters, interpreted': { group: 'stateless', build: eight, loops: 'interpreted' },
  'filter and map, rows': { group: 'stateless', build: warmKeys },
  'filter and map, columns': { group: 'stateless', build: warmKeys, input: 'columns' },

  'tumbling 1s, count': {
    group: 'windows',
    build: (s) => s.keyBy(key).window(tumbling('1s')).aggregate('w', { n: count() }),
    byHand: (rows) => hand.tumbling(rows, 1000),
  },
  'tumbling 1s, sum, rows': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(tumbling('1s'))
        .aggregate('w', { n: count(), sum: sum(value) }),
    byHand: (rows) => hand.tumbling(rows, 1000),
  },
  'tumbling 1s, sum, columns': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(tumbling('1s'))
        .aggregate('w', { n: count(), sum: sum(value) }),
    input: 'columns',
  },
  'tumbling 1s over all, sum': {
    group: 'windows',
    build: (s) => s.windowAll(tumbling('1s')).aggregate('w', { sum: sum(value) }),
  },
  'tumbling 1s, first': {
    group: 'windows',
    build: (s) => s.keyBy(key).window(tumbling('1s')).aggregate('w', { row: first<Reading>() }),
  },
  'tumbling 1s, distinct': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(tumbling('1s'))
        .aggregate('w', { n: distinct((row: Reading) => row.id % 7) }),
  },
  'tumbling 1s, quantile': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(tumbling('1s'))
        .aggregate('w', { p99: quantile(0.99, value) }),
  },
  'hopping 10s every 2s, count': {
    group: 'windows',
    build: (s) => s.keyBy(key).window(hopping('10s', '2s')).aggregate('w', { n: count() }),
    byHand: (rows) => hand.hopping(rows, 10_000, 2000),
  },
  'sliding 1s, sum': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(sliding('1s'))
        .aggregate('w', { sum: sum(value) }),
  },
  'session 200ms, count': {
    group: 'windows',
    build: (s) => s.keyBy(key).window(session('200ms')).aggregate('w', { n: count() }),
    byHand: (rows) => hand.sessions(rows, 200),
  },
  'count window of 100, sum': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(countWindow(100))
        .aggregate('w', { sum: sum(value) }),
    byHand: (rows) => hand.countWindows(rows, 100),
  },
  'global window, every 100': {
    group: 'windows',
    build: (s) =>
      s
        .keyBy(key)
        .window(globalWindow({ trigger: everyCount(100) }))
        .aggregate('w', { sum: sum(value) }),
  },

  'process, a counter': {
    group: 'keyed state',
    build: (s) =>
      s.keyBy(key).process('p', (setup) => {
        const seen = setup.value<number>('seen', { default: 0 })
        return {
          onRecord(row: Reading, ctx: { emit(row: Reading): void }) {
            seen.set(seen.get() + 1)
            if (seen.get() % 10 === 0) ctx.emit(row)
          },
        }
      }),
    byHand: hand.counters,
  },
  'dedupe within 1s': {
    group: 'keyed state',
    build: (s) => s.dedupe('d', { by: (row) => row.id - (row.id % 2), within: '1s' }),
    byHand: hand.dedupe,
  },
  'topN of 10 per key': {
    group: 'keyed state',
    build: (s) => s.keyBy(key).topN('t', { n: 10, by: value }),
  },
  'throttle 5 per 1s': { group: 'keyed state', build: (s) => s.keyBy(key).throttle('t', { limit: 5, per: '1s' }) },
  'debounce 100ms': { group: 'keyed state', build: (s) => s.keyBy(key).debounce('d', { gap: '100ms' }) },
  'sample every 10th': { group: 'keyed state', build: (s) => s.keyBy(key).sample('s', { every: 10 }) },
  toTable: { group: 'keyed state', build: (s) => s.keyBy(key).toTable('t'), byHand: hand.latest },
  'mapAsync, 1000 in flight': {
    group: 'keyed state',
    build: (s) => s.mapAsync('m', async (row) => row.value, { capacity: 1000, order: 'unordered' }),
  },

  joinTable: {
    group: 'joins',
    build: (s, side) => s.keyBy(key).joinTable('j', side().keyBy(key).toTable('t')),
    hasSide: true,
  },
  'interval join, 0..100ms': {
    group: 'joins',
    build: (s, side) => s.keyBy(key).join('j', side().keyBy(key), { within: ['0ms', '100ms'] }),
    byHand: (rows) => hand.intervalJoin(rows, 100),
    hasSide: true,
  },
  'window join, 100ms': {
    group: 'joins',
    build: (s, side) => s.keyBy(key).join('j', side().keyBy(key), { window: tumbling('100ms') }),
    hasSide: true,
  },
  'asOf, within 10s': {
    group: 'joins',
    build: (s, side) => s.keyBy(key).asOf('j', { side: { stream: side().keyBy(key), within: '10s' } }),
    hasSide: true,
  },
  withBroadcast: {
    group: 'joins',
    build: (s, side) =>
      s.withBroadcast('b', side(), {
        initial: () => ({ n: 0 }),
        update: (state) => ({ n: state.n + 1 }),
        join: (row, { n }) => row.value + n,
      }),
    hasSide: true,
  },
}
