/** What `run.ts` is told on the command line. */
import { parseArgs } from 'node:util'
import type { Duration } from 'millrace'
import { positiveDurationMs } from 'millrace/connector'
import { type FlowName, flows } from './flows.ts'
import { GOLDEN } from './measures.ts'

export interface Arguments {
  readonly queries: readonly FlowName[]
  /** Of all kinds. */
  readonly events: number
  readonly seeds: readonly [draws: number, table: number, pool: number]
  readonly rate: number
  readonly workers: number
  readonly commit: Duration
  readonly json: boolean
  /** Folder for every change of the results; without it only the measures are kept. */
  readonly output: string | undefined
  /** Folder of state that is kept, and gone on from. */
  readonly state: string | undefined
  /** The flow runs in the main thread. */
  readonly inline: boolean
  /** Stops, committed, once the events before this one were read. */
  readonly stopAt: number | undefined
  /** Ends the process with SIGKILL once so many rows were read and something is committed. */
  readonly killAfter: number | undefined
}

export class WrongArgument extends Error {}

/** Between one event in 1000 s and the nanosecond: beyond, event times are no use. */
const RATE = { min: 0.001, max: 1e9 }
const WORKERS_MAX = 64

const options = {
  query: { type: 'string' },
  events: { type: 'string', default: String(GOLDEN.events) },
  seeds: { type: 'string', default: GOLDEN.seeds.join('/') },
  rate: { type: 'string', default: String(GOLDEN.rate) },
  workers: { type: 'string', default: '1' },
  commit: { type: 'string', default: '100ms' },
  output: { type: 'string' },
  state: { type: 'string' },
  'stop-at': { type: 'string' },
  'kill-after': { type: 'string' },
  inline: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

const queries = Object.keys(flows).filter((name) => name !== 'scan') as FlowName[]

export function help(): string {
  return `npm run nexmark -- --query QUERY [option ...]

Runs a query of the Nexmark benchmark once, with the generator in the process and results committed exactly once, and
says what it took and what came out.

  --query QUERY         ${queries.join(' ')};
                        all: one after the other; scan: the source alone
  --events N            events of all kinds, default ${GOLDEN.events}; after that many the results are checked
  --seeds GEN/TAB/POOL  of the events, the channel table and the text pool, default ${GOLDEN.seeds.join('/')}
  --rate N              events per second of event time, default ${GOLDEN.rate}
  --workers N           worker threads, default 1
  --commit DURATION     how often results are committed, default 100ms
  --json                one line of JSON: query, events, seconds, eventsPerSecond, cpuMicrosPerEvent, checks
  --output FOLDER       writes every change of the results to FOLDER/QUERY.jsonl: + or - (taken back), then the row
  --state FOLDER        keeps state and results there, and goes on from them
  --stop-at EVENT       stops, committed, once the events before this one were read
  --kill-after ROWS     ends this process as kill -9 does, once so many rows were read and something is committed
  --inline              runs in the main thread, for profiles`
}

/** @throws WrongArgument that says what is wrong, and what would be right */
export function argumentsOf(args: readonly string[]): Arguments | 'help' {
  const values = parsed(args)
  if (values.help) return 'help'
  const stopAt = values['stop-at']
  const killAfter = values['kill-after']
  return {
    queries: values.query === 'all' ? queries : [queryOf(values.query)],
    events: whole('--events', values.events, 1, Number.MAX_SAFE_INTEGER),
    seeds: seedsOf(values.seeds),
    rate: rateOf(values.rate),
    workers: whole('--workers', values.workers, 1, WORKERS_MAX),
    commit: duration('--commit', values.commit),
    json: values.json,
    output: values.output,
    state: values.state,
    inline: values.inline,
    stopAt: stopAt === undefined ? undefined : whole('--stop-at', stopAt, 0, Number.MAX_SAFE_INTEGER),
    killAfter: killAfter === undefined ? undefined : whole('--kill-after', killAfter, 0, Number.MAX_SAFE_INTEGER),
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new WrongArgument(`${(error as Error).message}. --help lists the options.`)
  }
}

function queryOf(text: string | undefined): FlowName {
  if (text !== undefined && Object.hasOwn(flows, text)) return text as FlowName
  const what = text === undefined ? 'no query is given' : `there is no query ${JSON.stringify(text)}`
  throw new WrongArgument(`${what}. --query takes one of ${Object.keys(flows).join(', ')}.`)
}

function seedsOf(text: string): Arguments['seeds'] {
  const parts = text.split('/')
  const seeds = parts.map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN))
  if (seeds.length === 3 && seeds.every(Number.isSafeInteger)) return seeds as [number, number, number]
  throw new WrongArgument(
    `--seeds is ${JSON.stringify(text)}; it must be three whole numbers from 0 to 2^53 - 1, as in ${GOLDEN.seeds.join('/')}: of the events, the channel table and the text pool.`,
  )
}

function rateOf(text: string): number {
  const rate = Number(text)
  if (text.trim() !== '' && rate >= RATE.min && rate <= RATE.max) return rate
  throw new WrongArgument(`--rate is ${JSON.stringify(text)}; it must be a number from ${RATE.min} to ${RATE.max}.`)
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  throw new WrongArgument(`${option} is ${JSON.stringify(text)}; it must be a whole number ${range}.`)
}

/** @throws UsageError `DURATION`, which says how durations are written */
function duration(option: string, text: string): Duration {
  positiveDurationMs(text as Duration, option)
  return text as Duration
}
