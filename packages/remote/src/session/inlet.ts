/**
 * The receiving end of one stream of a call: puts bodies together, decodes items, and grants credit as they are consumed.
 *
 * Invariants:
 *  I1  Items and bytes that wait here never exceed the window, but for one item larger than it.
 *  I2  Credit is granted for what the consumer took, in steps of half a window: a consumer that stops is a producer that stops.
 *  I3  Items come out before the error that ends the stream.
 *  I4  A sender that sends more than was granted breaks the protocol: it is told so, and nothing of it is kept.
 */
import { decode } from '../protocol/codec.ts'
import { creditBody, FRAME, type Frame, hasMore } from '../protocol/frame.ts'
import { RemoteError } from '../remote-error.ts'
import type { Credit } from './outlet.ts'
import { tooLarge } from './outlet.ts'
import type { Session } from './session.ts'

/** Bytes that may be kept for each byte of a piece, until its body is whole. */
const KEPT_PER_PIECE_MAX = 3

/** Puts the pieces of a body together. */
export class Assembler {
  readonly #payloadBytesMax: number
  #first: Frame | undefined
  #pieces: Uint8Array[] = []
  #bytes = 0

  constructor(payloadBytesMax: number) {
    this.#payloadBytesMax = payloadBytesMax
  }

  /**
   * The frame with its whole body once the last piece is here.
   * @throws RemoteError `PAYLOAD_TOO_LARGE`, `PROTOCOL_ERROR` for a piece of nothing
   */
  add(frame: Frame): { readonly frame: Frame; readonly body: Uint8Array } | undefined {
    const isPart = frame.type === FRAME.PART
    if (isPart !== (this.#first !== undefined)) {
      throw new RemoteError('PROTOCOL_ERROR', 'the pieces of a body do not follow each other.')
    }
    if (!isPart && !hasMore(frame)) return { frame, body: frame.body }
    this.#first ??= frame
    this.#bytes += frame.body.length
    if (this.#bytes > this.#payloadBytesMax) throw tooLarge(this.#bytes, this.#payloadBytesMax)
    // A piece is a view into a message, which would be kept whole: copied unless it is a good part of it.
    const isMuch = frame.body.length * KEPT_PER_PIECE_MAX >= frame.body.buffer.byteLength
    this.#pieces.push(isMuch ? frame.body : frame.body.slice())
    if (hasMore(frame)) return undefined
    const body = new Uint8Array(this.#bytes)
    let at = 0
    for (const piece of this.#pieces) {
      body.set(piece, at)
      at += piece.length
    }
    const whole = { frame: this.#first, body }
    this.#first = undefined
    this.#pieces = []
    this.#bytes = 0
    return whole
  }
}

interface Batch {
  readonly items: readonly unknown[]
  /** Bytes to grant when the last of them is taken. */
  readonly bytes: number
}

export class Inlet implements AsyncIterableIterator<unknown> {
  readonly #session: Session
  readonly #call: number
  readonly #stream: number
  readonly #window: Credit
  readonly #assembler: Assembler
  readonly #onReturn: () => void
  readonly #batches: Batch[] = []
  #next = 0
  #takenItems = 0
  #takenBytes = 0
  /** What the sender may still send. */
  #openItems: number
  #openBytes: number
  #outcome: { readonly error: unknown } | 'end' | undefined
  #waiting: { resolve(result: IteratorResult<unknown>): void; reject(error: unknown): void }[] = []
  /** Items received. */
  received = 0

  /** `onReturn` is called when the consumer wants no more before the end. */
  constructor(
    session: Session,
    call: number,
    stream: number,
    window: Credit,
    payloadBytesMax: number,
    onReturn: () => void,
  ) {
    this.#session = session
    this.#call = call
    this.#stream = stream
    this.#window = window
    this.#assembler = new Assembler(payloadBytesMax)
    this.#onReturn = onReturn
    this.#openItems = window.items
    this.#openBytes = window.bytes
  }

  /** @throws RemoteError for a frame that does not belong here */
  add(frame: Frame): void {
    if (this.#outcome !== undefined) return
    if (frame.type === FRAME.END) {
      this.#finish('end')
      return
    }
    this.#spend(frame)
    const whole = this.#assembler.add(frame)
    // A body in pieces would wait for ever for credit that only consumption gives.
    if (frame.type === FRAME.PART) this.#grant(0, frame.body.length)
    if (whole === undefined) return
    const items = decode(whole.body)
    if (!Array.isArray(items) || items.length !== whole.frame.count) {
      throw new RemoteError('PROTOCOL_ERROR', `a frame of ${whole.frame.count} items does not hold as many.`)
    }
    this.received += items.length
    if (items.length > 0) this.#batches.push({ items, bytes: whole.frame.body.length })
    while (this.#waiting.length > 0 && this.#batches.length > 0) this.#waiting.shift()?.resolve(this.#take())
  }

  fail(error: unknown): void {
    if (this.#outcome === undefined) this.#finish({ error })
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#batches.length > 0) return Promise.resolve(this.#take())
    if (this.#outcome === 'end') return Promise.resolve({ done: true, value: undefined })
    if (this.#outcome !== undefined) {
      const { error } = this.#outcome
      this.#outcome = 'end'
      return Promise.reject(error)
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<unknown>> {
    const wasOpen = this.#outcome === undefined
    this.#batches.length = 0
    this.#next = 0
    this.#finish('end')
    if (wasOpen) this.#onReturn()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #take(): IteratorResult<unknown> {
    const batch = this.#batches[0]
    const value = batch.items[this.#next++]
    this.#takenItems++
    if (this.#next === batch.items.length) {
      this.#takenBytes += batch.bytes
      this.#batches.shift()
      this.#next = 0
    }
    const { items, bytes } = this.#window
    if (this.#outcome === undefined && (this.#takenItems * 2 >= items || this.#takenBytes * 2 >= bytes)) {
      this.#grant(this.#takenItems, this.#takenBytes)
      this.#takenItems = 0
      this.#takenBytes = 0
    }
    return { done: false, value }
  }

  /** I4. */
  #spend({ count, body }: Frame): void {
    const hadBytes = this.#openBytes > 0
    this.#openItems -= count
    this.#openBytes -= body.length
    if (this.#openItems >= 0 && hadBytes) return
    throw new RemoteError('PROTOCOL_ERROR', 'the sender of a stream sent more than was granted.')
  }

  #grant(items: number, bytes: number): void {
    this.#openItems += items
    this.#openBytes += bytes
    this.#session.send(FRAME.CREDIT, this.#call, creditBody(bytes), this.#stream, items)
  }

  #finish(outcome: { readonly error: unknown } | 'end'): void {
    this.#outcome ??= outcome
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#outcome === 'end') resolve({ done: true, value: undefined })
      else {
        reject(this.#outcome.error)
        this.#outcome = 'end'
      }
    }
  }
}
