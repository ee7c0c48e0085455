/**
 * Runs queries, each once, in this process, and says what each took and what came out:
 *
 *   npm run -s nexmark -- --query q7 --events 200000 --seeds 42/3/7 --json
 *
 * With `--state FOLDER` a run that was killed goes on where its last commit left it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Dataflow, OperationalError, UsageError } from 'millrace'
import { measureCpu } from '../lib/cpu.ts'
import { type Arguments, argumentsOf, help, WrongArgument } from './arguments.ts'
import { checksOf, resultsFile } from './checks.ts'
import { type FlowName, flows } from './flows.ts'
import { type Query, tables } from './golden.ts'
import { GOLDEN } from './measures.ts'
import type { Workload } from './workload.ts'

/** What `--json` prints as its last line. */
export interface QueryRun {
  readonly query: string
  readonly events: number
  readonly seconds: number
  readonly eventsPerSecond: number
  /** Of all threads, the start of the flow and its last commit included. */
  readonly cpuMicrosPerEvent: number
  /** The measures of the golden table, in its order, as decimal numbers. */
  readonly checks: readonly string[]
}

try {
  const given = argumentsOf(process.argv.slice(2))
  if (given === 'help') console.log(help())
  else await runAndPrint(given)
} catch (error) {
  if (!(error instanceof WrongArgument || error instanceof UsageError || error instanceof OperationalError)) throw error
  console.error(`nexmark: ${error.message}`)
  process.exitCode = error instanceof OperationalError ? 1 : 2
}

async function runAndPrint(given: Arguments): Promise<void> {
  const folder = given.state ?? mkdtempSync(join(tmpdir(), 'millrace-nexmark-'))
  try {
    for (const query of given.queries) {
      const run = await runQuery(query, given, folder)
      console.log(given.json ? JSON.stringify(run) : report(given, run))
    }
  } finally {
    if (given.state === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

async function runQuery(query: FlowName, given: Arguments, folder: string): Promise<QueryRun> {
  const { events, seeds, rate } = given
  const results = given.output ?? folder
  const write = given.output === undefined ? 'measures' : 'changes'
  // Before the flow's module is imported, which reads it.
  process.env.MILLRACE_NEXMARK = JSON.stringify({ events, seeds, rate, folder: results, write } satisfies Workload)
  const flow = await flows[query]()
  const { wallMs, cpuMs } = await measureCpu(() => runFlow(flow, given, join(folder, 'state', query)))
  const hasChecks = query !== 'scan' && write === 'measures'
  return {
    query,
    events,
    seconds: Number((wallMs / 1000).toFixed(6)),
    eventsPerSecond: Math.round((events * 1000) / wallMs),
    cpuMicrosPerEvent: Number(((cpuMs * 1000) / events).toFixed(3)),
    checks: hasChecks ? checksOf(query, linesOf(resultsFile(results, query))) : [],
  }
}

async function runFlow(flow: Dataflow, given: Arguments, state: string): Promise<void> {
  const { workers, commit, inline, stopAt, killAfter } = given
  const sources = flow.plan(workers).nodes.filter((node) => node.spec.type === 'source')
  let commits = 0
  const run = await flow.start({
    state,
    workers,
    execution: inline ? 'inline' : 'threads',
    commitEvery: commit,
    // A scan writes nothing.
    guarantee: flow.name === 'nexmark-scan' ? 'at-least-once' : 'exactly-once',
    ...(stopAt === undefined ? {} : { until: Object.fromEntries(sources.map(({ name }) => [name, { '*': stopAt }])) }),
    onEvent: (event) => {
      if (event.type === 'commit') commits++
    },
  })
  const killIfDue = (rowsMin: number): void => {
    const rows = sources.reduce((total, { id }) => total + run.job.stepCounters(id).recordsOut, 0)
    if (commits > 0 && rows >= rowsMin) process.kill(process.pid, 'SIGKILL')
  }
  const watch = killAfter === undefined ? undefined : setInterval(killIfDue, 1, killAfter)
  try {
    await run.done
  } finally {
    clearInterval(watch)
  }
}

/** The lines of a file that is there once something was written. */
function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}

function report(given: Arguments, run: QueryRun): string {
  const { events, workers } = given
  const { query } = run
  const lines = [
    `${query}: ${events} events in ${run.seconds.toFixed(2)} s with ${workers} worker${workers === 1 ? '' : 's'}: ` +
      `${run.eventsPerSecond} events/s, ${run.cpuMicrosPerEvent} us of CPU per event`,
  ]
  if (run.checks.length > 0) lines.push(`results: ${run.checks.join(' ')}`, verdict(query as Query, given, run.checks))
  return lines.join('\n')
}

function verdict(query: Query, { events, seeds, rate, stopAt }: Arguments, checks: readonly string[]): string {
  const isGolden =
    events === GOLDEN.events && stopAt === undefined && rate === GOLDEN.rate && seeds.join() === GOLDEN.seeds.join()
  if (!isGolden) {
    return `(what they must be is known for --events ${GOLDEN.events} --seeds ${GOLDEN.seeds.join('/')} --rate ${GOLDEN.rate})`
  }
  const golden = tables[query].golden
  return golden.join() === checks.join() ? 'right' : `WRONG: they must be ${golden.join(' ')}`
}
