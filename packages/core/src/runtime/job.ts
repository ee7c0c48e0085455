/**
 * The supervisor of a run: starts workers, cuts epochs, makes the decision that commits them, publishes, restarts.
 *
 * Invariants:
 *  J1  One epoch at a time: its barrier is sent after the epoch before it was decided and published.
 *  J2  The manifest is the decision. Before it nothing of the epoch is visible; after it everything of the epoch will be,
 *      also when every process dies in between: start-up publishes again what the last manifest names.
 *  J3  A manifest is written only when every worker's log of the epoch is durable.
 *  J4  Workers are crash-only: whatever happens to one, all are stopped and start again from the last manifest.
 */
import type { Commit, Manifest } from '../checkpoint/manifest.ts'
import type { SinkContext, SourceContext } from '../connector.ts'
import { InvariantError, MillraceError, messageOf, OperationalError } from '../errors.ts'
import type { StateIdentity } from '../state/identity.ts'
import { newAlignmentSlots } from './alignment.ts'
import { assignPartitions } from './assign.ts'
import { Attempt } from './attempt.ts'
import { Committers } from './committers.ts'
import { compareEnds } from './compare-ends.ts'
import type { JobEvent, JobOptions, RunReport, WorkerSet } from './job-contract.ts'
import {
  type ConnectorGauge,
  type FromWorker,
  fromPlain,
  type LogLevel,
  type ToWorker,
  type WorkerSnapshot,
} from './messages.ts'
import { C, createCounters, type StepCounters, sumCounters, WIDTH } from './metrics.ts'
import type { PartitionState, PartitionStatus } from './source-input.ts'
import { wait } from './wait.ts'

/** So many commits after a restart, it is forgotten. */
const RESTART_FORGIVEN_COMMITS = 10
/** A commit that takes this long is worth a word in the log, each time it has taken as long again. */
const SLOW_COMMIT_MS = 10_000
/** The most that a restart waits. */
const RESTART_DELAY_MS_MAX = 10_000

export class Job {
  readonly options: JobOptions
  counters: Float64Array<SharedArrayBuffer>[]
  partitions: PartitionStatus[][] = []
  /** What connectors report of themselves, by worker. */
  gauges: (readonly ConnectorGauge[])[] = []
  loopLagMs: number[] = []
  lastCommitAt: number | undefined
  commits = 0
  failedCommits = 0
  restarts = 0
  state: 'starting' | 'running' | 'stopping' | 'ended' = 'starting'
  readonly startedAt: number
  #workers: WorkerSet | undefined
  #manifest: Manifest | undefined
  #committers: Committers
  #attempt: Attempt | undefined
  #stop: { savepoint: string | undefined } | undefined
  #epochs = 0
  /** The savepoint to start from has become the newest commit. */
  #hasReturned = false
  /** Name of the savepoint that the last commit was kept under. */
  savepoint: string | undefined
  #states: readonly StateIdentity[] = []
  readonly #abort = new AbortController()

  constructor(options: JobOptions) {
    this.options = options
    this.startedAt = options.ports.clock.monotonic()
    this.counters = this.#newCounters()
    this.#committers = new Committers(options.store)
  }

  /** Runs to the end of all sources, or until `stop`. @throws the error that ended it */
  async run(): Promise<RunReport> {
    const { ports, plan } = this.options
    let inARow = 0
    let commitsBefore = 0
    try {
      for (;;) {
        try {
          const outcome = await this.#runOnce()
          this.state = 'ended'
          this.#emit({ type: 'ended', outcome })
          return this.#report(outcome)
        } catch (thrown) {
          const error = asMillrace(thrown)
          // A flow that has come on since the last restart may have the next one: only failing in a row counts.
          if (this.commits - commitsBefore >= RESTART_FORGIVEN_COMMITS) inARow = 0
          commitsBefore = this.commits
          const mayRestart = isRestartable(error) && inARow < this.options.restartsMax && this.#stop === undefined
          if (!mayRestart) throw error
          const delayMs = Math.min(RESTART_DELAY_MS_MAX, 50 * 2 ** inARow)
          inARow++
          this.restarts++
          this.#emit({ type: 'restart', error, attempt: this.restarts, delayMs })
          await new Promise<void>((resolve) => ports.scheduler.after(delayMs, resolve))
        }
      }
    } catch (thrown) {
      this.state = 'ended'
      const error = asMillrace(thrown)
      this.#emit({ type: 'ended', outcome: 'failed', error })
      throw error
    } finally {
      this.#abort.abort(new OperationalError('STOPPED', `flow "${plan.flow}" has ended.`))
    }
  }

