/**
 * Hosts one operator inside a stage: gives it its context, merges the watermarks of its inputs, collects its output and
 * keeps its counters.
 *
 * Invariants:
 *  N1  The operator's watermark is the minimum over inputs that are neither idle nor ended, or the maximum over those
 *      that have not ended when all are idle; it never falls.
 *  N2  The watermark sent on is min(own, hold()), and is sent after everything emitted before it. A step that holds
 *      records back is not idle for those after it.
 *  N3  An input that ended does not end the operator while another may still give records, also when that one is idle.
 */
import { RowBatch } from '../batch/batch.ts'
import { type CanonicalKey, keyGroupOf, originalKey, ownerOfGroup } from '../batch/key.ts'
import { InvariantError, MillraceError, messageOf, OperationalError, UsageError } from '../errors.ts'
import type { AnyFn, DeadLetter, ErrorPolicy, GraphNode } from '../graph/node.ts'
import type { DropReason, Operator, OperatorContext, Output, StepMetrics } from '../graph/operator.ts'
import type { StateStore } from '../state/store.ts'
import { C, type Counter, WIDTH } from './metrics.ts'
import type { Ports } from './ports.ts'
import { Collector, type Receiver } from './receiver.ts'

/** What a worker lends to the steps it hosts. */
export interface StepHost {
  readonly ports: Ports
  readonly store: StateStore
  readonly counters: Float64Array
  readonly instance: { readonly index: number; readonly count: number }
  /** Watermark of each step at the restored checkpoint. */
  readonly restoredWatermarks: Readonly<Record<string, number>>
  /** Milliseconds spent in steps called by the step that runs now; makes busy time exclusive. */
  nestedMs: number
  /** The worker has something to do. */
  wake(): void
  /** The worker should look again at this processing time. */
  wakeAt(timeMs: number): void
}

/** Counters of one step as an object the step adds to. */
export class StepCounter implements StepMetrics {
  readonly #counters: Float64Array
  readonly #base: number

  constructor(counters: Float64Array, nodeId: number) {
    this.#counters = counters
    this.#base = nodeId * WIDTH
  }

  add(counter: Counter, n: number): void {
    this.#counters[this.#base + C[counter]] += n
  }

  put(counter: Counter, value: number): void {
    this.#counters[this.#base + C[counter]] = value
  }

  late(n: number): void {
    this.add('late', n)
  }

  dropped(n: number, reason: DropReason): void {
    this.add(DROP_COUNTER[reason], n)
  }

  dead(n: number): void {
    this.add('dead', n)
  }

  retried(n: number): void {
    this.add('retried', n)
  }

  merged(n: number): void {
    this.add('merged', n)
  }

  filtered(n: number): void {
    this.add('filtered', n)
  }

  deduplicated(n: number): void {
    this.add('deduplicated', n)
  }
}

const DROP_COUNTER: Readonly<Record<DropReason, Counter>> = {
  'buffer-full': 'droppedFull',
  expired: 'droppedExpired',
  unmatched: 'droppedUnmatched',
  throttled: 'droppedThrottled',
  sampled: 'droppedSampled',
  error: 'droppedError',
}

/** A function that is called again as its step's policy says. Steps without state cannot wait, so retries follow at once. */
export function retrying(fn: AnyFn, policy: ErrorPolicy, counter: StepCounter): AnyFn {
  if (policy.type !== 'retry') return fn
  const times = policy.times
  return (...args) => {
    for (let attempt = 0; ; attempt++) {
      try {
        return fn(...args)
      } catch (error) {
        if (attempt >= times) throw error
        counter.retried(1)
      }
    }
  }
}

