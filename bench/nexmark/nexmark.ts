/** Nexmark queries with the generator in the process, exactly once into a file, checked against Java's results. */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import { repeat } from '../lib/repeat.ts'
import { short, spread, spreadText } from '../lib/spread.ts'
import { checks, GOLDEN_EVENTS, type Query } from './golden.ts'
import type { QueryRun } from './run.ts'

/** Events per second and core that spec/engine.md 3.1 reaches for, and the cost of a bare loop over columns, ns. */
const GOALS: Readonly<Record<Query, { readonly perCore?: number; readonly floorNs?: number }>> = {
  scan: {},
  q5: { perCore: 2_000_000, floorNs: 44 },
  q7: { perCore: 2_500_000, floorNs: 6 },
}

export const nexmark: Bench = {
  what: 'Nexmark q5 and q7: events/s and CPU per event, results checked',
  async measure(isFull) {
    const events = isFull ? 5_000_000 : GOLDEN_EVENTS
    const results = []
    for (const query of Object.keys(checks) as Query[]) {
      for (const workers of [1, 2]) {
        const run = (count: number): Promise<QueryRun> => {
          return measureInChild('nexmark/run.ts', [query, '--events', String(count), '--workers', String(workers)])
        }
        const checked = await run(GOLDEN_EVENTS)
        const isRight = JSON.stringify(checked.sums) === JSON.stringify(checks[query].golden)
        const runs = isFull ? await repeat(3, () => run(events)) : [checked]
        results.push({ query, workers, isRight, runs })
      }
    }
    const rows = results.map(({ query, workers, isRight, runs }) => {
      const { perCore, floorNs } = GOALS[query]
      const own = spread(runs.map((run) => (run.cpuMs * 1e6) / run.events))
      const reached = 1e9 / own.median
      const goal = perCore === undefined ? '' : `${short(perCore / 1e6)} ${reached >= perCore ? 'ok' : 'MISSED'}`
      return [
        `${query}, ${workers} worker${workers === 1 ? '' : 's'}`,
        spreadText(spread(runs.map((run) => run.events / run.wallMs / 1000))),
        short(reached / 1e6),
        goal,
        spreadText(own),
        floorNs === undefined ? '' : String(floorNs),
        isRight ? 'right' : 'WRONG',
      ]
    })
    const table = {
      title: `${events / 1e6} M events of all kinds, commits every 100 ms`,
      head: ['query', 'M events/s', 'M events per CPU s', 'goal', 'CPU ns per event', 'bare loop ns', 'results at 1 M'],
      rows,
      notes: [
        'Of the events 92 % are bids, which alone are generated, with the fields the query reads. "scan" is the generator ' +
          'and the source alone. Times include the start of the threads and the final commit.',
      ],
    }
    return { tables: [table], data: results }
  },
}
