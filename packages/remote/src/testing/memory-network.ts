/**
 * Links in memory, for tests and simulations: pairs of ends on a passed-in time, with the faults that networks have. On
 * real time they are plain links; on virtual time a seed repeats a run to the last message.
 *
 * Invariants:
 *  M1  Without a fault messages arrive whole, in order, once; the order holds per direction, whatever the latency.
 *  M2  Each end hears of its close once. After a cut the two ends may hear of it at different times, and what was on its
 *      way may still arrive at the end that has not heard yet.
 */
import type { Link, LinkClosed, LinkEvents } from '../link/link.ts'
import type { Time } from '../time.ts'

export interface MemoryNetworkOptions {
  readonly time: Time
  /** How long messages take, ms: drawn between the two for each. Default: both 0. */
  readonly latencyMs?: readonly [least: number, most: number]
}

export interface CutOptions {
  /** When the end that dialled hears of it, ms from now. Default 0. */
  readonly dialerMs?: number
  /** When the end that accepted hears of it. Default 0. */
  readonly acceptorMs?: number
  /** False: what is on its way still arrives at an end that has not heard yet. Default true: it is lost. */
  readonly losesMessages?: boolean
}

/** What a kernel takes without its program noticing that the peer reads nothing. */
const KERNEL_BYTES = 256 * 1024

export class MemoryNetwork {
  readonly #options: MemoryNetworkOptions
  /** Open wires, in the order in which they were opened. */
  readonly wires = new Set<MemoryWire>()
  #opened = 0

  constructor(options: MemoryNetworkOptions) {
    this.#options = options
  }

  /** A new connection between two processes. */
  open(dialer: MemoryPeer, acceptor: MemoryPeer): MemoryWire {
    const { time, latencyMs = [0, 0] } = this.#options
    const wire = new MemoryWire(time, latencyMs, { dialer, acceptor }, ++this.#opened, () => this.wires.delete(wire))
    this.wires.add(wire)
    return wire
  }
}

/** A process at an end of a wire. */
export interface MemoryPeer {
  readonly name: string
  /** Runs what comes from outside in this process; a frozen one keeps it for later, a dead one drops it. Default: at once. */
  readonly run?: (fn: () => void) => void
}

/** A connection: two ends. */
export class MemoryWire {
  readonly number: number
  /** The end of who opened it. */
  readonly dialer: MemoryLink
  readonly acceptor: MemoryLink
  readonly peers: { readonly dialer: MemoryPeer; readonly acceptor: MemoryPeer }
  readonly #time: Time
  readonly #forget: () => void
  /** Both ways nothing arrives any more, and nobody is told. */
  #isSilent = false

  constructor(
    time: Time,
    latencyMs: readonly [number, number],
    peers: { readonly dialer: MemoryPeer; readonly acceptor: MemoryPeer },
    number: number,
    forget: () => void,
  ) {
    this.#time = time
    this.#forget = forget
    this.number = number
    this.peers = peers
    this.dialer = new MemoryLink(time, latencyMs, peers.acceptor.name, peers.dialer, this)
    this.acceptor = new MemoryLink(time, latencyMs, peers.dialer.name, peers.acceptor, this)
    this.dialer.other = this.acceptor
    this.acceptor.other = this.dialer
  }

  get isSilent(): boolean {
    return this.#isSilent
  }

  /** The cable is pulled. */
  cut({ dialerMs = 0, acceptorMs = 0, losesMessages = true }: CutOptions = {}): void {
    for (const [end, ms] of [
      [this.dialer, dialerMs],
      [this.acceptor, acceptorMs],
    ] as const) {
      end.unplug(losesMessages ? undefined : ms / 2)
      this.#time.after(ms, () => end.deliverClose({ code: 1006, reason: 'the connection was cut' }))
    }
  }

  /** Half-open: messages vanish from now on, and neither end is told. */
  silence(): void {
    this.#isSilent = true
    this.dialer.unplug(undefined)
    this.acceptor.unplug(undefined)
  }

  /** For the ends. */
  endClosed(): void {
    if (this.dialer.isClosed && this.acceptor.isClosed) this.#forget()
  }
}

interface UnderWay {
  readonly message: Uint8Array
  arrivesAtMs: number
}

export class MemoryLink implements Link {
  readonly peer: string
  readonly #time: Time
  readonly #latencyMs: readonly [number, number]
  readonly #self: MemoryPeer
  readonly #wire: MemoryWire
  /** Set once by the wire. */
  other!: MemoryLink
  #events: LinkEvents | undefined
  /** Messages for this end. */
  readonly #inbox: UnderWay[] = []
  #inboxBytes = 0
  #isPaused = false
  #isDelivering = false
  #isUnplugged = false
  #isClosing = false
  #closed: LinkClosed | undefined
  #hasToldClosed = false
  #lastArrivalMs = 0
  #pendingClose: LinkClosed | undefined
  /** A slow reader takes that many bytes in a millisecond. */
  readBytesPerMs = Number.POSITIVE_INFINITY
  #first: Uint8Array | undefined
  /** Largest `bufferedBytes` so far. */
  bufferedBytesMost = 0

