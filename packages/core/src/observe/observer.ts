/**
 * Watches one run and reports it as messages of the contract. Workers count in shared memory; this reads, once a second,
 * while somebody listens.
 *
 * Invariants:
 *  V1  Without a reader no message is built and no timer runs.
 *  V2  No reader can hold up the run: readers have bounded queues or are called after the fact.
 *  V3  Every reader first gets `hello` and `plan`, and as last words a sample, the sources, the balance and the change
 *      that ended the run.
 */
import { UsageError } from '../errors.ts'
import { balanceMessage } from './balance.ts'
import { CommitTimes } from './commit-times.ts'
import {
  type ChangeMessage,
  type CommitMessage,
  OBSERVE_CONTRACT,
  OBSERVE_TYPES,
  type ObserveBody,
  type ObserveMessage,
  type ObserveType,
  type PlanMessage,
} from './contract.ts'
import type { ObservedCounters, ObservedEvent, ObservedJob, ObserverPorts } from './observed.ts'
import { planMessage } from './plan-message.ts'
import { SOURCES_MAX, sampleMessage, sourcesMessage } from './sample.ts'
import { envelope, mergeCommits, QUEUE_MESSAGES, Subscription } from './subscription.ts'

export interface ObserverOptions extends ObserverPorts {
  /** Samples per second, 0.2 to 4. Default 1. */
  readonly hz?: number
  /** Name and version of the program, for `hello`. */
  readonly server?: string
  readonly pid?: number
}

/** Commits are reported singly up to ten a second. */
const COMMIT_EVERY_MS = 100
/** Workers report their queues four times a second. */
const SETTLED_MS = 600
/** Log lines a second; more are counted. */
const LOGS_MAX = 50

type Listener = (message: ObserveMessage) => void

export class Observer {
  readonly #options: ObserverOptions
  readonly #intervalMs: number
  readonly #startedAt: number
  readonly #listeners = new Set<{ fn: Listener; seq: number }>()
  readonly #subscriptions = new Set<Subscription>()
  readonly #early: ObservedEvent[] = []
  /** Commit durations since the start, for metrics. */
  readonly commitTimes = new CommitTimes()
  #job: ObservedJob | undefined
  #plan: PlanMessage | undefined
  #cancelTick: (() => void) | undefined
  #cancelCommit: (() => void) | undefined
  #pendingCommit: CommitMessage | undefined
  #lastCommit: CommitMessage | undefined
  #lastCommitSentAt = Number.NEGATIVE_INFINITY
  #activityAtCommit = Number.NaN
  #balanceDue = true
  #previous: { at: number; attempt: number; counters: ObservedCounters[] } | undefined
  #logs = { second: 0, n: 0, skipped: 0 }
  #ended: ChangeMessage | undefined

  /** @throws UsageError `OBSERVE_HZ` when `hz` is out of range */
  constructor(options: ObserverOptions) {
    const hz = options.hz ?? 1
    if (!(hz >= 0.2 && hz <= 4)) {
      throw new UsageError('OBSERVE_HZ', `hz is ${hz}; samples are taken 0.2 to 4 times a second.`)
    }
    this.#options = options
    this.#intervalMs = 1000 / hz
    this.#startedAt = options.clock.now()
  }

