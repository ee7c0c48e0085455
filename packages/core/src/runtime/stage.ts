/**
 * One stage on one worker: builds the step chain from the plan and moves one element at a time through it.
 *
 * Invariants:
 *  G1  An element is taken only when every output has room and every step is ready, so nothing piles up inside; while a
 *      barrier is on its way, a step that waits for calls takes what lies before it, at most what the channels hold.
 *  G2  After the barrier of an epoch came on one input, that input waits until it came on all: the snapshot holds
 *      exactly what came before the barrier on every input.
 *  G3  The barrier is sent on after the steps' state has been taken, and before anything else.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { SinkWriter } from '../connector.ts'
import { InvariantError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import type { Channel, Stage } from '../graph/plan.ts'
import type { ChannelReader, ChannelWriter } from './channel.ts'
import { applyErrorPolicy, retrying } from './failures.ts'
import { compileChain, type InlineStep } from './fused.ts'
import { OperatorNode } from './operator-node.ts'
import { PartialNode } from './partial-node.ts'
import { fanOut, type Receiver } from './receiver.ts'
import { SinkNode, type SinkPorts } from './sink-node.ts'
import type { SourceInput } from './source-input.ts'
import { StepCounter, type StepHost } from './step-host.ts'

export interface StageParts {
  /** Are the rows of this channel aggregated in part before they cross? */
  combines(channel: Channel): boolean
  writer(channel: Channel): ChannelWriter
  reader(channel: Channel, next: Receiver): ChannelReader
  source(node: GraphNode, next: Receiver, dead: Receiver): SourceInput
  sinkWriter(node: GraphNode): SinkWriter<unknown>
  readonly sinkPorts: SinkPorts
  readonly chainMode: 'generated' | 'interpreted' | 'auto'
}

/** What a stage hands over when a barrier has passed. */
export interface StageSnapshot {
  readonly stage: number
  readonly watermarks: Readonly<Record<string, number>>
  /** Resolves when the sinks of the stage have flushed what came before the barrier. */
  readonly flushed: Promise<void>
}

export class StageTask {
  readonly stage: Stage
  readonly sources: SourceInput[] = []
  readonly sinks: SinkNode[] = []
  readonly operators: OperatorNode[] = []
  /** Epoch of the barrier this stage waits for next. */
  epoch: number
  readonly #host: StepHost
  readonly #readers: ChannelReader[] = []
  readonly #writers: ChannelWriter[] = []
  readonly #partials: PartialNode[] = []
  readonly #inputs = new Map<GraphNode, Receiver[]>()
  #requested = 0
  #turn = 0
  #isFlushing = false
  #isStarted = false
  #blockedSince = 0

  constructor(stage: Stage, host: StepHost, parts: StageParts, nextEpoch: number) {
    this.stage = stage
    this.#host = host
    this.epoch = nextEpoch
    const consumers = consumersIn(stage)
    const chained = new Map<GraphNode, Receiver>()
    const outputs = new Map<Channel, Receiver>()
    for (const channel of stage.outputs) {
      const writer = parts.writer(channel)
      this.#writers.push(writer)
      if (parts.combines(channel)) {
        const partial = new PartialNode(channel, host, writer)
        this.#partials.push(partial)
        outputs.set(channel, partial)
      } else outputs.set(channel, writer)
    }
    const receiverOf = (node: GraphNode, output: string): Receiver => {
      const inside = (consumers.get(node) ?? []).filter((c) => c.output === output).map((c) => inputOf(c.to, c.input))
      const outside = stage.outputs
        .filter((c) => c.from === node && c.output === output)
        .map((c) => outputs.get(c) as Receiver)
      return fanOut([...inside, ...outside])
    }
    const inputOf = (node: GraphNode, input: number): Receiver => {
      if (node.spec.type === 'inline') {
        let receiver = chained.get(node)
        if (receiver === undefined) {
          receiver = this.#chain(node, consumers, receiverOf, parts.chainMode)
          chained.set(node, receiver)
        }
        return receiver
      }
      return (this.#inputs.get(node) as Receiver[])[input]
    }
    // Steps are built from the end, so that a step's receivers exist before it.
    for (const node of [...stage.nodes].reverse()) {
      switch (node.spec.type) {
        case 'sink': {
          const isStaged = node.spec.sink.guarantee === 'staged'
          const sink = new SinkNode(node, host, parts.sinkWriter(node), isStaged, parts.sinkPorts)
          this.sinks.push(sink)
          this.#inputs.set(node, [sink])
          break
        }
        case 'operator':
        case 'union': {
          const operator = new OperatorNode(node, host, (output) => receiverOf(node, output))
          this.operators.unshift(operator)
          this.#inputs.set(
            node,
            node.inputs.map((_, i) => operator.input(i)),
          )
          break
        }
        case 'source':
          this.sources.push(parts.source(node, receiverOf(node, 'out'), receiverOf(node, 'dead')))
          break
        case 'inline':
          break
      }
    }
    for (const channel of stage.inputs) this.#readers.push(parts.reader(channel, inputOf(channel.to, channel.input)))
  }