  constructor(time: Time, latencyMs: readonly [number, number], peer: string, self: MemoryPeer, wire: MemoryWire) {
    this.#time = time
    this.#latencyMs = latencyMs
    this.peer = peer
    this.#self = self
    this.#wire = wire
  }

  get isClosed(): boolean {
    return this.#closed !== undefined
  }

  get bufferedBytes(): number {
    return Math.max(0, this.other.#inboxBytes - KERNEL_BYTES)
  }

  start(events: LinkEvents): void {
    this.#events = events
    if (this.#closed !== undefined) this.#tellClosed()
    else this.#deliver()
  }

  send(message: Uint8Array): void {
    if (this.#closed !== undefined || this.#isClosing) return
    this.#first ??= message
    this.other.#arrive(message)
    this.bufferedBytesMost = Math.max(this.bufferedBytesMost, this.bufferedBytes)
  }

  /** Its first message comes once more, as from a peer that is confused about its state. */
  repeatsFirst(): void {
    if (this.#first !== undefined && this.#closed === undefined) this.other.#arrive(this.#first)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#deliver()
  }

  close(code: number, reason: string): void {
    if (this.#closed !== undefined || this.#isClosing) return
    this.#isClosing = true
    this.#isPaused = false
    this.other.#closeBehindMessages({ code, reason })
    this.#setClosed({ code, reason })
  }

  destroy(): void {
    if (this.#closed !== undefined) return
    this.other.#closeBehindMessages({ code: 1006, reason: 'the peer is gone' })
    this.#setClosed({ code: 1006, reason: 'destroyed' })
  }

  /** For the wire: nothing new arrives here; what is on its way is lost, or comes after `lagMs`. */
  unplug(lagMs: number | undefined): void {
    this.#isUnplugged = true
    if (lagMs === undefined) this.#empty()
    const arrivesAtMs = this.#time.now() + (lagMs ?? 0)
    for (const underWay of this.#inbox) underWay.arrivesAtMs = Math.max(underWay.arrivesAtMs, arrivesAtMs)
  }

  /** For the wire. */
  deliverClose(closed: LinkClosed): void {
    this.#self.run === undefined ? this.#setClosed(closed) : this.#self.run(() => this.#setClosed(closed))
  }

  #latency(): number {
    const [least, most] = this.#latencyMs
    return most <= least ? least : least + this.#time.random() * (most - least)
  }

  #arrive(message: Uint8Array): void {
    if (this.#isUnplugged || this.#wire.isSilent || this.#closed !== undefined) return
    // M1: not before the message ahead of it.
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#time.now() + this.#latency())
    this.#inbox.push({ message, arrivesAtMs: this.#lastArrivalMs })
    this.#inboxBytes += message.length
    this.#deliver()
  }

  #closeBehindMessages(closed: LinkClosed): void {
    if (this.#isUnplugged || this.#wire.isSilent) return
    this.#pendingClose = closed
    this.#deliver()
  }

  /** One message per event, so that other processes get their turns between them. */
  #deliver(): void {
    if (this.#isDelivering || this.#events === undefined || this.#isPaused || this.#closed !== undefined) return
    const next = this.#inbox[0]
    if (next === undefined && this.#pendingClose === undefined) return
    this.#isDelivering = true
    const waitMs = Math.max(0, (next?.arrivesAtMs ?? this.#lastArrivalMs) - this.#time.now())
    const readMs = next === undefined ? 0 : next.message.length / this.readBytesPerMs
    this.#later(waitMs + readMs, () => {
      const take = (): void => {
        this.#isDelivering = false
        this.#takeOne()
      }
      this.#self.run === undefined ? take() : this.#self.run(take)
    })
  }

  #takeOne(): void {
    if (this.#closed !== undefined || this.#isPaused) return
    // It lags since this delivery was planned.
    if (this.#inbox[0]?.arrivesAtMs > this.#time.now() + 1) {
      this.#deliver()
      return
    }
    const next = this.#inbox.shift()
    if (next !== undefined) {
      this.#inboxBytes -= next.message.length
      this.#events?.onMessage(next.message)
      this.#deliver()
    } else if (this.#pendingClose !== undefined) this.#setClosed(this.#pendingClose)
  }

  #later(ms: number, fn: () => void): void {
    if (ms > 0) this.#time.after(ms, fn)
    else this.#time.soon(fn)
  }

  #setClosed(closed: LinkClosed): void {
    if (this.#closed !== undefined) return
    this.#closed = closed
    this.#empty()
    if (this.#events !== undefined) this.#later(0, () => this.#tellClosed())
    this.#wire.endClosed()
  }

  #tellClosed(): void {
    if (this.#hasToldClosed || this.#closed === undefined) return
    this.#hasToldClosed = true
    this.#events?.onClose(this.#closed)
  }

  #empty(): void {
    this.#inbox.length = 0
    this.#inboxBytes = 0
  }
}
