/**
 * What waits to be sent to one client, and what becomes of it when the client is too slow.
 *
 * Invariants:
 *  O1  Messages leave in the order they were put, and none twice.
 *  O2  Under 'drop-oldest' and 'drop-newest' the box never holds more than its limits, or one message. Under 'block' it may
 *      exceed them by what one write puts; the writer then waits for `room`.
 *  O3  Every message is sent to the socket, or counted: `onLost` is told of each that was not, and of nothing else.
 */
import type { WebSocket } from 'ws'

export type SlowPolicy = 'block' | 'drop-oldest' | 'drop-newest' | 'disconnect'

export interface OutboxLimits {
  readonly messages: number
  readonly bytes: number
}

/** Bytes that lie in the socket at a time: enough to keep a fast line busy, too few to matter. */
const SOCKET_BYTES_MAX = 64 * 1024
/** What a client that is cut off has to take what lies in the socket, and the goodbye behind it. */
const GOODBYE_MS = 1000
/** 1013: try again later. */
const TOO_SLOW = 1013

export class Outbox {
  readonly #socket: WebSocket
  readonly #policy: SlowPolicy
  readonly #limits: OutboxLimits
  readonly #onLost: (count: number) => void
  /** Not handed to the socket; `#head` is the first that counts, so both ends are O(1). */
  #queue: Buffer[] = []
  #head = 0
  #bytes = 0
  /** Handed to the socket, which has not passed them on. */
  #sending = 0
  #sendingBytes = 0
  #waiting: (() => void)[] = []
  #isOver = false

  constructor(socket: WebSocket, policy: SlowPolicy, limits: OutboxLimits, onLost: (count: number) => void) {
    this.#socket = socket
    this.#policy = policy
    this.#limits = limits
    this.#onLost = onLost
    socket.once('close', () => this.#end())
  }

  get messages(): number {
    return this.#queue.length - this.#head
  }

  get bytes(): number {
    return this.#bytes + this.#sendingBytes
  }

  get isFull(): boolean {
    return this.messages >= this.#limits.messages || this.#bytes >= this.#limits.bytes
  }

  put(message: Buffer): void {
    if (this.#isOver) return
    if (this.isFull && this.#policy !== 'block') {
      if (this.#policy === 'drop-newest') {
        this.#onLost(1)
        return
      }
      if (this.#policy === 'disconnect') {
        this.#onLost(1)
        this.#end()
        this.#socket.close(TOO_SLOW, 'too slow')
        // A client that does not read at all does not see the goodbye either.
        setTimeout(() => this.#socket.terminate(), GOODBYE_MS).unref()
        return
      }
      while (this.isFull) this.#dropOldest()
    }
    this.#queue.push(message)
    this.#bytes += message.length
    this.#send()
  }

  /** Resolves when the box is below its limits, or its client is gone. */
  room(): Promise<void> | undefined {
    return this.isFull && !this.#isOver ? this.#wait() : undefined
  }

  /** Resolves when everything has left the process, or the client is gone. */
  async empty(): Promise<void> {
    while (!this.#isOver && (this.messages > 0 || this.#sending > 0)) await this.#wait()
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #dropOldest(): void {
    const oldest = this.#queue[this.#head]
    this.#advance()
    this.#bytes -= oldest.length
    this.#onLost(1)
  }

  #send(): void {
    const socket = this.#socket
    while (this.messages > 0 && this.#sendingBytes < SOCKET_BYTES_MAX && socket.readyState === socket.OPEN) {
      const message = this.#queue[this.#head]
      this.#advance()
      this.#bytes -= message.length
      this.#sending++
      this.#sendingBytes += message.length
      socket.send(message, { binary: false }, (error) => this.#sent(message.length, error))
    }
    if (!this.isFull || (this.messages === 0 && this.#sending === 0)) this.#wake()
  }

  #sent(bytes: number, error: Error | undefined | null): void {
    this.#sending--
    this.#sendingBytes -= bytes
    if (error !== undefined && error !== null) this.#onLost(1)
    if (!this.#isOver) this.#send()
  }

  #advance(): void {
    this.#head++
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.messages > 0) this.#onLost(this.messages)
    this.#queue = []
    this.#head = 0
    this.#bytes = 0
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
