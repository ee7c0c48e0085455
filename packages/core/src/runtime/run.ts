/** From a flow and the user's options to a running job: checks, ports, state folder, lock, workers. */

import { getHeapStatistics } from 'node:v8'
import { checkSavepointName } from '../checkpoint/checkpoint-store.ts'
import { openCheckpoints } from '../checkpoint/open.ts'
import { OperationalError, UsageError } from '../errors.ts'
import type { Plan } from '../graph/plan.ts'
import { type Duration, positiveDurationMs } from '../time/duration.ts'
import { inlineWorkers } from './inline.ts'
import { Job } from './job.ts'
import type { JobEvent, RunReport } from './job-contract.ts'
import { mayExport } from './node-module.ts'
import { nodePorts } from './node-ports.ts'
import { isInWorker, park } from './park.ts'
import type { Ports } from './ports.ts'
import { MAX_BATCH } from './receiver.ts'
import { READ_ROWS } from './source-input.ts'
import { type StartPositions, startStates } from './start-positions.ts'
import { threadWorkers } from './threads.ts'
import { checkUntil, type Until } from './until.ts'

export interface RunOptions {
  /** Folder of the flow's state. Default `.millrace/<flow>`. */
  readonly state?: string
  /** Folder of the embedded log, for connectors that name none (`logTopic`). Default `.millrace/log`. */
  readonly log?: string
  /** Worker threads. Default 1. More than one needs a flow that a module exports. */
  readonly workers?: number
  /**
   * 'exactly-once' is refused when a source or sink of the flow cannot hold it. Without it each sink does the best it
   * can, which the plan shows.
   */
  readonly guarantee?: 'exactly-once' | 'at-least-once'
  /** How often results become visible and positions durable. Default 100ms. */
  readonly commitEvery?: Duration
  /** Where sources start when there is no state: by source and partition (`'*'` for all). Ignored when state exists. */
  readonly from?: StartPositions
  /**
   * Starts from this savepoint instead of the last commit; sinks go back to it too. What was committed since then is no
   * longer part of the flow's history. Say it once: the run after this one, without it, goes on where this one left off.
   * @throws UsageError `SAVEPOINT_UNKNOWN`
   */
  readonly savepoint?: string
  /**
   * Ends the run, committed, when every source has come this far: an event time (ms since the epoch) that the watermark
   * passes, or positions by source and partition. Open windows stay open.
   */
  readonly until?: Until
  /** Ends the run after committing what was read. */
  readonly signal?: AbortSignal
  /** Stored state of these steps may be dropped. */
  readonly allowDropped?: readonly string[]
  /** Estimated bytes of state beyond which the run fails with STATE_LIMIT. Default half of the heap limit. */
  readonly stateBytesMax?: number
  /** Restarts in a row after environment failures before the run fails; ten commits in between forgive. Default 5. */
  readonly restartsMax?: number
  /** 'inline' runs in this thread; 'threads' in worker threads. Default: threads when a module exports the flow. */
  readonly execution?: 'inline' | 'threads'
  /** URL of the module that exports the flow. Default: the module that called `dataflow` at its top level. */
  readonly module?: string
  /** Largest batch read from a source, 1 to 4096 records. Default 1024. Smaller ones cost throughput, not correctness. */
  readonly batchRows?: number
  /** 'interpreted' forgoes generated code. Default: generated where the process allows it. */
  readonly loops?: 'generated' | 'interpreted' | 'auto'
  onEvent?(event: JobEvent): void
}

/** What a run needs of a flow. */
export interface Runnable {
  readonly name: string
  readonly module: string | undefined
  plan(workers: number): Plan
}

export interface Run {
  readonly job: Job
  /** Resolves when the run has ended and everything is committed. */
  readonly done: Promise<RunReport>
  /** Reads no more, commits what was read, ends; with `savepoint` that commit is kept under a name. */
  stop(options?: { readonly savepoint?: string }): Promise<RunReport>
}

/** Default commit interval of the embedded log and file state. */
const COMMIT_EVERY: Duration = '100ms'
/** Beside the default state folders of flows: flows of one folder share a log. */
const LOG_FOLDER = '.millrace/log'