/** Applies a step's error policy to one record. Returns when the flow goes on. */
export function applyErrorPolicy(
  node: GraphNode,
  counter: StepCounter,
  dead: Receiver,
  thrown: unknown,
  row: unknown,
  time: number,
  key: CanonicalKey | undefined,
  origin: string | undefined,
): void {
  // Not this step's: one after it failed while this one was emitting to it, and has been asked already.
  if (thrown instanceof MillraceError && thrown.step !== undefined && thrown.step !== node.name) throw thrown
  counter.add('errors', 1)
  if (thrown instanceof InvariantError) throw withStep(thrown, node)
  const error = describeFailure(node, thrown, time, key, origin)
  let policy = node.onError
  while (policy.type === 'retry') policy = policy.otherwise
  if (policy.type === 'fail') throw error
  if (policy.type === 'skip') {
    counter.dropped(1, 'error')
    return
  }
  counter.dead(1)
  const letter: DeadLetter = {
    step: node.name,
    code: error.code,
    message: messageOf(thrown),
    origin,
    time: Number.isNaN(time) ? undefined : time,
    key: key === undefined ? undefined : originalKey(key),
    record: row,
  }
  dead.batch(new RowBatch<unknown>([letter], [Number.isNaN(time) ? 0 : time]))
}

/** What a connector threw, with the step: an error of ours stays what it is, any other is the environment's. */
export function connectorError(thrown: unknown, code: 'SINK_FAILED' | 'SOURCE_FAILED', step: string): MillraceError {
  if (!(thrown instanceof MillraceError)) {
    const what = code === 'SINK_FAILED' ? 'the sink' : 'the source'
    return new OperationalError(
      code,
      `${what} failed: ${messageOf(thrown)}. The run ends; what is committed stays, and the next start goes on from there.`,
      { step, cause: thrown },
    )
  }
  if (thrown.step !== undefined) return thrown
  const details = { step, data: thrown.data, cause: thrown }
  if (thrown instanceof UsageError) return new UsageError(thrown.code, thrown.message, details)
  if (thrown instanceof OperationalError)
    return new OperationalError(thrown.code, thrown.message, { ...details, retryable: thrown.retryable })
  return new InvariantError(thrown.code, thrown.message, details)
}

function withStep(error: InvariantError, node: GraphNode): InvariantError {
  if (error.step !== undefined) return error
  return new InvariantError(error.code, error.message, { step: node.name, data: error.data, cause: error })
}

function describeFailure(
  node: GraphNode,
  thrown: unknown,
  time: number,
  key: CanonicalKey | undefined,
  origin: string | undefined,
): MillraceError {
  if (thrown instanceof UsageError) return thrown
  const known = thrown instanceof MillraceError ? thrown : undefined
  const place =
    node.at === undefined || known?.message.includes(node.at) ? undefined : `the function given at ${node.at}`
  const where = [
    place,
    origin === undefined ? undefined : `at record ${origin}`,
    key === undefined
      ? undefined
      : `key ${JSON.stringify(originalKey(key), (_, v) => (typeof v === 'bigint' ? `${v}n` : v))}`,
    Number.isNaN(time) ? undefined : `event time ${time}`,
  ].filter((part) => part !== undefined)
  const remedy = "Mend the function or the record, or give the step { onError: 'skip' } or a dead-letter sink."
  return new OperationalError(
    known?.code ?? 'CALLBACK_FAILED',
    `${messageOf(thrown)}${where.length === 0 ? '' : ` (${where.join(', ')})`}${known?.step === undefined ? `. ${remedy}` : ''}`,
    {
      step: node.name,
      cause: thrown,
      data: { ...known?.data, origin, time },
      retryable: known instanceof OperationalError && known.retryable,
    },
  )
}

const COUNTED_ASIDE: ReadonlySet<string> = new Set(['dead', 'late', 'unmatched'])

