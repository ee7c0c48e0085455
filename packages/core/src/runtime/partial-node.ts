/**
 * Partial aggregation on the sending side of an exchange: what one worker has of a key and slice crosses as one row.
 * Half of all records may carry one key; without this its owner would do half of all the work.
 *
 * Where it does not pay (few rows per key), batches pass as they are, and it tries again later.
 */
import type { Batch } from '../batch/batch.ts'
import { InvariantError } from '../errors.ts'
import { edge, type GraphNode } from '../graph/node.ts'
import type { Channel } from '../graph/plan.ts'
import type { ChannelWriter } from './channel.ts'
import { C, WIDTH } from './metrics.ts'
import { OperatorNode } from './operator-node.ts'
import type { Receiver } from './receiver.ts'
import { StepCounter, type StepHost } from './step-host.ts'

/** Rows per partial below which it does not pay. */
const WORTH = 2
/** Rows looked at before that is judged, and batches that then pass untouched. */
const JUDGED_ROWS = 4096
const REST_BATCHES = 64

export class PartialNode implements Receiver {
  readonly #writer: ChannelWriter
  readonly #node: OperatorNode
  readonly #input: Receiver
  readonly #scratch: Float64Array
  readonly #counter: StepCounter
  #reported = 0
  #judgedIn = 0
  #judgedOut = 0
  #rest = 0

  constructor(channel: Channel, host: StepHost, writer: ChannelWriter) {
    this.#writer = writer
    this.#scratch = new Float64Array(WIDTH)
    this.#counter = new StepCounter(host.counters, channel.to.id)
    this.#node = new OperatorNode(partialOf(channel), hostOf(host, this.#scratch), (output) =>
      output === 'out' ? writer : { batch() {}, watermark() {}, idle() {} },
    )
    this.#input = this.#node.input(0)
  }

  batch(batch: Batch): void {
    if (this.#rest > 0) {
      this.#rest--
      this.#writer.batch(batch)
      return
    }
    this.#input.batch(batch)
  }

  watermark(time: number): void {
    this.#input.watermark(time)
    this.#judge()
  }

  idle(isIdle: boolean): void {
    this.#input.idle(isIdle)
  }

  /** Sends what is held. Comes before the barrier is sent. */
  barrier(): void {
    this.#node.barrier()
    this.report()
  }

  /** The step's counters say how many records reached it, not how many partials. */
  report(): void {
    const saved = this.#scratch[C.recordsIn] - this.#scratch[C.recordsOut]
    this.#counter.add('recordsIn', saved - this.#reported)
    this.#counter.add('merged', saved - this.#reported)
    this.#counter.add('busyMs', this.#scratch[C.busyMs])
    this.#scratch[C.busyMs] = 0
    this.#reported = saved
  }

  #judge(): void {
    const rowsIn = this.#scratch[C.recordsIn] - this.#judgedIn
    if (rowsIn < JUDGED_ROWS) return
    const rowsOut = this.#scratch[C.recordsOut] - this.#judgedOut
    if (rowsOut * WORTH > rowsIn) this.#rest = REST_BATCHES
    this.#judgedIn += rowsIn
    this.#judgedOut += rowsOut
  }
}

/** Can the rows of this channel be combined before they cross? Not when somebody reads the step's late records. */
export function canCombine(channel: Channel, nodes: readonly GraphNode[]): boolean {
  const { spec } = channel.to
  if (channel.kind !== 'key' || spec.type !== 'operator' || spec.preAggregate === undefined) return false
  return !nodes.some((node) => node.inputs.some((e) => e.from === channel.to && e.output === 'late'))
}

function partialOf(channel: Channel): GraphNode {
  const { spec } = channel.to
  if (spec.type !== 'operator' || spec.preAggregate === undefined) throw new InvariantError('PARTIAL', channel.to.name)
  return {
    ...channel.to,
    id: 0,
    // A name of its own: under the step's name it would claim the step's state, and it has none.
    name: `${channel.to.name} (partial)`,
    inputs: [edge(channel.from)],
    spec: { type: 'operator', create: spec.preAggregate },
  }
}

function hostOf(host: StepHost, counters: Float64Array): StepHost {
  return {
    ports: host.ports,
    store: host.store,
    counters,
    instance: host.instance,
    restoredWatermarks: {},
    get nestedMs() {
      return host.nestedMs
    },
    set nestedMs(ms) {
      host.nestedMs = ms
    },
    wake: () => host.wake(),
    wakeAt: (timeMs) => host.wakeAt(timeMs),
  }
}