export async function startRun(flow: Runnable, options: RunOptions = {}, ports: Ports = nodePorts()): Promise<Run> {
  if (isInWorker()) return park(flow)
  const workers = checkWorkers(options.workers ?? 1)
  const plan = flow.plan(workers)
  checkGuarantee(plan, options.guarantee)
  checkUntil(plan, options.until)
  const commitEveryMs = positiveDurationMs(options.commitEvery ?? COMMIT_EVERY, 'commitEvery')
  const from = startStates(plan, options.from)
  const batchRows = checkBatchRows(options.batchRows ?? READ_ROWS)
  if (options.savepoint !== undefined) checkSavepointName(options.savepoint)
  const module = options.module ?? (await importableModule(flow, workers, options.execution))
  const inThreads = options.execution === undefined ? module !== undefined : options.execution === 'threads'
  if (!inThreads && workers > 1 && options.execution === undefined) throw notExported(flow.name, workers)
  if (inThreads && module === undefined) throw notExported(flow.name, workers)
  const folder = options.state ?? `.millrace/${flow.name}`
  // Everything that can be refused without the folder is refused before its lock is taken.
  const { store, check, release } = await openCheckpoints({ ...ports, folder, flow: flow.name })
  const spawn = inThreads
    ? threadWorkers({ flow: flow.name, module: module as string, folder })
    : inlineWorkers({ ports, folder })
  const job = new Job({
    plan,
    ports,
    store,
    checkLock: check,
    spawn,
    logFolder: options.log ?? LOG_FOLDER,
    commitEveryMs,
    from,
    savepoint: options.savepoint,
    until: options.until,
    allowDropped: options.allowDropped ?? [],
    stateBytesMax: options.stateBytesMax ?? defaultStateBytes(),
    restartsMax: options.restartsMax ?? 5,
    batchRows,
    chainMode: options.loops ?? 'auto',
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })
  const onAbort = (): void => job.stop()
  const done = job.run().finally(async () => {
    options.signal?.removeEventListener('abort', onAbort)
    // What the run did stands, whether or not the lock can be marked as released: a dead holder is noticed.
    await release().catch(() => {})
  })
  // A run that nobody awaits yet must not end the process; `done` still rejects for whoever awaits it.
  done.catch(() => {})
  const stopped = async (reason?: { readonly savepoint?: string }): Promise<RunReport> => {
    if (reason?.savepoint !== undefined) checkSavepointName(reason.savepoint)
    job.stop(reason?.savepoint)
    const report = await done
    if (reason?.savepoint !== undefined && job.savepoint !== reason.savepoint) throw savepointMissed(reason.savepoint)
    return report
  }
  const stop: Run['stop'] = (reason) => {
    const report = stopped(reason)
    // As with `done`: whoever asks without waiting must not be ended by the answer.
    report.catch(() => {})
    return report
  }
  if (options.signal?.aborted) job.stop()
  else options.signal?.addEventListener('abort', onAbort, { once: true })
  return { job, done, stop }
}

/**
 * The module whose workers can find the flow. Several workers need one: a module that does not export the flow may still
 * run it at its top level, which its workers notice.
 */
async function importableModule(
  flow: Runnable,
  workers: number,
  execution: RunOptions['execution'],
): Promise<string | undefined> {
  if (flow.module === undefined || execution === 'inline') return undefined
  return execution === 'threads' || workers > 1 || (await mayExport(flow.module)) ? flow.module : undefined
}

function savepointMissed(name: string): OperationalError {
  return new OperationalError(
    'SAVEPOINT_MISSED',
    `savepoint "${name}" was not made: the run had already ended, or ended under another savepoint. Everything is committed; start the flow again and stop it with the savepoint.`,
    { data: { name } },
  )
}

function checkWorkers(workers: number): number {
  if (Number.isInteger(workers) && workers >= 1 && workers <= 64) return workers
  throw new UsageError('WORKERS', `workers is ${workers}; it must be a whole number from 1 to 64.`)
}

function checkBatchRows(rows: number): number {
  if (Number.isInteger(rows) && rows >= 1 && rows <= MAX_BATCH) return rows
  throw new UsageError('BATCH_ROWS', `batchRows is ${rows}; it must be a whole number from 1 to ${MAX_BATCH}.`)
}

function notExported(flow: string, workers: number): UsageError {
  return new UsageError(
    'FLOW_NOT_EXPORTED',
    `flow "${flow}" was not made at the top level of a module that exports it, so ${workers} worker thread(s) cannot import it: functions do not cross threads. Export it from a module (export default flow), or run it with one worker, which runs in this thread.`,
  )
}

/** What the author demanded must hold for every source and sink, or nothing starts. */
function checkGuarantee(plan: Plan, guarantee: RunOptions['guarantee']): void {
  if (guarantee !== 'exactly-once') return
  const timed = new Set<string>()
  for (const node of plan.nodes) {
    if (node.determinism === 'timed' || node.inputs.some((e) => timed.has(e.from.name))) timed.add(node.name)
    if (node.spec.type === 'source' && !node.spec.source.replayable) {
      throw guaranteeError(
        node.name,
        `source "${node.name}" (${node.spec.source.kind}) cannot read again what it has given, so a crash loses records`,
      )
    }
    if (node.spec.type !== 'sink') continue
    const { guarantee: own, kind } = node.spec.sink
    if (own === 'at-least-once') {
      throw guaranteeError(
        node.name,
        `sink "${node.name}" (${kind}) is at-least-once: after a crash some records are written twice`,
      )
    }
    if (own === 'idempotent' && timed.has(node.name)) {
      throw guaranteeError(
        node.name,
        `sink "${node.name}" (${kind}) recognises a record it has, but the steps before it are timed and give other records when they run again`,
      )
    }
  }
}

function guaranteeError(step: string, why: string): UsageError {
  return new UsageError(
    'PLAN_GUARANTEE',
    `exactly-once cannot hold: ${why}. Use another connector there, or run with guarantee 'at-least-once'.`,
    { step },
  )
}

/** Half of what the heap may take: tables, their encoded changes at a commit, and the records in flight share the rest. */
function defaultStateBytes(): number {
  return getHeapStatistics().heap_size_limit / 2
}
