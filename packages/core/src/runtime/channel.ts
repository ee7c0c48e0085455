/**
 * Both ends of a channel between stages.
 *
 * Invariants:
 *  H1  Markers keep their place among records, and every receiver gets every marker.
 *  H2  A sender asks `hasRoom` before it starts a call; what one call emits is always taken, so a channel holds at most
 *      its capacity plus the output of one call.
 *  H3  A record goes to the one worker that owns its key group, or to worker 0, or to all, as the channel's kind says.
 */
import type { Batch } from '../batch/batch.ts'
import { KEY_GROUPS, keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { InvariantError, invariant } from '../errors.ts'
import type { Channel } from '../graph/plan.ts'
import type { Element } from './element.ts'
import type { Receiver } from './receiver.ts'

/** The sending end towards one worker. */
export interface Sender {
  send(element: Element): void
  /** False: the receiver has not taken enough yet. */
  hasRoom(): boolean
  /** Moves what could not be written before. True when something moved. */
  pump(): boolean
  /** Records on their way, for the fill ratio. */
  queued(): number
}

/** The receiving end from one worker. */
export interface ElementSource {
  take(): Element | undefined
  queued(): number
}

/** The sending end of a channel: a receiver inside the stage that distributes to the workers. */
export class ChannelWriter implements Receiver {
  readonly channel: Channel
  readonly #senders: readonly Sender[]
  readonly #owners: Int32Array
  readonly #indices: number[][]

  constructor(channel: Channel, senders: readonly Sender[]) {
    this.channel = channel
    this.#senders = senders
    this.#owners = new Int32Array(KEY_GROUPS)
    for (let g = 0; g < KEY_GROUPS; g++) this.#owners[g] = ownerOfGroup(g, senders.length)
    this.#indices = senders.map(() => [])
  }

  batch(batch: Batch): void {
    const capacity = this.channel.capacity
    for (let from = 0; from < batch.length; from += capacity) {
      this.#send(batch.length <= capacity ? batch : slice(batch, from, Math.min(from + capacity, batch.length)))
    }
  }

  #send(batch: Batch): void {
    if (this.#senders.length === 1 || this.channel.kind === 'single' || this.channel.kind === 'queue') {
      this.#senders[0].send({ type: 'batch', batch })
    } else if (this.channel.kind === 'broadcast') this.#toAll({ type: 'batch', batch })
    else this.#byKey(batch)
  }

  watermark(time: number): void {
    this.#toAll({ type: 'watermark', time })
  }

  idle(isIdle: boolean): void {
    this.#toAll({ type: 'idle', isIdle })
  }

  barrier(epoch: number): void {
    this.#toAll({ type: 'barrier', epoch })
  }

  hasRoom(): boolean {
    for (const sender of this.#senders) if (!sender.hasRoom()) return false
    return true
  }

  pump(): boolean {
    let moved = false
    for (const sender of this.#senders) if (sender.pump()) moved = true
    return moved
  }

  queued(): number {
    let records = 0
    for (const sender of this.#senders) records += sender.queued()
    return records
  }

  #toAll(element: Element): void {
    for (const sender of this.#senders) sender.send(element)
  }

  #byKey(batch: Batch): void {
    const keys = batch.keys
    if (keys === undefined) {
      throw new InvariantError(
        'NOT_KEYED',
        `records without keys reached the exchange before step "${this.channel.to.name}".`,
        {
          step: this.channel.to.name,
        },
      )
    }
    const indices = this.#indices
    const owners = this.#owners
    const count = batch.length
    let first = -1
    let isOneOwner = true
    for (let i = 0; i < count; i++) {
      const owner = owners[keyGroupOf(keys[i])]
      if (first === -1) first = owner
      else if (owner !== first) isOneOwner = false
      indices[owner].push(i)
    }
    for (let w = 0; w < indices.length; w++) {
      const own = indices[w]
      if (own.length === 0) continue
      this.#senders[w].send({ type: 'batch', batch: isOneOwner ? batch : batch.select(own, own.length) })
      own.length = 0
    }
  }
}

/** The receiving end of a channel on one worker: one lane per sending worker, watermarks merged over the lanes. */
export class ChannelReader {
  readonly channel: Channel
  readonly #lanes: Lane[]
  readonly #next: Receiver
  #turn = 0
  #watermark = Number.NEGATIVE_INFINITY
  #isIdle = false

  constructor(channel: Channel, lanes: readonly ElementSource[], next: Receiver) {
    this.channel = channel
    this.#lanes = lanes.map((source) => ({ source, watermark: Number.NEGATIVE_INFINITY, isIdle: false, barrier: 0 }))
    this.#next = next
  }

  /** Hands on one element of a lane that is not waiting for the others' barriers. True when one was handed on. */
  poll(epoch: number): boolean {
    const count = this.#lanes.length
    for (let k = 0; k < count; k++) {
      const lane = this.#lanes[(this.#turn + k) % count]
      if (lane.barrier >= epoch) continue
      const element = lane.source.take()
      if (element === undefined) continue
      this.#turn = (this.#turn + k + 1) % count
      this.#handle(lane, element)
      return true
    }
    return false
  }

  /** True when every lane has delivered the barrier of `epoch`. */
  isAligned(epoch: number): boolean {
    for (const lane of this.#lanes) if (lane.barrier < epoch) return false
    return true
  }

  get hasLanes(): boolean {
    return this.#lanes.length > 0
  }

  /** Nobody sends here on this worker: the same as an input that ended. Called once, when the stage starts. */
  start(): void {
    if (this.#lanes.length === 0) this.#next.watermark(Number.POSITIVE_INFINITY)
  }

  queued(): number {
    let records = 0
    for (const lane of this.#lanes) records += lane.source.queued()
    return records
  }

  #handle(lane: Lane, element: Element): void {
    switch (element.type) {
      case 'batch':
        if (lane.isIdle) this.#setIdle(lane, false)
        this.#next.batch(element.batch)
        break
      case 'watermark':
        if (element.time > lane.watermark) lane.watermark = element.time
        lane.isIdle = false
        this.#advance()
        break
      case 'idle':
        this.#setIdle(lane, element.isIdle)
        break
      case 'barrier':
        invariant(element.epoch > lane.barrier, 'BARRIER_ORDER', `barrier ${element.epoch} came after ${lane.barrier}`)
        lane.barrier = element.epoch
        break
    }
  }

  #setIdle(lane: Lane, isIdle: boolean): void {
    lane.isIdle = isIdle
    this.#advance()
  }

  #advance(): void {
    let watermark = Number.POSITIVE_INFINITY
    let furthest = Number.NEGATIVE_INFINITY
    let active = 0
    let open = 0
    for (const lane of this.#lanes) {
      if (lane.watermark === Number.POSITIVE_INFINITY) continue
      open++
      if (lane.watermark > furthest) furthest = lane.watermark
      if (lane.isIdle) continue
      active++
      if (lane.watermark < watermark) watermark = lane.watermark
    }
    const isIdle = open > 0 && active === 0
    // Nobody is waited for: the furthest counts, whichever fell idle first.
    if (isIdle) watermark = furthest
    if (!isIdle && this.#isIdle) this.#sendIdle(false)
    if (watermark > this.#watermark && this.#lanes.length > 0) {
      this.#watermark = watermark
      this.#next.watermark(watermark)
    }
    if (isIdle && !this.#isIdle) this.#sendIdle(true)
  }

  #sendIdle(isIdle: boolean): void {
    this.#isIdle = isIdle
    this.#next.idle(isIdle)
  }
}

interface Lane {
  readonly source: ElementSource
  watermark: number
  isIdle: boolean
  /** Epoch of the last barrier that came. */
  barrier: number
}

function slice(batch: Batch, from: number, to: number): Batch {
  return batch.select(
    Int32Array.from({ length: to - from }, (_, i) => from + i),
    to - from,
  )
}
