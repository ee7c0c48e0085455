/**
 * A link over two NATS subjects, one for each direction.
 *
 * NATS delivers at most once and holds no sender back, so the link adds what `Link` promises:
 *  - a number on each message: one that is missing closes the link (L1);
 *  - acknowledgement of what the receiver has taken: a sender keeps at most a window unacknowledged and the rest to itself;
 *  - a reply subject on each message and on a probe twice a second: when nobody listens at the other end any more, the
 *    server says so at once.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import type { Time } from '../time.ts'
import { CLOSE, type Link, type LinkEvents } from './link.ts'

const KIND = { data: 0, more: 1, ack: 2, close: 3, probe: 4 } as const

/** u8 kind, u32 number, little-endian. */
const HEADER_BYTES = 5

/** Unacknowledged bytes of one direction. */
const WINDOW_BYTES = 4 * 1024 * 1024
const ACK_BYTES = WINDOW_BYTES / 4
const PROBE_MS = 500

/** Below the limit of a NATS server as it comes, 1 MiB. */
const MESSAGE_BYTES_MAX = 512 * 1024

/** What the server answers with when a subject has no subscriber. */
const NO_RESPONDERS = 503

export interface NatsLinkOptions {
  readonly connection: NatsConnection
  /** Where this end listens, and the other. */
  readonly inbound: string
  readonly outbound: string
  readonly peer: string
  readonly time: Time
  /** True at the end that was dialled: until the dialer is heard it may not listen yet, and what is sent would be lost. */
  readonly isDialled: boolean
  /** Called once when the link is over. */
  onEnd(): void
}

export class NatsLink implements Link {
  readonly peer: string
  readonly #options: NatsLinkOptions
  readonly #subscription: Subscription
  #events: LinkEvents | undefined
  #isClosed = false
  #isPaused = false
  /** The other end listens. */
  #isOpen: boolean
  /** What came before `start` or while paused. */
  #held: Msg[] = []
  #sentNumber = 0
  #heardNumber = 0
  #pieces: Uint8Array[] = []
  /** Sizes of messages that are not acknowledged, the oldest first. */
  #unacked: number[] = []
  #unackedBytes = 0
  #ackedNumber = 0
  #queue: { readonly kind: number; readonly body: Uint8Array }[] = []
  #queueBytes = 0
  #takenBytes = 0
  #cancelProbe = (): void => {}

