/**
 * One end of a link that speaks frames: gathers what is sent in one turn of the event loop into one message, watches that
 * the peer is alive, and hands frames on.
 *
 * Invariants:
 *  S1  Frames leave in the order they were sent.
 *  S2  `onClose` is called once; nothing is sent or delivered after it.
 *  S3  A peer that says nothing for `silentMs` is gone, also when the link does not know it yet.
 */
import { CLOSE, type Link, type LinkClosed } from '../link/link.ts'
import { encodeJson } from '../protocol/codec.ts'
import { FRAME, type Frame, type FrameType, FrameWriter, NO_BODY, parseFrames } from '../protocol/frame.ts'
import { RemoteError, toPlainError } from '../remote-error.ts'
import type { Time } from '../time.ts'

export interface SessionOptions {
  readonly link: Link
  readonly time: Time
  /** A ping is sent when the peer has been silent this long. */
  readonly pingMs: number
  /** The peer is gone when it has been silent this long. */
  readonly silentMs: number
  /** More than this many bytes that the peer does not take: it is cut off. */
  readonly bufferBytesMax: number
  onFrame(frame: Frame): void
  onClose(closed: LinkClosed): void
}

/** A message is sent as soon as it is this long. */
const MESSAGE_BYTES = 128 * 1024

/** How often a session looks whether its link has taken what was sent. */
const DRAIN_CHECK_MS = 5

export class Session {
  readonly peer: string
  readonly #options: SessionOptions
  readonly #link: Link
  readonly #time: Time
  readonly #writer = new FrameWriter()
  /** Streams that gather items until the end of the turn. */
  #flushers: (() => void)[] = []
  #isFlushDue = false
  #isClosed = false
  #heardAt: number
  #cancelWatch = (): void => {}
  #pingMs: number
  #silentMs: number
  #isPaused = false
  /** Bytes of messages, both ways, since the start. */
  bytesReceived = 0
  bytesSent = 0
  /** The most that has waited for the peer. */
  bufferedBytesMost = 0
  /** Another proof of life than the link's own traffic. */
  heardElsewhereAtMs: () => number = () => Number.NEGATIVE_INFINITY

  constructor(options: SessionOptions) {
    this.#options = options
    this.#link = options.link
    this.#time = options.time
    this.peer = options.link.peer
    this.#heardAt = options.time.now()
    this.#pingMs = options.pingMs
    this.#silentMs = options.silentMs
  }

  /** The gateway says how often its links are looked at. */
  setPing(pingMs: number, silentMs: number): void {
    this.#pingMs = pingMs
    this.#silentMs = silentMs
    this.#cancelWatch()
    this.#watch()
  }

  start(): void {
    this.#link.start({
      onMessage: (message) => this.#onMessage(message),
      onClose: (closed) => this.#closed(closed),
    })
    this.#watch()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes + this.#writer.length
  }

  send(type: FrameType, call: number, body: Uint8Array = NO_BODY, stream = 0, count = 0, flags = 0): void {
    if (this.#isClosed) return
    this.#writer.write(type, call, stream, count, flags, body)
    if (this.#writer.length >= MESSAGE_BYTES) this.#sendMessage()
    else this.#flushSoon()
  }

  /** Calls `flush` at the end of this turn, before what was sent leaves. */
  atEndOfTurn(flush: () => void): void {
    this.#flushers.push(flush)
    this.#flushSoon()
  }

  /** Tells the peer why, and closes. */
  fail(error: RemoteError, code: number = CLOSE.protocolError): void {
    if (this.#isClosed) return
    this.send(FRAME.ERROR, 0, encodeJson(toPlainError(error, false)))
    this.close(code, error.code)
  }

  /** What was sent before goes out. */
  close(code: number = CLOSE.normal, reason = ''): void {
    if (this.#isClosed) return
    this.#flush()
    this.#link.close(code, reason)
    this.#closed({ code, reason })
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    this.#time.soon(() => this.#flush())
  }

  #flush(): void {
    this.#isFlushDue = false
    if (this.#isClosed) return
    const flushers = this.#flushers
    if (flushers.length > 0) {
      this.#flushers = []
      for (const flush of flushers) flush()
    }
    if (this.#writer.length > 0) this.#sendMessage()
  }

  #sendMessage(): void {
    const message = this.#writer.take()
    this.bytesSent += message.length
    this.#link.send(message)
    const bufferedBytes = this.#link.bufferedBytes
    if (bufferedBytes > this.bufferedBytesMost) this.bufferedBytesMost = bufferedBytes
    if (bufferedBytes <= this.#options.bufferBytesMax) return
    // What waits is let go at once: a word on why would wait behind it.
    this.#link.destroy()
    this.#closed({ code: CLOSE.slowConsumer, reason: `it takes nothing: ${bufferedBytes} bytes wait for it` })
  }

  #onMessage(message: Uint8Array): void {
    if (this.#isClosed) return
    this.#heardAt = this.#time.now()
    this.bytesReceived += message.length
    try {
      for (const frame of parseFrames(message)) {
        if (frame.type === FRAME.PING) this.send(FRAME.PONG, 0)
        else if (frame.type !== FRAME.PONG) this.#options.onFrame(frame)
        if (this.#isClosed) return
      }
    } catch (thrown) {
      const error =
        thrown instanceof RemoteError
          ? thrown
          : new RemoteError('INTERNAL', `handling a frame failed: ${String(thrown)}`, { cause: thrown })
      this.fail(error)
    }
  }

  /** When the peer was last heard. */
  get heardAtMs(): number {
    return this.#heardAt
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Takes nothing from the peer for a while; what it sends waits there. */
  pause(): void {
    if (this.#isPaused || this.#isClosed) return
    this.#isPaused = true
    this.#link.pause()
  }

  resume(): void {
    if (!this.#isPaused || this.#isClosed) return
    this.#isPaused = false
    this.#heardAt = this.#time.now()
    this.#link.resume()
  }

  /** Calls `fn` once at most `bytes` wait for the peer, or it is gone. */
  whenBuffered(bytes: number, fn: () => void): void {
    if (this.#isClosed || this.#link.bufferedBytes <= bytes) fn()
    else this.#time.after(DRAIN_CHECK_MS, () => this.whenBuffered(bytes, fn))
  }

  /** S3. */
  #watch(): void {
    const pingMs = this.#pingMs
    const waitMs = Math.max(1, Math.min(pingMs, this.#heardAt + this.#silentMs - this.#time.now()))
    const dueAt = this.#time.now() + waitMs
    this.#cancelWatch = this.#time.after(waitMs, () => {
      const now = this.#time.now()
      // This process stood still, or we did not want to hear: what the peer said meanwhile lies unread.
      if (this.#isPaused || now - dueAt > pingMs) this.#heardAt = Math.max(this.#heardAt, now - pingMs)
      this.#heardAt = Math.max(this.#heardAt, this.heardElsewhereAtMs())
      const silence = now - this.#heardAt
      if (silence >= this.#silentMs) {
        this.#link.destroy()
        this.#closed({ code: CLOSE.silent, reason: `it was silent for ${Math.round(silence)} ms` })
        return
      }
      if (silence >= pingMs - 1) this.send(FRAME.PING, 0)
      this.#watch()
    })
  }

  #closed(closed: LinkClosed): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelWatch()
    this.#options.onClose(closed)
  }

  /** Resolves once the link has taken what was sent, or is closed. */
  drained(): Promise<void> {
    this.#flush()
    return new Promise((resolve) => this.whenBuffered(0, resolve))
  }
}