export class OperatorNode {
  readonly node: GraphNode
  readonly counter: StepCounter
  readonly operator: Operator
  readonly #host: StepHost
  readonly #outputs: Map<string, { collector: Collector; receiver: Receiver }>
  readonly #inputWatermark: Float64Array
  readonly #inputIdle: boolean[]
  #watermark = Number.NEGATIVE_INFINITY
  #forwarded = Number.NEGATIVE_INFINITY
  #isIdle = false
  #sentIdle = false
  #wakeRequested = false
  #wakeAtMs = Number.POSITIVE_INFINITY
  #lastFinite: number

  constructor(node: GraphNode, host: StepHost, receiverOf: (output: string) => Receiver) {
    this.node = node
    this.#host = host
    this.counter = new StepCounter(host.counters, node.id)
    this.#inputWatermark = new Float64Array(node.inputs.length).fill(Number.NEGATIVE_INFINITY)
    this.#inputIdle = node.inputs.map(() => false)
    this.#lastFinite = host.restoredWatermarks[node.name] ?? Number.NEGATIVE_INFINITY
    this.#watermark = this.#lastFinite
    const spec = node.spec
    const names = ['out', 'dead', ...(spec.type === 'operator' ? (spec.outputs ?? []) : [])]
    this.#outputs = new Map(
      names.map((name) => {
        const receiver = receiverOf(name)
        // Late, unmatched and dead records are counted where they are found.
        const counter = name === 'out' ? 'recordsOut' : COUNTED_ASIDE.has(name) ? undefined : 'sideOut'
        const onRows = (n: number): void => {
          if (counter !== undefined) this.counter.add(counter, n)
        }
        return [name, { collector: new Collector(receiver, onRows, node.name), receiver }]
      }),
    )
    this.operator = spec.type === 'operator' ? spec.create(this.#context()) : forwarding(this.#output('out'))
    // Records held since before this start belong to the balance, though they did not come in.
    if (this.operator.held !== undefined) this.counter.put('restored', this.operator.held())
  }

