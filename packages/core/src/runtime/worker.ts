/**
 * The worker: one loop that runs its share of every stage, in this thread.
 *
 * Invariants:
 *  W1  Downstream stages run first, so records leave before new ones are read.
 *  W2  A turn is bounded: after TURN_MS the event loop gets its turn, for I/O, promises and messages.
 *  W3  A snapshot is reported only after its log is durable; the log holds the state of every stage as it was when the
 *      barrier passed that stage, and the sink bytes staged before it.
 */

import { keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { readState } from '../checkpoint/checkpoint-store.ts'
import { EpochLog } from '../checkpoint/epoch-log.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import type { OnWrite } from '../checkpoint/write-sites.ts'
import type { Sink, SinkContext, SinkWriter, SourceContext } from '../connector.ts'
import { messageOf, UsageError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import type { Channel, Plan } from '../graph/plan.ts'
import { compareState } from '../state/identity.ts'
import { StateStore } from '../state/store.ts'
import { ChannelReader, ChannelWriter, type ElementSource, type Sender } from './channel.ts'
import { connectorError } from './failures.ts'
import { type ConnectorGauge, type FromWorker, type LogLevel, type ToWorker, toPlain } from './messages.ts'
import { C, WIDTH } from './metrics.ts'
import { canCombine } from './partial-node.ts'
import type { Ports } from './ports.ts'
import type { Receiver } from './receiver.ts'
import { type Alignment, type PartitionState, SourceInput } from './source-input.ts'
import { type StageSnapshot, StageTask } from './stage.ts'
import { steadyClock } from './steady-clock.ts'
import type { StepHost } from './step-host.ts'
import type { Until } from './until.ts'
import { wait } from './wait.ts'

/** How long the loop runs before the event loop gets its turn. */
const TURN_MS = 2
/** Bound on steps per turn for clocks that stand still, as simulated ones do. */
const TURN_STEPS = 256
/** How often a worker reports its partitions, and at least looks for something to do. */
const STATUS_MS = 250

/** How elements cross between workers. */
export interface Transport {
  sender(channel: Channel, from: number, to: number): Sender
  lane(channel: Channel, from: number, to: number): ElementSource
  /** Calls `wake` when another worker has sent something or made room, after this call. Returns a cancel function. */
  onActivity?(wake: () => void): () => void
  /** Called before the worker looks for work: activity after this ends the next sleep. */
  mark?(): void
  /** Tells the other workers that something was sent or taken since the last call. */
  signal?(): void
}

export interface WorkerOptions {
  readonly plan: Plan
  readonly index: number
  readonly count: number
  readonly ports: Ports
  readonly transport: Transport
  readonly counters: Float64Array
  readonly alignment: Alignment
  /** Partitions this worker reads, by source step. */
  readonly assignment: Readonly<Record<string, readonly string[]>>
  /** State folder. */
  readonly folder: string
  readonly logFolder: string
  readonly onWrite?: OnWrite
  /** The checkpoint to start from. */
  readonly manifest: Manifest | undefined
  readonly firstEpoch: number
  /** Event time at which sources stop reading. */
  readonly until: Until | undefined
  /** Positions that override the checkpoint's, by source and partition. */
  readonly from: Readonly<Record<string, Readonly<Record<string, PartitionState>>>>
  /** Old step name -> new one. */
  readonly renames: ReadonlyMap<string, string>
  readonly allowDropped: readonly string[]
  readonly stateBytesMax: number
  /** Largest batch read from a source. */
  readonly batchRows: number
  readonly chainMode: 'generated' | 'interpreted' | 'auto'
  readonly signal: AbortSignal
  send(message: FromWorker): void
}

export class WorkerRuntime implements StepHost {
  readonly ports: Ports
  readonly counters: Float64Array
  readonly store: StateStore
  readonly instance: { readonly index: number; readonly count: number }
  readonly restoredWatermarks: Readonly<Record<string, number>>
  nestedMs = 0
  readonly #options: WorkerOptions
  #stages: StageTask[] = []
  readonly #logs = new Map<number, EpochLog>()
  readonly #writers = new Map<GraphNode, SinkWriter<unknown>>()
  readonly #pending = new Map<number, PendingSnapshot>()
  readonly #firstEpoch: number
  /** Batches are read no larger than the smallest buffer, so that buffers hold what they say. */
  readonly #batchRows: number
  #isStopped = false
  #isDone = false
  #hasPassed = false
  #wakeRequested = false
  #resume: (() => void) | undefined
  #deadlineMs = Number.POSITIVE_INFINITY
  #nextStatusMs = 0
  #loop: Promise<void> | undefined
  #loopLagMs = 0
  /** Positions of commits under way whose senders wait for an answer, by epoch. */
  readonly #unacknowledged = new Map<number, [SourceInput, Record<string, PartitionState>][]>()
  readonly #gauges = new Map<string, ConnectorGauge>()

  constructor(options: WorkerOptions) {
    this.#options = options
    this.ports = { ...options.ports, clock: steadyClock(options.ports.clock) }
    this.counters = options.counters
    this.instance = { index: options.index, count: options.count }
    this.store = new StateStore({
      limitBytes: options.stateBytesMax,
      worker: this.instance,
      renames: options.renames,
      allowDropped: options.allowDropped,
    })
    this.#firstEpoch = options.firstEpoch
    this.#batchRows = Math.min(options.batchRows, ...options.plan.channels.map((channel) => channel.capacity))
    this.restoredWatermarks = (options.manifest?.extra?.watermarks ?? {}) as Record<string, number>
  }

  /** Restores state, opens sources and sinks, builds the stages. Then `run` may be called. */
  async open(): Promise<void> {
    const { plan, manifest, index, folder } = this.#options
    // Sections wait in the state store until a step declares their table, so steps find their state when they are made.
    if (manifest !== undefined) {
      await readState(this.ports.disk, folder, manifest, (section, step) => this.#restore(section, step))
    }
    const writers = this.#writers
    const mine = plan.stages.filter((stage) => stage.parallel === 'all' || index === 0)
    for (const stage of mine) {
      for (const node of stage.nodes) {
        if (node.spec.type === 'sink') writers.set(node, await this.#openSink(node, node.spec.sink))
      }
    }
    const sources: { input: SourceInput; node: GraphNode }[] = []
    this.#stages = mine.map((stage) => {
      const task: StageTask = new StageTask(
        stage,
        this,
        {
          chainMode: this.#options.chainMode,
          combines: (channel) => canCombine(channel, plan.nodes),
          writer: (channel) => this.#writer(channel),
          reader: (channel, next) => this.#reader(channel, next),
          source: (node, next, dead) => {
            const input = this.#source(node, next, dead)
            sources.push({ input, node })
            return input
          },
          sinkWriter: (node) => writers.get(node) as SinkWriter<unknown>,
          sinkPorts: {
            stage: (sink, bytes) => this.#log(task.epoch).stage(sink, bytes),
            fail: (error) => this.#fail(error),
          },
        },
        this.#firstEpoch,
      )
      return task
    })
    if (manifest !== undefined && index === 0) {
      compareState(manifest.state, this.store.describe(), this.#options.renames, this.#options.allowDropped)
    }
    for (const { input, node } of sources) {
      try {
        await this.#openPartitions(input, node)
      } catch (error) {
        throw connectorError(error, 'SOURCE_FAILED', node.name)
      }
    }
    this.#options.send({ type: 'ready', planHash: plan.hash })
  }

  /** Runs until `stop` or a failure. Never rejects: failures are sent. */
  run(): Promise<void> {
    this.#loop ??= this.#run()
    return this.#loop
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case 'barrier':
        this.#pending.set(message.epoch, newPending(this.ports.clock.monotonic()))
        for (const stage of this.#stages) stage.requestBarrier(message.epoch)
        break
      case 'committed':
        this.#committed(message.epoch)
        break
      case 'drain':
        for (const stage of this.#stages) for (const source of stage.sources) source.stop()
        break
      case 'stop':
        this.#isStopped = true
        break
    }
    this.wake()
  }

  wake(): void {
    this.#wakeRequested = true
    this.#resume?.()
  }

  wakeAt(timeMs: number): void {
    if (timeMs < this.#deadlineMs) this.#deadlineMs = timeMs
  }

  async #run(): Promise<void> {
    const { clock, scheduler } = this.ports
    while (!this.#isStopped) {
      this.#wakeRequested = false
      this.#options.transport.mark?.()
      let didWork = false
      try {
        const until = clock.monotonic() + TURN_MS
        let steps = 0
        let moved: boolean
        do {
          moved = this.#turn()
          didWork ||= moved
        } while (moved && ++steps < TURN_STEPS && clock.monotonic() < until && !this.#isStopped)
      } catch (error) {
        this.#fail(error)
        break
      }
      this.#options.transport.signal?.()
      this.#report()
      if (this.#isStopped) break
      if (didWork || this.#wakeRequested) {
        const before = clock.monotonic()
        await new Promise<void>((resolve) => scheduler.soon(resolve))
        this.#loopLagMs = clock.monotonic() - before
      } else {
        // Nothing moves any more: what lies in the queues now counts for the balance.
        this.#reportQueues()
        await this.#sleep()
      }
    }
    this.#reportQueues()
    await this.close()
  }

  #turn(): boolean {
    const now = this.ports.clock.now()
    if (now >= this.#deadlineMs) this.#deadlineMs = Number.POSITIVE_INFINITY
    let moved = false
    for (let i = this.#stages.length - 1; i >= 0; i--) {
      const stage = this.#stages[i]
      if (stage.step(now, (snapshot) => this.#onBarrier(stage, snapshot))) moved = true
    }
    return moved
  }

  async #sleep(): Promise<void> {
    const { clock, scheduler } = this.ports
    await new Promise<void>((resolve) => {
      let cancelTimer = (): void => {}
      let cancelActivity = (): void => {}
      const done = (): void => {
        this.#resume = undefined
        cancelTimer()
        cancelActivity()
        resolve()
      }
      this.#resume = done
      const now = clock.now()
      // Each step's own moment, not only the first that was asked for: a fired one must not take the later ones with it.
      const nextMs = Math.min(this.#deadlineMs, ...this.#stages.map((stage) => stage.nextWakeMs(now)))
      const waitMs = Math.min(STATUS_MS, Math.max(0, nextMs - now))
      cancelTimer = scheduler.after(waitMs, done)
      cancelActivity = this.#options.transport.onActivity?.(done) ?? cancelActivity
    })
  }

  #onBarrier(stage: StageTask, snapshot: StageSnapshot): void {
    const epoch = stage.epoch
    const log = this.#log(epoch)
    let pending = this.#pending.get(epoch)
    if (pending === undefined) {
      pending = newPending(this.ports.clock.monotonic())
      this.#pending.set(epoch, pending)
    }
    for (const operator of stage.operators) {
      for (const section of this.store.delta([operator.node.name])) log.state(operator.node.name, section)
      this.#gauge(operator.node)
    }
    for (const source of stage.sources) {
      const states = source.states()
      pending.sources[source.node.name] = states
      if (source.acknowledges) addTo(this.#unacknowledged, epoch, [source, states])
    }
    Object.assign(pending.watermarks, snapshot.watermarks)
    pending.flushed.push(snapshot.flushed)
    if (++pending.passed === this.#stages.length) {
      this.#pending.delete(epoch)
      this.#logs.delete(epoch)
      this.#finish(epoch, log, pending).catch((error) => this.#fail(error))
    }
  }

  async #finish(epoch: number, log: EpochLog, pending: PendingSnapshot): Promise<void> {
    const { clock } = this.ports
    const aligned = clock.monotonic()
    await Promise.all(pending.flushed)
    const files = await log.finish()
    this.#options.send({
      type: 'snapshot',
      worker: this.#options.index,
      epoch,
      files,
      sources: pending.sources,
      watermarks: pending.watermarks,
      states: this.store.describe(),
      alignMs: aligned - pending.startedAt,
      durableMs: clock.monotonic() - aligned,
    })
  }

  /** Earlier epochs too, if any: an epoch is committed with everything before it. */
  #committed(epoch: number): void {
    for (const [earlier, sources] of this.#unacknowledged) {
      if (earlier > epoch) continue
      this.#unacknowledged.delete(earlier)
      for (const [source, states] of sources) source.committed(states)
    }
  }

  #gauge(node: GraphNode): void {
    const stats = this.store.stats(node.name)
    this.counters[node.id * WIDTH + C.stateBytes] = stats.bytes
    this.counters[node.id * WIDTH + C.keys] = stats.entries
  }

  #report(): void {
    if (!this.#isDone && this.#stages.every((stage) => stage.isDone)) {
      this.#isDone = true
      this.#options.send({ type: 'done' })
    }
    if (this.#options.until !== undefined && !this.#hasPassed) {
      this.#hasPassed = this.#stages.every((stage) => stage.sources.every((source) => source.hasPassed))
      if (this.#hasPassed) this.#options.send({ type: 'passed' })
    }
    const now = this.ports.clock.monotonic()
    if (now < this.#nextStatusMs) return
    this.#nextStatusMs = now + STATUS_MS
    this.#reportQueues()
    const partitions = this.#stages.flatMap((stage) => stage.sources.flatMap((source) => source.statuses()))
    const gauges = [...this.#gauges.values()]
    this.#options.send({ type: 'status', partitions, gauges, loopLagMs: this.#loopLagMs })
  }

  #reportQueues(): void {
    for (const stage of this.#stages) stage.reportQueues()
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#options.send({ type: 'failed', error: toPlain(error) })
    this.wake()
  }

  /** Closes sources, steps and sinks. `run` does it at its end. */
  async close(): Promise<void> {
    const hosted = this.#stages.flatMap((stage) => stage.open)
    const logs = [...this.#logs.values()].map((log) => ({ close: () => log.abort() }))
    // Where opening failed before there were stages, their sinks are open already.
    for (const part of [...(hosted.length > 0 ? hosted : this.#writers.values()), ...logs]) {
      try {
        await part.close()
      } catch (error) {
        this.#log_('warn', '', `closing failed: ${messageOf(error)}`)
      }
    }
    this.#options.send({ type: 'stopped' })
  }

  async #openSink(node: GraphNode, sink: Sink<unknown>): Promise<SinkWriter<unknown>> {
    try {
      return await sink.open(this.#sinkContext(node))
    } catch (error) {
      throw connectorError(error, 'SINK_FAILED', node.name)
    }
  }

  #log(epoch: number): EpochLog {
    let log = this.#logs.get(epoch)
    if (log === undefined) {
      const { folder, index, onWrite } = this.#options
      log = new EpochLog({
        disk: this.ports.disk,
        folder,
        epoch,
        worker: index,
        ...(onWrite === undefined ? {} : { onWrite }),
      })
      this.#logs.set(epoch, log)
    }
    return log
  }

  /** Takes this worker's share of a section: its key groups, and on worker 0 all of the steps that run there alone. */
  #restore(section: Uint8Array, saved: string): void {
    const { plan, index, count, renames } = this.#options
    if (count === 1) {
      this.store.apply(section)
      return
    }
    const step = renames.get(saved) ?? saved
    const isSingle = plan.stages.some(
      (stage) => stage.parallel === 'single' && stage.nodes.some((node) => node.name === step),
    )
    if (isSingle) {
      if (index === 0) this.store.apply(section)
      return
    }
    this.store.apply(section, (key) => ownerOfGroup(keyGroupOf(key), count) === index)
  }

  #writer(channel: Channel): ChannelWriter {
    const { index, count, transport } = this.#options
    const targets = channel.kind === 'queue' ? [index] : channel.kind === 'single' ? [0] : range(count)
    return new ChannelWriter(
      channel,
      targets.map((to) => transport.sender(channel, index, to)),
    )
  }

  #reader(channel: Channel, next: Receiver): ChannelReader {
    const { index, count, transport, plan } = this.#options
    const isFromAll = plan.stages.some((stage) => stage.parallel === 'all' && stage.nodes.includes(channel.from))
    const senders = channel.kind === 'queue' ? [index] : range(count)
    const lanes = senders.filter((from) => isFromAll || from === 0).map((from) => transport.lane(channel, from, index))
    return new ChannelReader(channel, lanes, next)
  }

  #source(node: GraphNode, next: Receiver, dead: Receiver): SourceInput {
    return new SourceInput(
      node,
      this,
      next,
      dead,
      this.#options.alignment,
      (error) => this.#fail(error),
      this.#options.until,
      this.#batchRows,
    )
  }

  async #openPartitions(input: SourceInput, node: GraphNode): Promise<void> {
    const { manifest, from, assignment } = this.#options
    if (node.spec.type !== 'source') return
    const name = node.name
    const saved =
      [name, ...node.renamedFrom].map((known) => manifest?.sources[known]).find((found) => found !== undefined) ?? {}
    for (const partition of assignment[name] ?? []) {
      const state = from[name]?.[partition] ?? from[name]?.['*'] ?? saved[partition]
      const reader = await node.spec.source.open(partition, state?.position, this.#sourceContext(node, input))
      input.add(partition, reader, state)
    }
  }

  #sourceContext(node: GraphNode, input: SourceInput): SourceContext {
    return {
      step: node.name,
      flow: this.#options.plan.flow,
      disk: this.ports.disk,
      logFolder: this.#options.logFolder,
      signal: this.#options.signal,
      now: () => this.ports.clock.now(),
      wait: (ms) => wait(this.ports.scheduler, ms, this.#options.signal),
      reject: (bad) => input.reject(bad),
      lost: (count) => input.lost(count),
      gauge: (name, value) => this.#setGauge(node.name, name, value),
      log: (level, message, data) => this.#log_(level, node.name, message, data),
    }
  }

  #sinkContext(node: GraphNode): SinkContext {
    return {
      step: node.name,
      flow: this.#options.plan.flow,
      disk: this.ports.disk,
      logFolder: this.#options.logFolder,
      instance: this.instance,
      signal: this.#options.signal,
      lost: (count) => this.#lostDeliveries(node, count),
      gauge: (name, value) => this.#setGauge(node.name, name, value),
      log: (level, message, data) => this.#log_(level, node.name, message, data),
    }
  }

  #lostDeliveries(node: GraphNode, count: number): void {
    this.counters[node.id * WIDTH + C.lostDeliveries] += count
  }

  /** @throws UsageError `GAUGES_TOO_MANY`: a name per record or connection would grow without end */
  #setGauge(step: string, name: string, value: number): void {
    const key = `${step}\0${name}`
    if (!this.#gauges.has(key) && [...this.#gauges.values()].filter((g) => g.step === step).length >= GAUGES_MAX) {
      throw new UsageError(
        'GAUGES_TOO_MANY',
        `the connector reports more than ${GAUGES_MAX} figures, the last one "${name}": names must be a small fixed set, not one per peer or record.`,
        { step },
      )
    }
    this.#gauges.set(key, { step, name, value })
  }

  #log_(level: LogLevel, step: string, message: string, data?: Record<string, unknown>): void {
    this.#options.send({ type: 'log', level, step, message, ...(data === undefined ? {} : { data }) })
  }
}

/** Figures a connector may report of itself. */
const GAUGES_MAX = 32

function addTo<V>(map: Map<number, V[]>, key: number, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

interface PendingSnapshot {
  readonly startedAt: number
  passed: number
  readonly sources: Record<string, Record<string, PartitionState>>
  readonly watermarks: Record<string, number>
  readonly flushed: Promise<void>[]
}

function newPending(startedAt: number): PendingSnapshot {
  return { startedAt, passed: 0, sources: {}, watermarks: {}, flushed: [] }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
