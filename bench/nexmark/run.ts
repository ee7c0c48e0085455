/**
 * Runs one query once, in this process, and prints what it took as JSON:
 *
 *   node --conditions=millrace-source bench/nexmark/run.ts q5 --events 1000000 --workers 2
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Dataflow } from 'millrace'
import { measureCpu } from '../lib/cpu.ts'
import { checks, type Query } from './golden.ts'
import type { Workload } from './workload.ts'

export interface QueryRun {
  readonly query: Query
  readonly events: number
  readonly workers: number
  readonly wallMs: number
  /** Of all threads. */
  readonly cpuMs: number
  readonly rows: readonly Record<string, number>[]
  readonly sums: Readonly<Record<string, number>>
}

/** Imported when the workload is known. */
const flows: Readonly<Record<Query, () => Promise<Dataflow>>> = {
  scan: async () => (await import('./scan.ts')).scan,
  q5: async () => (await import('./q5.ts')).q5,
  q7: async () => (await import('./q7.ts')).q7,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '100000' },
    workers: { type: 'string', default: '1' },
    commit: { type: 'string', default: '100ms' },
    execution: { type: 'string', default: 'threads' },
  },
})
const query = positionals[0] as Query
const events = Number(values.events)
const workers = Number(values.workers)
const folder = mkdtempSync(join(tmpdir(), 'millrace-nexmark-'))
try {
  const output = join(folder, 'results.jsonl')
  process.env.MILLRACE_NEXMARK = JSON.stringify({ events, output } satisfies Workload)
  const flow = await flows[query]()
  const { wallMs, cpuMs } = await measureCpu(() =>
    flow.run({
      state: join(folder, 'state'),
      workers,
      execution: values.execution as 'threads' | 'inline',
      commitEvery: values.commit as '100ms',
    }),
  )
  const lines = existsSync(output) ? readFileSync(output, 'utf8').trimEnd().split('\n') : []
  const rows = lines.map((line) => JSON.parse(line) as Record<string, number>)
  const result: QueryRun = { query, events, workers, wallMs, cpuMs, rows, sums: checks[query].sums(rows) }
  console.log(JSON.stringify(result))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