  /** The receiver for input `index`. */
  input(index: number): Receiver {
    return {
      batch: (batch) => {
        this.counter.add('recordsIn', batch.length)
        this.#call(() => this.operator.process(batch, index))
        this.#forward()
      },
      watermark: (time) => {
        if (time <= this.#inputWatermark[index]) return
        this.#inputWatermark[index] = time
        this.#inputIdle[index] = false
        if (this.operator.inputWatermark !== undefined) {
          this.#call(() => this.operator.inputWatermark?.(index, time))
          this.#forward()
        }
        this.#advance()
      },
      idle: (isIdle) => {
        if (this.#inputIdle[index] === isIdle) return
        this.#inputIdle[index] = isIdle
        if (isIdle && this.operator.inputWatermark !== undefined) {
          this.#call(() => this.operator.inputWatermark?.(index, this.#inputWatermark[index]))
          this.#forward()
        }
        this.#advance()
      },
    }
  }

  /** Runs due wake-ups. True when the operator was called. */
  wakeIfDue(now: number): boolean {
    if (!this.#wakeRequested && now < this.#wakeAtMs) return false
    this.#wakeRequested = false
    if (now >= this.#wakeAtMs) this.#wakeAtMs = Number.POSITIVE_INFINITY
    this.#call(() => this.operator.wake?.(now))
    this.#forward()
    return true
  }

  isReady(): boolean {
    return this.operator.isReady === undefined || this.operator.isReady()
  }

  /** Before a snapshot. */
  barrier(): void {
    if (this.operator.barrier !== undefined) this.#call(() => this.operator.barrier?.())
    if (this.operator.held !== undefined) this.counter.put('held', this.operator.held())
  }

  /** The watermark a restored run starts from: the last one before the end of input. */
  watermarkToSave(): number {
    return this.#lastFinite
  }

  close(): void {
    this.operator.close?.()
  }

  #advance(): void {
    let watermark = Number.POSITIVE_INFINITY
    let furthest = Number.NEGATIVE_INFINITY
    let active = 0
    let ended = 0
    for (let i = 0; i < this.#inputWatermark.length; i++) {
      const own = this.#inputWatermark[i]
      if (own === Number.POSITIVE_INFINITY) {
        ended++
        continue
      }
      if (own > furthest) furthest = own
      if (this.#inputIdle[i]) continue
      active++
      if (own < watermark) watermark = own
    }
    const isIdle = active === 0 && ended < this.#inputWatermark.length
    if (isIdle) watermark = furthest
    this.#isIdle = isIdle
    if (!isIdle) this.#sendIdle(false)
    if (watermark > this.#watermark) {
      this.#watermark = watermark
      if (watermark !== Number.POSITIVE_INFINITY) this.#lastFinite = watermark
      if (this.operator.watermark !== undefined) this.#call(() => this.operator.watermark?.(watermark))
    }
    this.#forward()
  }

  #sendIdle(isIdle: boolean): void {
    if (this.#sentIdle === isIdle) return
    this.#sentIdle = isIdle
    for (const { receiver } of this.#outputs.values()) receiver.idle(isIdle)
  }

  #forward(): void {
    const hold = this.operator.hold?.() ?? Number.POSITIVE_INFINITY
    const time = Math.min(this.#watermark, hold)
    if (time > this.#forwarded) {
      this.#forwarded = time
      this.counter.put('watermark', time)
      for (const { receiver } of this.#outputs.values()) receiver.watermark(time)
    }
    this.#sendIdle(this.#isIdle && hold > this.#watermark)
  }

  #call(fn: () => void): void {
    const host = this.#host
    const clock = host.ports.clock
    const outerNested = host.nestedMs
    host.nestedMs = 0
    const start = clock.monotonic()
    for (const { collector } of this.#outputs.values()) collector.isOpen = true
    try {
      fn()
      for (const { collector } of this.#outputs.values()) collector.flush()
    } finally {
      for (const { collector } of this.#outputs.values()) collector.isOpen = false
      const total = clock.monotonic() - start
      this.counter.add('busyMs', total - host.nestedMs)
      host.nestedMs = outerNested + total
    }
  }

  #output(name: string): Output {
    const output = this.#outputs.get(name)
    if (output === undefined) {
      throw new InvariantError('SIDE_OUTPUT', `step "${this.node.name}" has no output "${name}".`, {
        step: this.node.name,
      })
    }
    return output.collector
  }

  #context(): OperatorContext {
    const { node, counter } = this
    const host = this.#host
    const dead = (this.#outputs.get('dead') as { receiver: Receiver }).receiver
    const isKeyed = node.inputs.some((e) => e.partitioning === 'key')
    return {
      step: node.name,
      out: this.#output('out'),
      side: (name) => this.#output(name),
      state: host.store.forStep(node.name, { keyed: isKeyed }),
      metrics: counter,
      instance: host.instance,
      now: () => host.ports.clock.now(),
      random: () => host.ports.random.next(),
      requestWake: () => {
        this.#wakeRequested = true
        host.wake()
      },
      wakeAt: (timeMs) => {
        if (timeMs >= this.#wakeAtMs) return
        this.#wakeAtMs = timeMs
        host.wakeAt(timeMs)
      },
      currentWatermark: () => this.#watermark,
      isIdle: (index) => this.#inputIdle[index],
      inputWatermark: (index) => Math.max(this.#inputWatermark[index], this.#lastFiniteOf()),
      owns: (key) => !isKeyed || ownerOfGroup(keyGroupOf(key), host.instance.count) === host.instance.index,
      onError: (error, row, time, key, origin) => applyErrorPolicy(node, counter, dead, error, row, time, key, origin),
    }
  }

  /** After a restore the inputs are at least where the step was. */
  #lastFiniteOf(): number {
    return this.#host.restoredWatermarks[this.node.name] ?? Number.NEGATIVE_INFINITY
  }
}

/** Union and other steps without behaviour. */
function forwarding(out: Output): Operator {
  return { process: (batch) => out.emitBatch(batch) }
}
