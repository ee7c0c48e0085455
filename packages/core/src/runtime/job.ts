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
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Commit, Manifest, SinkCommit } from '../checkpoint/manifest.ts'
import type { Position, SinkCommitter, SinkContext, SourceContext } from '../connector.ts'
import { InvariantError, MillraceError, messageOf, OperationalError, UsageError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import type { Plan } from '../graph/plan.ts'
import type { StateIdentity } from '../state/identity.ts'
import { newAlignmentSlots } from './alignment.ts'
import { Attempt } from './attempt.ts'
import { compareEnds } from './compare-ends.ts'
import {
  type FromWorker,
  fromPlain,
  type LogLevel,
  type PlainError,
  type ToWorker,
  type WorkerSnapshot,
} from './messages.ts'
import { C, createCounters, type StepCounters, sumCounters, WIDTH } from './metrics.ts'
import { connectorError } from './operator-node.ts'
import type { Ports } from './ports.ts'
import type { PartitionState, PartitionStatus } from './source-input.ts'
import type { Until } from './until.ts'
import { wait } from './wait.ts'

/** One attempt's workers. */
export interface WorkerSet {
  send(index: number, message: ToWorker): void
  /** Ends all workers without asking. */
  terminate(): Promise<void>
}

export interface SpawnRequest {
  readonly plan: Plan
  readonly counters: readonly Float64Array<SharedArrayBuffer>[]
  readonly alignment: Float64Array<SharedArrayBuffer>
  readonly assignments: readonly Readonly<Record<string, readonly string[]>>[]
  readonly manifest: Manifest | undefined
  /** The first epoch this attempt cuts. */
  readonly firstEpoch: number
  readonly from: Readonly<Record<string, Readonly<Record<string, PartitionState>>>>
  readonly until: Until | undefined
  readonly renames: ReadonlyMap<string, string>
  readonly allowDropped: readonly string[]
  readonly stateBytesMax: number
  /** Largest batch read from a source. */
  readonly batchRows: number
  readonly chainMode: 'generated' | 'interpreted' | 'auto'
  onMessage(index: number, message: FromWorker): void
  /** The worker ended without being asked: exit code or error. */
  onExit(index: number, error: PlainError): void
}

/** Resolves when every worker has restored its state and opened its sources and sinks. */
export type Spawn = (request: SpawnRequest) => Promise<WorkerSet>

export interface JobOptions {
  readonly plan: Plan
  readonly ports: Ports
  readonly store: CheckpointStore
  /** Fails when another process has taken the state folder over. */
  readonly checkLock?: () => Promise<void>
  readonly spawn: Spawn
  readonly commitEveryMs: number
  readonly from: Readonly<Record<string, Readonly<Record<string, PartitionState>>>>
  /** Start from this savepoint rather than from the last commit. */
  readonly savepoint?: string | undefined
  /** Event time at which sources stop reading. */
  readonly until: Until | undefined
  readonly allowDropped: readonly string[]
  readonly stateBytesMax: number
  readonly restartsMax: number
  /** Largest batch read from a source. */
  readonly batchRows: number
  readonly chainMode: 'generated' | 'interpreted' | 'auto'
  onEvent?(event: JobEvent): void
}

export interface CommitEvent {
  readonly type: 'commit'
  readonly epoch: number
  readonly at: number
  /** Milliseconds of each phase. */
  readonly phases: Readonly<Record<'barrier' | 'snapshot' | 'decision' | 'publish', number>>
  readonly bytes: number
}

export type JobEvent =
  | { readonly type: 'starting'; readonly attempt: number; readonly epoch: number }
  | { readonly type: 'running'; readonly attempt: number }
  | CommitEvent
  | { readonly type: 'restart'; readonly error: MillraceError; readonly attempt: number; readonly delayMs: number }
  | {
      readonly type: 'log'
      readonly level: LogLevel
      readonly step: string
      readonly message: string
      readonly data?: Record<string, unknown>
    }
  | { readonly type: 'ended'; readonly outcome: 'finished' | 'stopped' | 'failed'; readonly error?: MillraceError }

/** What a run did. */
export interface RunReport {
  readonly flow: string
  /** 'finished': every source ended. 'stopped': asked to, everything committed. */
  readonly outcome: 'finished' | 'stopped'
  /** Epochs committed by this run. */
  readonly epochs: number
  readonly lastEpoch: number
  readonly restarts: number
  readonly elapsedMs: number
  /** Counters of each named or unnamed step, by name. After a restart they count again from the restored epoch. */
  readonly steps: Readonly<Record<string, StepCounters>>
}

/** So many commits after a restart, it is forgotten. */
const RESTART_FORGIVEN_COMMITS = 10
/** The most that a restart waits. */
const RESTART_DELAY_MS_MAX = 10_000

export class Job {
  readonly options: JobOptions
  counters: Float64Array<SharedArrayBuffer>[]
  partitions: PartitionStatus[][] = []
  loopLagMs: number[] = []
  lastCommitAt: number | undefined
  commits = 0
  failedCommits = 0
  restarts = 0
  state: 'starting' | 'running' | 'stopping' | 'ended' = 'starting'
  readonly startedAt: number
  #workers: WorkerSet | undefined
  #manifest: Manifest | undefined
  #committers = new Map<GraphNode, SinkCommitter>()
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
    const attempt = new Attempt(plan.workers)
    this.#attempt = attempt
    try {
      if (manifest !== undefined) compareEnds(manifest, plan, this.options.allowDropped)
      await this.#evolve()
      if (savepoint === undefined) await this.#openCommitters()
      const assignments = await this.#assign()
      this.#workers = await this.options.spawn({
        plan,
        counters: this.counters,
        alignment: newAlignmentSlots(plan),
        assignments,
        manifest,
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
        await this.#openCommitters()
      }
      if (this.state === 'starting') this.state = 'running'
      this.#emit({ type: 'running', attempt: this.restarts })
      if (this.#stop !== undefined) attempt.requestStop()
      return await this.#commitLoop(attempt)
    } finally {
      this.#attempt = undefined
      await this.#workers?.terminate()
      this.#workers = undefined
      for (const committer of this.#committers.values()) await committer.close()
      this.#committers.clear()
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
      const snapshots = await attempt.snapshots(epoch, () => this.#send({ type: 'barrier', epoch }))
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
      await this.#publish(manifest)
      const published = ports.clock.monotonic()
      this.#send({ type: 'committed', epoch })
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
    const sinks: Record<string, SinkCommit> = {}
    for (const [node, committer] of this.#committers) {
      // The first epoch starts from what the committer found, never from undefined: a crash in its publish must restore
      // to that, and undefined would mean a target that nobody has written to.
      const before = sinkCommit(this.#manifest, node)?.after ?? committer.after(undefined, 0)
      const bytes = snapshots.reduce((sum, s) => sum + (s.files.stagedBytes[node.name] ?? 0), 0)
      sinks[node.name] = { before, after: committer.after(before, bytes), bytes }
    }
    const savepoint = last === undefined ? undefined : this.#stop?.savepoint
    return {
      planHash: plan.hash,
      epoch,
      workers: plan.workers,
      timeMs: ports.clock.now(),
      sources,
      state: this.#states,
      sinks,
      ...(savepoint === undefined ? {} : { savepoint }),
      extra: { watermarks, isFinished: last === 'finished' },
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

  /** Publishes what the manifest's staged sinks hold; again and again gives the same target. */
  async #publish(manifest: Manifest): Promise<void> {
    for (const [node, committer] of this.#committers) {
      const sink = sinkCommit(manifest, node)
      if (sink === undefined || sink.bytes === 0) continue
      const staged = this.options.store.staged(manifest, sink.name)
      try {
        await committer.publish(sink.before, sink.after as Position, staged)
      } catch (error) {
        throw connectorError(error, 'SINK_FAILED', node.name)
      }
    }
  }

  /** Opens the targets and rolls them forward to the last decision (J2). */
  async #openCommitters(): Promise<void> {
    const { plan, ports } = this.options
    for (const node of plan.nodes) {
      if (node.spec.type !== 'sink' || node.spec.sink.guarantee !== 'staged') continue
      const make = node.spec.sink.committer
      if (make === undefined) {
        throw new UsageError(
          'SINK_COMMITTER',
          `sink "${node.name}" (${node.spec.sink.kind}) says it is staged but has no committer.`,
          {
            step: node.name,
          },
        )
      }
      const context: SinkContext = {
        step: node.name,
        flow: plan.flow,
        disk: ports.disk,
        instance: { index: 0, count: 1 },
        signal: this.#abort.signal,
        log: (level, message, data) => this.#log(level, node.name, message, data),
      }
      const committer = await make.call(node.spec.sink, context)
      this.#committers.set(node, committer)
      // The last epoch's publication may have been cut short: it is published once more, from where it began.
      const sink = sinkCommit(this.#manifest, node)
      if (sink === undefined || sink.bytes === 0) await committer.restore(sink?.after)
      else await committer.restore(sink.before, sink.after)
    }
    if (this.#manifest !== undefined) await this.#publish(this.#manifest)
  }

  /** Deals each source's partitions to the workers that run it, round robin. */
  async #assign(): Promise<Record<string, string[]>[]> {
    const { plan, ports } = this.options
    const assignments = Array.from({ length: plan.workers }, (): Record<string, string[]> => ({}))
    let next = 0
    for (const node of plan.nodes) {
      if (node.spec.type !== 'source') continue
      const context: SourceContext = {
        step: node.name,
        flow: plan.flow,
        disk: ports.disk,
        signal: this.#abort.signal,
        now: () => ports.clock.now(),
        wait: (ms) => wait(ports.scheduler, ms, this.#abort.signal),
        reject: () => {},
        log: (level, message, data) => this.#log(level, node.name, message, data),
      }
      let partitions: readonly string[]
      try {
        partitions = await node.spec.source.partitions(context)
      } catch (error) {
        throw connectorError(error, 'SOURCE_FAILED', node.name)
      }
      for (const partition of partitions) (assignments[next++ % plan.workers][node.name] ??= []).push(partition)
    }
    return assignments
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

/** A sink's part of a commit, and the name it was made under: a renamed sink is found under its old one. */
function sinkCommit(
  manifest: Manifest | undefined,
  node: GraphNode,
): (SinkCommit & { readonly name: string }) | undefined {
  for (const name of [node.name, ...node.renamedFrom]) {
    const sink = manifest?.sinks[name]
    if (sink !== undefined) return { ...sink, name }
  }
  return undefined
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