  /** Asks sources of this stage for the barrier; stages without any input pass it at once. */
  requestBarrier(epoch: number): void {
    this.#requested = epoch
  }

  /**
   * Does one thing: passes a barrier, wakes a step, or moves one element. True when it did.
   * @param onBarrier takes the snapshot; called between the state being complete and the barrier being sent on
   */
  step(now: number, onBarrier: (snapshot: StageSnapshot) => void): boolean {
    if (!this.#isStarted) {
      this.#isStarted = true
      for (const reader of this.#readers) reader.start()
    }
    let moved = false
    for (const writer of this.#writers) if (writer.pump()) moved = true
    if (this.#isFlushing || !this.#hasRoom()) return moved
    if (!this.#takesInput()) return this.#wake(now) || moved
    if (this.#wake(now)) return true
    if (this.#isAligned()) {
      this.#passBarrier(onBarrier)
      return true
    }
    const inputs = this.#readers.length + this.sources.length
    for (let k = 0; k < inputs; k++) {
      const index = (this.#turn + k) % inputs
      const did =
        index < this.#readers.length
          ? this.#readers[index].poll(this.epoch)
          : this.#requested < this.epoch && this.sources[index - this.#readers.length].poll()
      if (did) {
        this.#turn = (index + 1) % inputs
        return true
      }
    }
    return moved
  }

  /**
   * The first moment after `now` at which a step wants to be woken. One that is due and could not be woken waits for room,
   * and whoever makes room wakes the worker.
   */
  nextWakeMs(now: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { wakeAtMs } of this.operators) if (wakeAtMs > now && wakeAtMs < next) next = wakeAtMs
    return next
  }

  /** All its sinks are done; stages without sinks have nothing to be done. */
  get isDone(): boolean {
    return this.sinks.every((sink) => sink.isDone)
  }

  reportQueues(): void {
    for (const partial of this.#partials) partial.report()
    for (const reader of this.#readers) {
      const base = new StepCounter(this.#host.counters, reader.channel.to.id)
      base.put('queued', reader.queued())
      base.put('queueCapacity', reader.channel.capacity)
    }
  }

  /** What is to be closed, in order. */
  get open(): readonly { close(): Promise<void> | void }[] {
    return [...this.sources, ...this.operators, ...this.sinks]
  }

  #hasRoom(): boolean {
    for (const writer of this.#writers) {
      if (writer.hasRoom()) continue
      if (this.#blockedSince === 0) this.#blockedSince = this.#host.ports.clock.monotonic()
      return false
    }
    if (this.#blockedSince !== 0) {
      const blocked = this.#host.ports.clock.monotonic() - this.#blockedSince
      this.#blockedSince = 0
      new StepCounter(this.#host.counters, this.stage.nodes[this.stage.nodes.length - 1].id).add('blockedMs', blocked)
    }
    return true
  }

  /**
   * A sink that is writing takes nothing. A step that waits for calls takes nothing either, unless a barrier is on its
   * way: a commit does not wait for calls, so what lies before the barrier becomes part of the step's state.
   */
  #takesInput(): boolean {
    for (const sink of this.sinks) if (!sink.isReady()) return false
    if (this.#requested >= this.epoch) return true
    for (const operator of this.operators) if (!operator.isReady()) return false
    return true
  }

  #wake(now: number): boolean {
    let did = false
    for (const operator of this.operators) if (operator.wakeIfDue(now)) did = true
    return did
  }

  #isAligned(): boolean {
    for (const reader of this.#readers) if (!reader.isAligned(this.epoch)) return false
    const needsRequest = this.sources.length > 0 || !this.#readers.some((r) => r.hasLanes)
    return !needsRequest || this.#requested >= this.epoch
  }

  #passBarrier(onBarrier: (snapshot: StageSnapshot) => void): void {
    const epoch = this.epoch
    const watermarks: Record<string, number> = {}
    for (const operator of this.operators) {
      operator.barrier()
      watermarks[operator.node.name] = operator.watermarkToSave()
    }
    for (const partial of this.#partials) partial.barrier()
    this.#isFlushing = this.sinks.length > 0
    const flushed = this.#isFlushing
      ? Promise.all(this.sinks.map((sink) => sink.flush())).then(() => {})
      : Promise.resolve()
    if (this.#isFlushing) {
      flushed.then(
        () => {
          this.#isFlushing = false
          this.#host.wake()
        },
        () => {},
      )
    }
    onBarrier({ stage: this.stage.id, watermarks, flushed })
    for (const writer of this.#writers) writer.barrier(epoch)
    this.epoch = epoch + 1
  }

  /** Fuses an inline step with the inline steps that alone read it. */
  #chain(
    first: GraphNode,
    consumers: ReadonlyMap<GraphNode, readonly Consumer[]>,
    receiverOf: (node: GraphNode, output: string) => Receiver,
    mode: StageParts['chainMode'],
  ): Receiver {
    const nodes = [first]
    for (;;) {
      const last = nodes[nodes.length - 1]
      const next = consumers.get(last) ?? []
      const leaves = this.stage.outputs.some((c) => c.from === last)
      if (leaves || next.length !== 1 || next[0].output !== 'out' || next[0].to.spec.type !== 'inline') break
      nodes.push(next[0].to)
    }
    const host = this.#host
    const counters = nodes.map((node) => new StepCounter(host.counters, node.id))
    const steps = nodes.map((node, i) => inlineStep(node, counters[i]))
    const chain = compileChain(steps, mode)
    const dead = nodes.map((node) => receiverOf(node, 'dead'))
    const counts = new Float64Array(nodes.length * 2)
    const failed = new Array<number>(nodes.length).fill(0)
    const chainHost = {
      counts,
      onError: (
        stepIndex: number,
        error: unknown,
        row: unknown,
        time: number,
        key: CanonicalKey | undefined,
        at: string | undefined,
      ): void => {
        failed[stepIndex]++
        applyErrorPolicy(nodes[stepIndex], counters[stepIndex], dead[stepIndex], error, row, time, key, at)
      },
    }
    const next = receiverOf(nodes[nodes.length - 1], 'out')
    return {
      batch: (batch) => {
        const clock = host.ports.clock
        const start = clock.monotonic()
        const out = chain(batch, chainHost)
        const spent = clock.monotonic() - start
        host.nestedMs += spent
        counters[0].add('busyMs', spent)
        for (let i = 0; i < nodes.length; i++) {
          const rowsIn = counts[2 * i]
          const rowsOut = counts[2 * i + 1]
          if (rowsIn === 0 && rowsOut === 0) continue
          counters[i].add('recordsIn', rowsIn)
          counters[i].add('recordsOut', rowsOut)
          const op = steps[i].op
          if (op === 'filter') counters[i].add('filtered', rowsIn - rowsOut - failed[i])
          else if (op === 'flatMap') counters[i].add('merged', rowsIn - rowsOut - failed[i])
          failed[i] = 0
          counts[2 * i] = 0
          counts[2 * i + 1] = 0
        }
        if (out !== undefined) next.batch(out)
      },
      watermark: (time) => {
        for (const counter of counters) counter.put('watermark', time)
        next.watermark(time)
        for (const receiver of dead) receiver.watermark(time)
      },
      idle: (isIdle) => {
        next.idle(isIdle)
        for (const receiver of dead) receiver.idle(isIdle)
      },
    }
  }
}

interface Consumer {
  readonly output: string
  readonly to: GraphNode
  readonly input: number
}

/** Edges that stay inside the stage, by sending node. */
function consumersIn(stage: Stage): Map<GraphNode, Consumer[]> {
  const cut = new Set(stage.inputs.map((c) => `${c.to.id}/${c.input}`))
  const out = new Map<GraphNode, Consumer[]>()
  for (const node of stage.nodes) {
    node.inputs.forEach((edge, input) => {
      if (cut.has(`${node.id}/${input}`)) return
      const list = out.get(edge.from)
      const consumer = { output: edge.output, to: node, input }
      if (list === undefined) out.set(edge.from, [consumer])
      else list.push(consumer)
    })
  }
  return out
}

function inlineStep(node: GraphNode, counter: StepCounter): InlineStep {
  if (node.spec.type !== 'inline') throw new InvariantError('CHAIN', `${node.name} is not an inline step`)
  return { op: node.spec.op, fn: retrying(node.spec.fn, node.onError, counter), step: node.name, at: node.at }
}
