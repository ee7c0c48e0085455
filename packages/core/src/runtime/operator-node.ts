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
import { keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { InvariantError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext, Output } from '../graph/operator.ts'
import { applyErrorPolicy } from './failures.ts'
import { Collector, type Receiver } from './receiver.ts'
import { StepCounter, type StepHost } from './step-host.ts'

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

  /** Processing time at which the step wants to be woken; Infinity when it waits for nothing. */
  get wakeAtMs(): number {
    return this.#wakeAtMs
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