  constructor(options: NatsLinkOptions) {
    this.#options = options
    this.peer = options.peer
    this.#isOpen = !options.isDialled
    this.#subscription = options.connection.subscribe(options.inbound, {
      callback: (error, message) => {
        if (error === null) this.#onMessage(message)
        else this.#closed(CLOSE.goingAway, error.message)
      },
    })
    // The first word to the other end: it follows the subscription on the same connection.
    if (this.#isOpen) this.#publish(KIND.probe, 0, NOTHING)
    this.#probe()
  }

  get bufferedBytes(): number {
    return this.#queueBytes
  }

  start(events: LinkEvents): void {
    this.#events = events
    if (this.#isClosed) {
      events.onClose({ code: CLOSE.goingAway, reason: 'closed before it was used' })
      return
    }
    this.#deliverHeld()
  }

  send(message: Uint8Array): void {
    if (this.#isClosed) return
    for (let at = 0; at < message.length || at === 0; at += MESSAGE_BYTES_MAX) {
      const body = message.subarray(at, at + MESSAGE_BYTES_MAX)
      const kind = at + MESSAGE_BYTES_MAX < message.length ? KIND.more : KIND.data
      this.#queue.push({ kind, body })
      this.#queueBytes += body.length
    }
    this.#pump()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#deliverHeld()
  }

  close(code: number, reason: string): void {
    if (this.#isClosed) return
    // What waits for the window goes first: a peer that is told why must see what came before.
    for (const { kind, body } of this.#queue) this.#publish(kind, ++this.#sentNumber, body)
    this.#publish(KIND.close, code, new TextEncoder().encode(reason))
    this.#closed(code, reason)
  }

  destroy(): void {
    this.#closed(CLOSE.goingAway, 'destroyed here')
  }

  /** The connection under it has closed. */
  lost(reason: string): void {
    this.#closed(1006, reason)
  }

  #onMessage(message: Msg): void {
    if (this.#isClosed) return
    if (message.headers?.code === NO_RESPONDERS) {
      this.#closed(1006, 'nobody listens at the other end any more')
      return
    }
    const { data } = message
    if (data.length < HEADER_BYTES) return
    if (!this.#isOpen) {
      this.#isOpen = true
      this.#pump()
    }
    const number = numberOf(data)
    switch (data[0]) {
      case KIND.ack:
        this.#acked(number)
        return
      case KIND.probe:
        return
      case KIND.close:
        // In its place among the data.
        this.#held.push(message)
        this.#deliverHeld()
        return
      case KIND.data:
      case KIND.more:
        this.#held.push(message)
        this.#deliverHeld()
        return
      default:
        this.#closed(CLOSE.protocolError, `a message of kind ${data[0]}`)
    }
  }

  #deliverHeld(): void {
    while (this.#events !== undefined && !this.#isPaused && !this.#isClosed) {
      const message = this.#held.shift()
      if (message === undefined) return
      this.#deliver(message.data)
    }
  }

  #deliver(data: Uint8Array): void {
    const number = numberOf(data)
    const body = data.subarray(HEADER_BYTES)
    if (data[0] === KIND.close) {
      this.#closed(number, new TextDecoder().decode(body))
      return
    }
    if (number !== this.#heardNumber + 1) {
      this.#closed(CLOSE.protocolError, `messages were lost: number ${number} came after ${this.#heardNumber}`)
      return
    }
    this.#heardNumber = number
    this.#takenBytes += body.length
    if (this.#takenBytes >= ACK_BYTES) {
      this.#takenBytes = 0
      this.#publish(KIND.ack, number, NOTHING)
    }
    this.#pieces.push(body)
    if (data[0] === KIND.more) return
    const pieces = this.#pieces
    this.#pieces = []
    this.#events?.onMessage(pieces.length === 1 ? pieces[0] : joined(pieces))
  }

  #acked(number: number): void {
    while (this.#ackedNumber < number && this.#unacked.length > 0) {
      this.#ackedNumber++
      this.#unackedBytes -= this.#unacked.shift() as number
    }
    this.#pump()
  }

  #pump(): void {
    if (!this.#isOpen) return
    let sent = 0
    for (; sent < this.#queue.length && this.#unackedBytes < WINDOW_BYTES; sent++) {
      const { kind, body } = this.#queue[sent]
      this.#queueBytes -= body.length
      this.#unacked.push(body.length)
      this.#unackedBytes += body.length
      this.#publish(kind, ++this.#sentNumber, body)
    }
    if (sent > 0) this.#queue.splice(0, sent)
  }

  #publish(kind: number, number: number, body: Uint8Array): void {
    const { connection, outbound, inbound } = this.#options
    if (connection.isClosed()) return
    const data = new Uint8Array(HEADER_BYTES + body.length)
    data[0] = kind
    new DataView(data.buffer).setUint32(1, number, true)
    data.set(body, HEADER_BYTES)
    connection.publish(outbound, data, { reply: inbound })
  }

  #probe(): void {
    this.#cancelProbe = this.#options.time.after(PROBE_MS, () => {
      if (this.#isOpen) this.#publish(KIND.probe, 0, NOTHING)
      this.#probe()
    })
  }

  #closed(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelProbe()
    this.#held = []
    this.#queue = []
    this.#queueBytes = 0
    if (!this.#options.connection.isClosed()) this.#subscription.unsubscribe()
    this.#events?.onClose({ code, reason })
    this.#options.onEnd()
  }
}

const NOTHING = new Uint8Array(0)

function numberOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset, HEADER_BYTES).getUint32(1, true)
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}