  /** Give this to the run as its `onEvent`. Events that come before `attach` wait for it. */
  readonly onEvent = (event: ObservedEvent): void => {
    if (this.#job === undefined) this.#early.push(event)
    else this.#handle(event)
  }

  attach(job: ObservedJob): void {
    this.#job = job
    this.#plan = planMessage(job.options.plan)
    if (this.#isWatched) {
      this.#emit(this.#hello(job))
      this.#emit(this.#plan)
    }
    for (const event of this.#early.splice(0)) this.#handle(event)
    this.#startTicking()
  }

  get job(): ObservedJob | undefined {
    return this.#job
  }

  get plan(): PlanMessage | undefined {
    return this.#plan
  }

  /** Readers at the moment. */
  get readers(): number {
    return this.#listeners.size + this.#subscriptions.size
  }

  /** Calls `fn` with every message. Returns a function that ends it. */
  listen(fn: Listener): () => void {
    const listener = { fn, seq: 0 }
    this.#listeners.add(listener)
    const deliver = (body: ObserveBody): void => fn(envelope(body, ++listener.seq, this.#now()))
    for (const body of this.#greeting()) deliver(body)
    this.#startTicking()
    return () => {
      this.#listeners.delete(listener)
      this.#stopUnwatched()
    }
  }

  /** A reader with a queue of its own: `for await (const message of observer.subscribe()) ...`. */
  subscribe(options: { readonly types?: readonly ObserveType[]; readonly queueMessages?: number } = {}): Subscription {
    const subscription = new Subscription(
      (closed) => {
        this.#subscriptions.delete(closed)
        this.#stopUnwatched()
      },
      options.types,
      options.queueMessages,
    )
    for (const body of this.#greeting()) subscription.push(body, this.#now())
    if (this.#ended !== undefined) subscription.end()
    else this.#subscriptions.add(subscription)
    this.#startTicking()
    return subscription
  }

  /** Everything that is known now, as the messages a new reader would collect. Works without readers. */
  snapshot(): ObserveMessage[] {
    if (this.#job === undefined || this.#plan === undefined) return []
    const counters = this.#counters(this.#job)
    const bodies: ObserveBody[] = [
      this.#hello(this.#job),
      this.#plan,
      this.#sample(this.#job, this.#plan, counters),
      sourcesMessage(this.#plan, this.#job.partitions.flat()),
      balanceMessage(this.#plan, counters, this.#isSettled(this.#job)),
      ...(this.#lastCommit === undefined ? [] : [this.#lastCommit]),
      ...(this.#ended === undefined ? [] : [this.#ended]),
    ]
    const at = this.#now()
    return bodies.map((body, i) => envelope(body, i + 1, at))
  }

  /** Ends every subscription and all timers. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.end()
    this.#listeners.clear()
    this.#subscriptions.clear()
    this.#stopUnwatched()
  }

  #handle(event: ObservedEvent): void {
    const job = this.#job as ObservedJob
    switch (event.type) {
      case 'commit':
        this.commitTimes.add(event.phases)
        this.#balanceDue = true
        this.#activityAtCommit = this.#activity(job)
        this.#lastCommit = {
          type: 'commit',
          flow: job.options.plan.flow,
          epoch: event.epoch,
          n: 1,
          committedAt: event.at,
          phases: event.phases,
          bytes: event.bytes,
          outcome: 'committed',
        }
        if (this.#isWatched) this.#reportCommit(this.#lastCommit)
        break
      case 'log':
        if (this.#isWatched) this.#reportLog(job, event)
        break
      case 'ended':
        this.#end(job, event)
        break
      default:
        if (event.type === 'restart') this.#previous = undefined
        if (this.#isWatched) this.#emit(changeOf(job, event))
    }
  }

  #end(job: ObservedJob, event: Extract<ObservedEvent, { type: 'ended' }>): void {
    this.#ended = changeOf(job, event)
    if (this.#isWatched) {
      this.#flushCommit()
      this.#flushLogs(job)
      this.#report(job, event.outcome !== 'failed')
      this.#emit(this.#ended)
    }
    this.#cancelTick?.()
    this.#cancelTick = undefined
    for (const subscription of this.#subscriptions) subscription.end()
    this.#subscriptions.clear()
  }

  get #isWatched(): boolean {
    return this.readers > 0
  }

  #now(): number {
    return this.#options.clock.now()
  }

  #greeting(): ObserveBody[] {
    if (this.#job === undefined || this.#plan === undefined) return []
    return [this.#hello(this.#job), this.#plan, ...(this.#ended === undefined ? [] : [this.#ended])]
  }

  #hello(job: ObservedJob): ObserveBody {
    return {
      type: 'hello',
      contract: OBSERVE_CONTRACT,
      server: this.#options.server ?? 'millrace',
      flow: job.options.plan.flow,
      pid: this.#options.pid ?? null,
      startedAt: this.#startedAt,
      limits: { hz: 1000 / this.#intervalMs, queueMessages: QUEUE_MESSAGES, sourcesMax: SOURCES_MAX },
      features: OBSERVE_TYPES,
    }
  }

  #startTicking(): void {
    if (this.#cancelTick !== undefined || !this.#isWatched || this.#job === undefined || this.#ended !== undefined)
      return
    this.#cancelTick = this.#options.scheduler.after(this.#intervalMs, () => {
      this.#cancelTick = undefined
      if (!this.#isWatched) return
      const job = this.#job as ObservedJob
      this.#flushLogs(job)
      this.#report(job, this.#isSettled(job))
      this.#startTicking()
    })
  }

  #stopUnwatched(): void {
    if (this.#isWatched) return
    this.#cancelTick?.()
    this.#cancelCommit?.()
    this.#cancelTick = undefined
    this.#cancelCommit = undefined
    this.#pendingCommit = undefined
  }

  #report(job: ObservedJob, isSettled: boolean): void {
    const plan = this.#plan as PlanMessage
    const counters = this.#counters(job)
    const before = this.#previous
    this.#emit(this.#sample(job, plan, counters))
    this.#emit(sourcesMessage(plan, job.partitions.flat()))
    counters.forEach((c, step) => {
      const earlier = before?.attempt === job.restarts ? before.counters[step].dead : 0
      if (c.dead > earlier) {
        this.#emit({ type: 'dead', flow: plan.flow, step, count: c.dead, added: c.dead - earlier })
      }
    })
    if (this.#balanceDue || isSettled) {
      this.#balanceDue = false
      this.#emit(balanceMessage(plan, counters, isSettled))
    }
    this.#previous = { at: this.#options.clock.monotonic(), attempt: job.restarts, counters }
  }

  #sample(job: ObservedJob, plan: PlanMessage, counters: readonly ObservedCounters[]): ObserveBody {
    const previous = this.#previous?.attempt === job.restarts ? this.#previous : undefined
    const interval = previous === undefined ? 0 : this.#options.clock.monotonic() - previous.at
    const frame = { plan, attempt: job.restarts, state: job.state, interval: Math.round(interval) }
    return sampleMessage(frame, counters, previous?.counters)
  }

  #counters(job: ObservedJob): ObservedCounters[] {
    const counters = job.options.plan.nodes.map((node) => job.stepCounters(node.id))
    // A run that ended well has drained its queues; what workers reported of them may be a moment older.
    const hasDrained = this.#ended !== undefined && this.#ended.kind !== 'failed'
    return hasDrained ? counters.map((c) => ({ ...c, queued: 0 })) : counters
  }

  /** No record moved since a commit, and no other commit was needed since: the counters belong to one moment. */
  #isSettled(job: ObservedJob): boolean {
    if (this.#ended !== undefined) return this.#ended.kind !== 'failed'
    const since = this.#now() - (this.#lastCommit?.committedAt ?? this.#now())
    return since > Math.max(SETTLED_MS, 2 * job.options.commitEveryMs) && this.#activity(job) === this.#activityAtCommit
  }

  #activity(job: ObservedJob): number {
    return this.#counters(job).reduce((sum, c) => sum + c.recordsIn + c.recordsOut, 0)
  }

  #reportCommit(commit: CommitMessage): void {
    this.#pendingCommit = this.#pendingCommit === undefined ? commit : mergeCommits(this.#pendingCommit, commit)
    const waitMs = this.#lastCommitSentAt + COMMIT_EVERY_MS - this.#options.clock.monotonic()
    if (waitMs <= 0) this.#flushCommit()
    else this.#cancelCommit ??= this.#options.scheduler.after(waitMs, () => this.#flushCommit())
  }

  #flushCommit(): void {
    this.#cancelCommit?.()
    this.#cancelCommit = undefined
    const commit = this.#pendingCommit
    if (commit === undefined) return
    this.#pendingCommit = undefined
    this.#lastCommitSentAt = this.#options.clock.monotonic()
    this.#emit(commit)
  }

  #reportLog(job: ObservedJob, event: Extract<ObservedEvent, { type: 'log' }>): void {
    const second = Math.floor(this.#options.clock.monotonic() / 1000)
    if (second !== this.#logs.second) {
      this.#flushLogs(job)
      this.#logs = { second, n: 0, skipped: 0 }
    }
    if (this.#logs.n >= LOGS_MAX) {
      this.#logs.skipped++
      return
    }
    this.#logs.n++
    this.#emit({
      type: 'log',
      flow: job.options.plan.flow,
      severity: event.level,
      step: event.step === '' ? null : event.step,
      code: typeof event.data?.code === 'string' ? event.data.code : null,
      text: event.message,
      n: 0,
    })
  }

  #flushLogs(job: ObservedJob): void {
    const { skipped } = this.#logs
    if (skipped === 0) return
    this.#logs.skipped = 0
    const text = `${skipped} more log lines in this second are not shown.`
    this.#emit({ type: 'log', flow: job.options.plan.flow, severity: 'warn', step: null, code: null, text, n: skipped })
    this.#emit({ type: 'dropped', what: 'log', n: skipped, because: 'rate limit' })
  }

  #emit(body: ObserveBody): void {
    const at = this.#now()
    for (const listener of [...this.#listeners]) listener.fn(envelope(body, ++listener.seq, at))
    for (const subscription of this.#subscriptions) subscription.push(body, at)
  }
}

function changeOf(job: ObservedJob, event: Exclude<ObservedEvent, { type: 'commit' | 'log' }>): ChangeMessage {
  const { flow } = job.options.plan
  const plain = { type: 'change', flow, severity: 'info', code: null, step: null } as const
  switch (event.type) {
    case 'starting': {
      const text = event.epoch === 0 ? 'starting from the beginning' : `continuing after commit ${event.epoch}`
      return { ...plain, kind: 'starting', text, attempt: event.attempt }
    }
    case 'running':
      return { ...plain, kind: 'running', text: 'running', attempt: event.attempt }
    case 'restart': {
      const { code, step = null, message } = event.error
      const text = `${message} Starting again from the last commit in ${event.delayMs} ms.`
      return { ...plain, kind: 'restart', severity: 'warn', text, code, step, attempt: event.attempt }
    }
    case 'ended': {
      const attempt = job.restarts
      if (event.outcome !== 'failed' || event.error === undefined) {
        const text =
          event.outcome === 'finished'
            ? 'every source has ended and everything is committed'
            : 'stopped, everything that was read is committed'
        return { ...plain, kind: event.outcome, text, attempt }
      }
      const { code, step = null, message } = event.error
      return { ...plain, kind: 'failed', severity: 'error', text: message, code, step, attempt }
    }
  }
}
