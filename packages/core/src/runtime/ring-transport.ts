/**
 * How workers in threads are joined: queues within a worker, rings of encoded elements between workers, and a doorbell
 * per worker.
 */
import { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { invariant } from '../errors.ts'
import type { Channel, Plan } from '../graph/plan.ts'
import type { ElementSource, Sender } from './channel.ts'
import { Doorbell } from './doorbell.ts'
import type { Element } from './element.ts'
import { decodeElement, encodeElement } from './frame.ts'
import { boundedQueue } from './inline.ts'
import type { Scheduler } from './ports.ts'
import type { BoundedQueue } from './queue.ts'
import { createRing, type RingMemory, RingReader, RingWriter } from './ring.ts'
import type { Transport } from './worker.ts'

/** Bytes of a ring: about a thousand records of 1 KiB, so that the capacity in records is what binds. */
const RING_BYTES = 1 << 20
/** The longest sleep on a doorbell. */
const SLEEP_MS = 60_000

/** Shared memory of a run's rings and doorbells, sent to every worker. */
export interface SharedChannels {
  readonly doorbells: SharedArrayBuffer
  /** By `channel/from/to`. */
  readonly rings: ReadonlyMap<string, RingMemory>
}

export function createSharedChannels(plan: Plan): SharedChannels {
  const rings = new Map<string, RingMemory>()
  for (const channel of plan.channels) {
    if (channel.kind === 'queue') continue
    for (let from = 0; from < plan.workers; from++) {
      for (let to = 0; to < plan.workers; to++) {
        if (from !== to && (channel.kind !== 'single' || to === 0))
          rings.set(ringName(channel, from, to), createRing(RING_BYTES))
      }
    }
  }
  return { doorbells: Doorbell.memory(plan.workers), rings }
}

function ringName(channel: Channel, from: number, to: number): string {
  return `${channel.id}/${from}/${to}`
}

export class RingTransport implements Transport {
  readonly #shared: SharedChannels
  readonly #counters: Float64Array
  readonly #bells: readonly Doorbell[]
  readonly #own: Doorbell
  readonly #queues = new Map<string, BoundedQueue>()
  /** Workers that were sent something, or whose ring was emptied a little, since the last signal. */
  readonly #touched: boolean[]
  #seen = 0
  #sleeping: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor(shared: SharedChannels, index: number, count: number, counters: Float64Array, scheduler: Scheduler) {
    this.#shared = shared
    this.#counters = counters
    this.#bells = Array.from({ length: count }, (_, i) => new Doorbell(shared.doorbells, i, scheduler))
    this.#own = this.#bells[index]
    this.#touched = this.#bells.map(() => false)
  }

  sender(channel: Channel, from: number, to: number): Sender {
    if (from === to) return this.#queue(channel, from, to)
    const memory = this.#memory(channel, from, to)
    const writer = new RingWriter(memory)
    const backlog = (elsewhere: () => number): BoundedQueue => boundedQueue(channel, this.#counters, elsewhere)
    return new RingSender(writer, backlog, () => {
      this.#touched[to] = true
    })
  }

  lane(channel: Channel, from: number, to: number): ElementSource {
    if (from === to) return this.#queue(channel, from, to)
    const reader = new RingReader(this.#memory(channel, from, to), this.#bells[from])
    return {
      take: () => {
        const frame = reader.tryRead()
        if (frame === undefined) return undefined
        const element = decodeElement(new ByteReader(frame))
        reader.release()
        this.#touched[from] = true
        return element
      },
      queued: () => reader.queued(),
    }
  }

  mark(): void {
    this.#seen = this.#own.current()
  }

  signal(): void {
    for (let i = 0; i < this.#touched.length; i++) {
      if (!this.#touched[i]) continue
      this.#touched[i] = false
      this.#bells[i].ring()
    }
  }

  onActivity(wake: () => void): () => void {
    this.#wake = wake
    // One sleep at a time: a worker that woke for another reason finds the old one still waiting and joins it.
    this.#sleeping ??= this.#own.wait(this.#seen, SLEEP_MS).then(() => {
      this.#sleeping = undefined
      this.#wake?.()
    })
    return () => {
      if (this.#wake === wake) this.#wake = undefined
    }
  }

  #queue(channel: Channel, from: number, to: number): BoundedQueue {
    const name = ringName(channel, from, to)
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      queue = boundedQueue(channel, this.#counters)
      this.#queues.set(name, queue)
    }
    return queue
  }

  #memory(channel: Channel, from: number, to: number): RingMemory {
    const memory = this.#shared.rings.get(ringName(channel, from, to))
    invariant(memory !== undefined, 'RING_MISSING', `no ring joins worker ${from} to ${to} on channel ${channel.id}`)
    return memory
  }
}

/**
 * Encodes elements into a ring. What does not fit waits here, under the channel's policy. What is in the ring cannot be
 * dropped any more, so under the other policies than 'block' it gets half of the capacity, and the backlog the rest.
 */
class RingSender implements Sender {
  readonly #writer: RingWriter
  readonly #backlog: BoundedQueue
  /** Records the ring may hold. */
  readonly #share: number
  readonly #touch: () => void
  readonly #bytes = new ByteWriter(64 * 1024)
  /** Encoded, and not yet in the ring. */
  #frame: { readonly bytes: Uint8Array; readonly records: number } | undefined

  constructor(writer: RingWriter, backlog: (elsewhere: () => number) => BoundedQueue, touch: () => void) {
    this.#writer = writer
    // One record always has its place in the backlog: the newest must not go for what nobody can take back.
    this.#backlog = backlog(() => Math.min(this.#sent(), this.#backlog.capacity - 1))
    const { capacity, whenFull } = this.#backlog
    this.#share = whenFull === 'block' ? capacity : Math.max(1, Math.floor(capacity / 2))
    this.#touch = touch
  }

  send(element: Element): void {
    this.#backlog.send(element)
    this.pump()
  }

  hasRoom(): boolean {
    if (this.#backlog.whenFull !== 'block') return true
    return this.#frame === undefined && this.#backlog.queued() === 0 && this.#writer.queued() < this.#backlog.capacity
  }

  pump(): boolean {
    let moved = false
    if (this.#writer.hasRest && this.#writer.pump()) {
      this.#touch()
      moved = true
    }
    for (;;) {
      if (this.#frame === undefined) {
        const room = this.#share - this.#writer.queued()
        if (room <= 0) break
        const element = this.#backlog.take(this.#backlog.whenFull === 'block' ? undefined : room)
        if (element === undefined) break
        this.#bytes.clear()
        encodeElement(this.#bytes, element)
        this.#frame = { bytes: this.#bytes.peek(), records: element.type === 'batch' ? element.batch.length : 0 }
      }
      if (!this.#writer.tryWrite([this.#frame.bytes], this.#frame.records)) break
      this.#frame = undefined
      this.#touch()
      moved = true
    }
    return moved
  }

  queued(): number {
    return this.#sent() + this.#backlog.queued()
  }

  /** Records in the ring, or encoded for it. */
  #sent(): number {
    return this.#writer.queued() + (this.#frame?.records ?? 0)
  }
}
