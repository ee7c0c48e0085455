/** Latency of a pipeline in one process under an open load, and the highest load it takes. */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import type { Percentiles } from '../lib/histogram.ts'
import { repeat } from '../lib/repeat.ts'
import type { Table } from '../lib/report.ts'
import { short, spread, spreadText } from '../lib/spread.ts'
import type { LatencyRun } from './run.ts'

const RATE = 100_000
/** Goals of spec/engine.md 3.4, ms. */
const GOALS = { p50Ms: 1, p99Ms: 5, p999Ms: 20 } as const

interface Setting {
  readonly workers: number
  readonly pace: 'timer' | 'poll'
}

interface Result extends Setting {
  readonly runs: readonly LatencyRun[]
}

export const latency: Bench = {
  what: `latency of an in-process pipeline at ${RATE} events/s, and its highest throughput`,
  async measure(isFull) {
    const settings: Setting[] = [
      { workers: 1, pace: 'timer' },
      { workers: 2, pace: 'timer' },
      { workers: 1, pace: 'poll' },
    ]
    const seconds = isFull ? 6 : 3
    const results: Result[] = []
    for (const { workers, pace } of settings) {
      const args = ['--workers', String(workers), '--pace', pace, '--seconds', String(seconds)]
      const runs = await repeat(isFull ? 3 : 1, () => measureInChild<LatencyRun>('latency/run.ts', args))
      results.push({ workers, pace, runs })
    }
    const floods: Result[] = []
    for (const workers of [1, 2]) {
      const args = ['--workers', String(workers), '--flood', '--seconds', isFull ? '40' : '10']
      const runs = await repeat(isFull ? 3 : 1, () => measureInChild<LatencyRun>('latency/run.ts', args))
      floods.push({ workers, pace: 'timer', runs })
    }
    return { tables: [latencyTable(results), throughputTable(floods)], data: { results, floods } }
  },
}

function latencyTable(results: readonly Result[]): Table {
  const rows = results.flatMap(({ workers, pace, runs }) =>
    (['stateless', 'windows'] as const).map((path) => {
      const of = (name: keyof Percentiles) => spread(runs.map((run) => run[path][name]))
      const cell = (name: keyof typeof GOALS): string => {
        return `${spreadText(of(name))} ${of(name).median <= GOALS[name] ? 'ok' : 'MISSED'}`
      }
      const perCore = spread(runs.map((run) => (run.events / run.cpuMs) * 1000))
      return [
        `${path}, ${workers} worker${workers === 1 ? '' : 's'}, ${pace}`,
        ...[cell('p50Ms'), cell('p99Ms'), cell('p999Ms'), spreadText(of('maxMs'))],
        spreadText(spread(runs.map((run) => run.commitMsMax))),
        spreadText(perCore, 1000),
      ]
    }),
  )
  return {
    title: `Latency at ${RATE} events/s, ms (goals: p50 ${GOALS.p50Ms}, p99 ${GOALS.p99Ms}, p99.9 ${GOALS.p999Ms})`,
    head: ['path', 'p50', 'p99', 'p99.9', 'max', 'longest commit', 'K events per CPU s'],
    rows,
    notes: [
      'Stateless: from the intended emission of a record to the callback of the sink behind filter and map. Windows: from ' +
        'the intended emission of the record that closed a window of 10 ms to the callback with its results (10,000 a ' +
        'second). Commits every 100 ms to files, with fsync. "timer": the source wakes every millisecond, which is part ' +
        'of the latency. "poll": it looks at every turn of the event loop, at the price of a core.',
    ],
  }
}

function throughputTable(floods: readonly Result[]): Table {
  return {
    title: 'The same flow, all records due at once',
    head: ['workers', 'K events/s', 'K events per CPU s', 'CPU µs per event'],
    rows: floods.map(({ workers, runs }) => [
      String(workers),
      spreadText(spread(runs.map((run) => run.events / run.wallMs))),
      spreadText(spread(runs.map((run) => run.events / run.cpuMs))),
      short(spread(runs.map((run) => (run.cpuMs * 1000) / run.events)).median),
    ]),
    notes: ['With the start of the process and its threads, and both histograms, which are part of the sinks.'],
  }
}