  /** Stops reading, commits what was read, ends. With a savepoint, that commit is kept under its name. */
  stop(savepoint?: string): void {
    if (this.state === 'ended') return
    this.#stop = { savepoint: savepoint ?? this.#stop?.savepoint }
    this.state = 'stopping'
    this.#attempt?.requestStop()
  }

  /** Counters of a step, over all workers. */
  stepCounters(nodeId: number): StepCounters {
    return sumCounters(this.counters, nodeId)
  }

  async #runOnce(): Promise<'finished' | 'stopped'> {
    const { plan, store } = this.options
    const savepoint = this.#hasReturned ? undefined : this.options.savepoint
    const { manifest, warnings } =
      savepoint === undefined ? await store.openLatest() : await store.openSavepoint(savepoint)
    for (const warning of warnings) this.#emit({ type: 'log', level: 'warn', step: '', message: warning })
    this.#manifest = manifest
    this.#emit({ type: 'starting', attempt: this.restarts, epoch: manifest?.epoch ?? 0 })
    this.counters = this.#newCounters()
    this.partitions = []
    this.gauges = []
    const attempt = new Attempt(plan.workers)
    this.#attempt = attempt
    try {
      if (manifest !== undefined) compareEnds(manifest, plan, this.options.allowDropped)
      await this.#evolve()
      if (savepoint === undefined) await this.#committers.open(plan, this.#manifest, (step) => this.#sinkContext(step))
      const assignments = await assignPartitions(plan, (step) => this.#sourceContext(step))
      this.#workers = await this.options.spawn({
        plan,
        counters: this.counters,
        alignment: newAlignmentSlots(plan),
        assignments,
        manifest,
        logFolder: this.options.logFolder,
        firstEpoch: store.nextEpoch,
        from: manifest === undefined ? this.options.from : {},
        until: this.options.until,
        renames: this.#renames(),
        allowDropped: this.options.allowDropped,
        stateBytesMax: this.options.stateBytesMax,
        batchRows: this.options.batchRows,
        chainMode: this.options.chainMode,
        onMessage: (index, message) => this.#onMessage(attempt, index, message),
        onExit: (_, error) => attempt.fail(fromPlain(error)),
      })
      if (savepoint !== undefined) {
        // The program fits the savepoint. Sinks go back to it only once it is the newest commit, or a crash between the
        // two would leave commits whose output is gone.
        await store.adopt()
        this.#hasReturned = true
        await this.#committers.open(plan, this.#manifest, (step) => this.#sinkContext(step))
      }
      if (this.state === 'starting') this.state = 'running'
      this.#emit({ type: 'running', attempt: this.restarts })
      if (this.#stop !== undefined) attempt.requestStop()
      return await this.#commitLoop(attempt)
    } finally {
      this.#attempt = undefined
      await this.#workers?.terminate()
      this.#workers = undefined
      await this.#committers.close()
    }
  }

  /** Cuts an epoch every commit interval while there is something to commit. */
  async #commitLoop(attempt: Attempt): Promise<'finished' | 'stopped'> {
    const { ports, commitEveryMs } = this.options
    let committedActivity = Number.NaN
    for (;;) {
      const why = await attempt.wait(commitEveryMs, ports.scheduler)
      if (why === 'stop') this.#send({ type: 'drain' })
      const activity = this.#activity()
      if (why === 'interval' && activity === committedActivity) continue
      const isLast = why !== 'interval'
      await this.#commit(attempt, isLast ? (why === 'done' ? 'finished' : 'stopped') : undefined)
      committedActivity = activity
      if (isLast) {
        await this.#stopWorkers(attempt)
        return why === 'done' ? 'finished' : 'stopped'
      }
    }
  }

  async #commit(attempt: Attempt, last: 'finished' | 'stopped' | undefined): Promise<void> {
    const { ports, store } = this.options
    const epoch = store.nextEpoch
    const started = ports.clock.monotonic()
    try {
      const snapshots = await this.#snapshots(attempt, epoch)
      const durable = ports.clock.monotonic()
      this.#collectStates(snapshots)
      await this.options.checkLock?.()
      const commit = this.#nextCommit(epoch, snapshots, last)
      const manifest = await store.commit(
        commit,
        snapshots.map((s) => s.files),
      )
      const decided = ports.clock.monotonic()
      this.#manifest = manifest
      await this.#committers.publish(manifest)
      this.#send({ type: 'committed', epoch })
      const published = ports.clock.monotonic()
      this.commits++
      this.#epochs++
      this.savepoint = commit.savepoint
      this.lastCommitAt = ports.clock.now()
      const align = Math.max(...snapshots.map((s) => s.alignMs))
      this.#emit({
        type: 'commit',
        epoch,
        at: this.lastCommitAt,
        phases: {
          barrier: align,
          snapshot: durable - started - align,
          decision: decided - durable,
          publish: published - decided,
        },
        bytes: snapshots.reduce((sum, s) => sum + (s.files.state?.length ?? 0) + (s.files.staged?.length ?? 0), 0),
      })
      store
        .compact()
        .catch((error) =>
          this.#log('warn', '', `merging state files failed, they stay as they are: ${messageOf(error)}`),
        )
    } catch (error) {
      this.failedCommits++
      throw error
    }
  }

  /** Asks all workers for their part; says so when one keeps the others waiting. */
  async #snapshots(attempt: Attempt, epoch: number): Promise<WorkerSnapshot[]> {
    const { scheduler } = this.options.ports
    let waitedMs = 0
    let cancel = (): void => {}
    const look = (): void => {
      waitedMs += SLOW_COMMIT_MS
      const workers = attempt.missing().join(', ')
      this.#log(
        'warn',
        '',
        `commit ${epoch} has waited ${waitedMs / 1000} s for worker ${workers}: a function there does not return, or a sink does not finish writing. Nothing newer than commit ${epoch - 1} is durable meanwhile.`,
      )
      cancel = scheduler.after(SLOW_COMMIT_MS, look)
    }
    cancel = scheduler.after(SLOW_COMMIT_MS, look)
    try {
      return await attempt.snapshots(epoch, () => this.#send({ type: 'barrier', epoch }))
    } finally {
      cancel()
    }
  }

  #nextCommit(epoch: number, snapshots: readonly WorkerSnapshot[], last: 'finished' | 'stopped' | undefined): Commit {
    const { plan, ports } = this.options
    const sources = this.#committedSources()
    const watermarks: Record<string, number> = {}
    for (const snapshot of snapshots) {
      for (const [step, states] of Object.entries(snapshot.sources)) sources[step] = { ...sources[step], ...states }
      for (const [step, time] of Object.entries(snapshot.watermarks)) {
        watermarks[step] = Math.min(watermarks[step] ?? Number.POSITIVE_INFINITY, time)
      }
    }
    const savepoint = last === undefined ? undefined : this.#stop?.savepoint
    return {
      planHash: plan.hash,
      epoch,
      workers: plan.workers,
      timeMs: ports.clock.now(),
      sources,
      state: this.#states,
      sinks: this.#committers.next(this.#manifest, snapshots),
      ...(savepoint === undefined ? {} : { savepoint }),
      extra: { watermarks },
    }
  }

  /** Positions of the last commit, under today's names: a partition that is away for a run keeps its own. */
  #committedSources(): Record<string, Record<string, PartitionState>> {
    const sources: Record<string, Record<string, PartitionState>> = {}
    for (const { spec, name, renamedFrom } of this.options.plan.nodes) {
      if (spec.type !== 'source') continue
      const known = [name, ...renamedFrom].find((old) => this.#manifest?.sources[old] !== undefined)
      if (known !== undefined) sources[name] = { ...this.#manifest?.sources[known] }
    }
    return sources
  }

  #sinkContext(step: string): SinkContext {
    return {
      step,
      flow: this.options.plan.flow,
      disk: this.options.ports.disk,
      logFolder: this.options.logFolder,
      instance: { index: 0, count: 1 },
      signal: this.#abort.signal,
      // A committer has no receivers of its own.
      lost: () => {},
      gauge: () => {},
      log: (level, message, data) => this.#log(level, step, message, data),
    }
  }

  #sourceContext(step: string): SourceContext {
    const { plan, ports } = this.options
    return {
      step,
      flow: plan.flow,
      disk: ports.disk,
      logFolder: this.options.logFolder,
      signal: this.#abort.signal,
      now: () => ports.clock.now(),
      wait: (ms) => wait(ports.scheduler, ms, this.#abort.signal),
      reject: () => {},
      // Out here partitions are listed, not read.
      lost: () => {},
      gauge: () => {},
      log: (level, message, data) => this.#log(level, step, message, data),
    }
  }

  /** What the tables of this program are, for the next start to compare with. */
  #collectStates(snapshots: readonly WorkerSnapshot[]): void {
    const seen = new Map<string, StateIdentity>()
    for (const snapshot of snapshots)
      for (const state of snapshot.states) seen.set(`${state.step}/${state.table}`, state)
    this.#states = [...seen.values()]
  }

  /** Old step name -> new one, for names that no step of this program has. */
  #renames(): ReadonlyMap<string, string> {
    const renames = new Map<string, string>()
    const nodes = this.options.plan.nodes
    for (const node of nodes) {
      for (const old of node.renamedFrom) if (!nodes.some((n) => n.name === old)) renames.set(old, node.name)
    }
    return renames
  }

  /** Brings stored state under the names of this program for good, so that `renamedFrom` may leave the program later. */
  async #evolve(): Promise<void> {
    const saved = this.#manifest?.state ?? []
    const renames = this.#renames()
    const allowed = new Set(this.options.allowDropped)
    const dropped = saved.filter((state) => allowed.has(state.step))
    if (dropped.length > 0 || saved.some((state) => renames.has(state.step)))
      await this.options.store.evolve({ renames, dropped })
  }

  #onMessage(attempt: Attempt, index: number, message: FromWorker): void {
    switch (message.type) {
      case 'snapshot':
        attempt.snapshot(message)
        break
      case 'done':
        attempt.done(index)
        break
      case 'passed':
        attempt.passed(index)
        break
      case 'stopped':
        attempt.stopped(index)
        break
      case 'failed':
        attempt.fail(fromPlain(message.error))
        break
      case 'status':
        this.partitions[index] = [...message.partitions]
        this.gauges[index] = message.gauges
        this.loopLagMs[index] = message.loopLagMs
        break
      case 'log':
        this.#emit(message)
        break
      case 'ready':
        break
    }
  }

  async #stopWorkers(attempt: Attempt): Promise<void> {
    this.#send({ type: 'stop' })
    try {
      await attempt.allStopped(STOP_MS, this.options.ports.scheduler)
    } catch (error) {
      this.#log('warn', '', messageOf(error))
    }
  }

  #send(message: ToWorker): void {
    for (let i = 0; i < this.options.plan.workers; i++) this.#workers?.send(i, message)
  }

  /** Anything counted since the last look means there is something to commit. */
  #activity(): number {
    let sum = 0
    for (const worker of this.counters) {
      for (let i = 0; i < worker.length; i += WIDTH) sum += worker[i + C.recordsIn] + worker[i + C.recordsOut]
    }
    return sum
  }

  #newCounters(): Float64Array<SharedArrayBuffer>[] {
    return Array.from({ length: this.options.plan.workers }, () => createCounters(this.options.plan.nodes.length))
  }

  #log(level: LogLevel, step: string, message: string, data?: Record<string, unknown>): void {
    this.#emit({ type: 'log', level, step, message, ...(data === undefined ? {} : { data }) })
  }

  #emit(event: JobEvent): void {
    this.options.onEvent?.(event)
  }

  #report(outcome: 'finished' | 'stopped'): RunReport {
    const { plan, ports } = this.options
    return {
      flow: plan.flow,
      outcome,
      epochs: this.#epochs,
      lastEpoch: this.#manifest?.epoch ?? 0,
      restarts: this.restarts,
      elapsedMs: ports.clock.monotonic() - this.startedAt,
      steps: Object.fromEntries(plan.nodes.map((node) => [node.name, this.stepCounters(node.id)])),
    }
  }
}

/** How long a worker may take to close its sources and sinks. */
const STOP_MS = 5_000

/** The environment may be better next time; a mistake in the program or in the engine will be the same. */
function isRestartable(error: MillraceError): boolean {
  return error instanceof OperationalError && error.retryable
}

function asMillrace(thrown: unknown): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  return new InvariantError('INTERNAL', `the engine failed: ${messageOf(thrown)}`, { cause: thrown })
}
