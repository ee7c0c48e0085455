/** The embedded log: how soon a reader has a record, synced appends a second, reading, and a flow from topic to topic. */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import type { Percentiles } from '../lib/histogram.ts'
import { repeat } from '../lib/repeat.ts'
import type { Table } from '../lib/report.ts'
import { short, spread, spreadText } from '../lib/spread.ts'
import { type Appended, RECORD_BYTES, type Store } from './appends.ts'
import type { FlowRun, ReadRun } from './run.ts'

/** What is varied. Senders 0: the reader's own process. */
const FULL = { senders: [0, 1, 4], rates: [1, 100, 1000], processes: [1, 2, 4], batches: [1, 100, 1000] }
const SHORT = { senders: [0, 4], rates: [100, 1000], processes: [1, 4], batches: [1, 1000] }

interface Latency {
  readonly senders: number
  readonly rate: number
  readonly runs: readonly Percentiles[]
}

interface Appends {
  readonly store: Store
  readonly processes: number
  readonly records: number
  readonly runs: readonly (readonly Appended[])[]
}

export const log: Bench = {
  what: 'the embedded log: append to read, synced appends/s with 1 to 4 processes, reading, a flow log to log',
  async measure(isFull) {
    const times = isFull ? 3 : 1
    const { senders: sendersOf, rates, processes: processesOf, batches } = isFull ? FULL : SHORT
    const run = <R>(what: string, options: Readonly<Record<string, string | number>>): Promise<R[]> => {
      const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
      return repeat(times, () => measureInChild<R>('log/run.ts', ['--what', what, ...args]))
    }
    const latencies: Latency[] = []
    for (const senders of sendersOf) {
      for (const rate of rates) {
        const ms = isFull ? (rate === 1 ? 20_000 : 10_000) : 1000
        latencies.push({ senders, rate, runs: await run<Percentiles>('latency', { processes: senders, rate, ms }) })
      }
    }
    const ms = isFull ? 4000 : 500
    const appends: Appends[] = []
    for (const records of batches) {
      const settings = [
        ...processesOf.map((processes) => ({ store: 'log' as const, processes })),
        { store: 'sqlite' as const, processes: 1 },
        { store: 'file' as const, processes: 1 },
      ]
      for (const setting of settings)
        appends.push({ ...setting, records, runs: await run<Appended[]>('appends', { ...setting, records, ms }) })
    }
    const reads = await run<ReadRun>('read', { records: isFull ? 2_000_000 : 200_000 })
    const flows = await run<FlowRun>('flow', { records: isFull ? 1_000_000 : 100_000 })
    return {
      tables: [latencyTable(latencies), appendTable(appends), throughputTable(reads, flows)],
      data: { latencies, appends, reads, flows },
    }
  },
}

function latencyTable(results: readonly Latency[]): Table {
  return {
    title: 'From the moment a record is due to the reader that waits for it, ms',
    head: ['sent from', 'records/s', 'p50', 'p99', 'max', 'records'],
    rows: results.map(({ senders, rate, runs }) => {
      const of = (name: 'p50Ms' | 'p99Ms' | 'maxMs') => spreadText(spread(runs.map((run) => run[name])))
      const from = senders === 0 ? "the reader's process" : `${senders} other process${senders === 1 ? '' : 'es'}`
      return [from, String(rate), of('p50Ms'), of('p99Ms'), of('maxMs'), String(runs.reduce((n, r) => n + r.count, 0))]
    }),
    notes: [
      "Each record is an append of its own, synced before it is seen. The sender's timer of 1 ms and its thread are part of it.",
    ],
  }
}

function appendTable(results: readonly Appends[]): Table {
  const rates = new Map(results.map((result) => [result, spread(result.runs.map(perSecond))]))
  const baseline = (store: Store, records: number): number => {
    const found = results.find((result) => result.store === store && result.records === records)
    return (found && rates.get(found)?.median) ?? Number.NaN
  }
  return {
    title: `Synced appends, each after the one before, records of ${RECORD_BYTES} bytes`,
    head: [
      ...['store', 'processes', 'records an append', 'appends/s', 'K records/s', 'p99 of an append, ms'],
      ...['of bare SQLite', 'of a bare file'],
    ],
    rows: results.map((result) => {
      const { store, processes, records, runs } = result
      const rate = rates.get(result) ?? spread([Number.NaN])
      const p99 = spread(runs.map((run) => Math.max(...run.map(({ latency }) => latency.p99Ms))))
      return [
        store === 'log' ? 'embedded log' : store === 'sqlite' ? 'bare SQLite' : 'bare file',
        ...[String(processes), String(records), spreadText(rate), short((rate.median * records) / 1000)],
        ...[spreadText(p99), ...(['sqlite', 'file'] as const).map((s) => short(rate.median / baseline(s, records)))],
      ]
    }),
    notes: [
      'Bare SQLite: a blob of the same size per append, WAL, synchronous=FULL, in the calling thread. Bare file: write and ' +
        'fdatasync. Both with one process; the ratios of two and four processes are to these. All processes of the log write ' +
        'one file, whose lock one of them has at a time.',
    ],
  }
}

/** Of all processes together. */
function perSecond(run: readonly Appended[]): number {
  return run.reduce((sum, { appends, wallMs }) => sum + (appends / wallMs) * 1000, 0)
}

function throughputTable(reads: readonly ReadRun[], flows: readonly FlowRun[]): Table {
  const rate = (runs: readonly FlowRun[]) => spreadText(spread(runs.map(({ records, wallMs }) => records / wallMs)))
  const cpu = (runs: readonly FlowRun[]) => short(spread(runs.map((r) => (r.cpuMs * 1000) / r.records)).median)
  const toBare = short(spread(reads.map(({ bareMs, wallMs }) => bareMs / wallMs)).median)
  return {
    title: 'Reading, and a flow from one topic to another',
    head: ['what', 'K records/s', 'CPU µs a record', 'of bare SQLite'],
    rows: [
      [`poll, records of ${RECORD_BYTES} bytes`, rate(reads), cpu(reads), toBare],
      ['flow log -> log, JSON, exactly once', rate(flows), cpu(flows), '-'],
    ],
    notes: [
      'Batches of 1,000 records over four partitions. Bare SQLite reads the same rows and decodes nothing. The flow commits ' +
        'every 100 ms; its start and its end are in the time.',
    ],
  }
}
