/** Nexmark queries with the generator in the process, exactly once into a file, checked against Java's results. */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import { repeat } from '../lib/repeat.ts'
import { short, spread, spreadText } from '../lib/spread.ts'
import type { FlowName } from './flows.ts'
import { tables } from './golden.ts'
import { GOLDEN } from './measures.ts'
import { references } from './references.ts'
import type { QueryRun } from './run.ts'

interface Result {
  readonly query: FlowName
  readonly workers: number
  /** Undefined: it has no results. */
  readonly isRight: boolean | undefined
  readonly runs: readonly QueryRun[]
}

export const nexmark: Bench = {
  what: 'Nexmark: events/s and CPU per event of 15 queries, results checked',
  async measure(isFull) {
    const results: Result[] = []
    for (const query of ['scan', ...Object.keys(tables)] as FlowName[]) {
      for (const workers of isFull ? [1, 2] : [1]) results.push(await measureQuery(query, workers, isFull))
    }
    const events = results[0].runs[0].events
    const table = {
      title: `${events / 1e6} M events of all kinds, commits every 100 ms`,
      head: [
        ...['query', 'M events/s', 'CPU us/event', 'M events per CPU s', 'goal', 'bare loop us', 'Flink us'],
        ...['Kafka Streams us', 'results at 1 M'],
      ],
      rows: results.map(rowOf),
      notes,
    }
    return { tables: [table], data: results }
  },
}

async function measureQuery(query: FlowName, workers: number, isFull: boolean): Promise<Result> {
  const run = (events: number): Promise<QueryRun> => {
    const size = ['--events', String(events), '--workers', String(workers)]
    return measureInChild('nexmark/run.ts', ['--query', query, ...size, '--json'])
  }
  const checked = await run(GOLDEN.events)
  const isRight = query === 'scan' ? undefined : checked.checks.join() === tables[query].golden.join()
  return { query, workers, isRight, runs: isFull ? await repeat(3, () => run(5 * GOLDEN.events)) : [checked] }
}

function rowOf({ query, workers, isRight, runs }: Result): string[] {
  const { perCore, floorNs, flinkUs, kafkaStreamsUs } = references[query]
  const own = spread(runs.map((run) => run.cpuMicrosPerEvent))
  const goal = perCore === undefined ? '' : `${short(perCore)} ${1 / own.median >= perCore ? 'ok' : 'MISSED'}`
  const quoted = (us: number | undefined): string => (us === undefined ? '' : String(us))
  return [
    `${query}, ${workers} worker${workers === 1 ? '' : 's'}`,
    spreadText(spread(runs.map((run) => run.eventsPerSecond / 1e6))),
    spreadText(own),
    short(1 / own.median),
    goal,
    floorNs === undefined ? '' : String(floorNs / 1000),
    quoted(flinkUs),
    quoted(kafkaStreamsUs),
    isRight === undefined ? '' : isRight ? 'right' : 'WRONG',
  ]
}

const notes = [
  'A query makes only the kinds of events, and of them the fields, that it reads; figures are per event of all kinds. ' +
    '"scan" is the source of q5 alone. Times include the start of the threads and the final commit. Goal: M events per ' +
    'CPU second.',
  'Flink and Kafka Streams are quoted, not measured beside: another harness (JSON from and to a Kafka broker on the same ' +
    'two cores, 2 M events, exactly once, start of the JVM included), another machine, other seeds. Least CPU of the right runs.',
]
