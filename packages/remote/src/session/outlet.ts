/**
 * The sending end of one stream of a call: it spends the credit that the receiving end grants, and holds back what there
 * is no credit for. Items of one turn go out in one frame.
 *
 * Invariants:
 *  O1  Sent items never exceed granted items. Bytes may by one piece: an item is sent whole once there is credit at all.
 *  O2  What is held back is at most what was offered beyond `isReady`: producers wait, so one turn's worth.
 *  O3  Bodies leave in the order they were given, the end last.
 *  O4  An outlet that keeps holds every batch of which the consumer has not taken the last item: no more than its window.
 */
import { decode, encode, encodeJson } from '../protocol/codec.ts'
import { FLAG_MORE, FRAME, type FrameType, NO_BODY, pieces } from '../protocol/frame.ts'
import { type PlainRemoteError, RemoteError } from '../remote-error.ts'
import type { Session } from './session.ts'

export interface Credit {
  readonly items: number
  readonly bytes: number
}

interface Piece {
  readonly type: FrameType
  readonly flags: number
  readonly count: number
  readonly body: Uint8Array
  /** Does it spend byte credit? */
  readonly isPaid: boolean
}

/** A frame is closed when its items are estimated at this many bytes, so that it rarely needs a second piece. */
const BATCH_BYTES = 32 * 1024

/** What an item is taken for whose size is not seen at a glance, until batches have been measured. */
const ITEM_BYTES_GUESS = 64

/** A batch of a stream that may be resumed. */
interface KeptBatch {
  /** Position of its first item in the stream. */
  readonly first: number
  readonly count: number
  readonly body: Uint8Array
}

export class Outlet {
  /** Undefined while there is no consumer. */
  #session: Session | undefined
  #call: number
  readonly #stream: number
  readonly #payloadBytesMax: number
  #items: number
  #bytes: number
  /** Items of this turn. */
  #batch: unknown[] = []
  #batchBytes = 0
  #isFlushDue = false
  #itemBytesGuess = ITEM_BYTES_GUESS
  readonly #waiting: Piece[] = []
  #kept: KeptBatch[] | undefined
  /** Items in batches so far, and of those what the consumer has taken. */
  #batchedItems = 0
  #takenItems = 0
  /** How the stream ended, to be said again to a consumer that comes back. */
  #ending: Piece | undefined
  #wake: (() => void) | undefined
  #isClosed = false
  #isFinished = false
  #onSent = (): void => {}
  /** Items offered so far. */
  offered = 0

  constructor(session: Session, call: number, stream: number, credit: Credit, payloadBytesMax: number) {
    this.#session = session
    this.#call = call
    this.#stream = stream
    this.#items = credit.items
    this.#bytes = credit.bytes
    this.#payloadBytesMax = payloadBytesMax
  }

  /** May another item be offered? */
  get isReady(): boolean {
    if (this.#isClosed || this.#failure !== undefined) return true
    return this.#items > this.#batch.length && this.#bytes > 0 && this.#waiting.length === 0
  }

  /** Resolves when an item may be offered, or the stream is closed. */
  async ready(): Promise<void> {
    while (!this.isReady) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /**
   * Takes an item. Call it only when `isReady`.
   * @throws RemoteError `INVALID_ARGUMENT` later, through `flush`, for an item that cannot be sent
   */
  offer(item: unknown): void {
    if (this.#isClosed) return
    this.#batch.push(item)
    this.offered++
    this.#batchBytes += sizeOf(item, this.#itemBytesGuess)
    if (this.#batchBytes >= BATCH_BYTES) this.flush()
    else if (!this.#isFlushDue && this.#session !== undefined) {
      this.#isFlushDue = true
      this.#session.atEndOfTurn(() => this.#flushOrFail())
    }
  }

  /** Encodes what was offered. @throws RemoteError for an item that cannot be sent */
  flush(): void {
    this.#isFlushDue = false
    const batch = this.#batch
    if (batch.length === 0 || this.#isClosed) return
    this.#batch = []
    this.#batchBytes = 0
    this.#sendBatch(batch)
  }

  /** A batch that cannot be sent whole is sent as far as it can: its good items come before the error. */
  #sendBatch(batch: readonly unknown[]): void {
    let body: Uint8Array
    try {
      body = this.#encode(batch)
    } catch (error) {
      if (batch.length === 1) throw error
      const half = batch.length >> 1
      this.#sendBatch(batch.slice(0, half))
      this.#sendBatch(batch.slice(half))
      return
    }
    this.#itemBytesGuess = Math.ceil(body.length / batch.length)
    this.#items -= batch.length
    this.#kept?.push({ first: this.#batchedItems, count: batch.length, body })
    this.#batchedItems += batch.length
    this.#enqueue(FRAME.ITEMS, batch.length, body, true)
  }

  #failure: unknown
  /** Called when an item that was offered cannot be sent. */
  onFailure: (error: unknown) => void = () => {}

  #flushOrFail(): void {
    try {
      this.flush()
    } catch (error) {
      this.#failure = error
      this.#wakeUp()
      this.onFailure(error)
    }
  }

  end(): void {
    this.flush()
    this.#finish({ type: FRAME.END, flags: 0, count: 0, body: NO_BODY, isPaid: false })
  }

  /** @throws RemoteError `INVALID_ARGUMENT` for a value that cannot be sent, `PAYLOAD_TOO_LARGE` */
  result(value: unknown): void {
    const body = this.#encode(value)
    this.#isFinished = true
    this.#enqueue(FRAME.RESULT, 0, body, false)
  }

  error(error: PlainRemoteError): void {
    this.#flushOrFail()
    this.#finish({ type: FRAME.ERROR, flags: 0, count: 0, body: encodeJson(error), isPaid: false })
  }

  #finish(ending: Piece): void {
    this.#isFinished = true
    this.#ending = ending
    this.#waiting.push(ending)
    this.#pump()
  }

  /** A body of bytes made elsewhere. */
  open(body: Uint8Array): void {
    this.#enqueue(FRAME.OPEN, 0, body, false)
  }

  grant(items: number, bytes: number): void {
    this.#items += items
    this.#bytes += bytes
    if (this.#kept !== undefined) this.#taken(this.#takenItems + items)
    this.#pump()
    if (this.isReady) this.#wakeUp()
  }

  /** O4: from now on batches are kept, for a consumer that may come back. */
  keep(): void {
    this.#kept = []
  }

  get isDetached(): boolean {
    return this.#session === undefined
  }

  /** The consumer has gone: nothing is sent, and nothing more is asked of the producer. */
  detach(): void {
    this.#flushOrFail()
    this.#session = undefined
    this.#items = 0
    this.#bytes = 0
    this.#waiting.length = 0
  }

  /**
   * A consumer that has `after` items goes on from there.
   * @throws RemoteError `STREAM_LOST` when items behind that are not kept
   */
  attach(session: Session, call: number, after: number, credit: Credit): void {
    const kept = this.#kept ?? []
    if (after < (kept[0]?.first ?? this.#batchedItems) || after > this.#batchedItems) {
      throw new RemoteError('STREAM_LOST', `the stream cannot go on behind item ${after}: that is not kept.`)
    }
    this.#session = session
    this.#call = call
    this.#items = credit.items
    this.#bytes = credit.bytes
    this.#waiting.length = 0
    this.#taken(after)
    for (const { first, count, body } of [...kept]) {
      const skip = Math.max(0, after - first)
      const rest = skip === 0 ? body : encode((decode(body) as unknown[]).slice(skip))
      this.#items -= count - skip
      this.#enqueue(FRAME.ITEMS, count - skip, rest, true)
    }
    this.#flushOrFail()
    if (this.#ending !== undefined) {
      this.#waiting.push(this.#ending)
      this.#pump()
    }
    if (this.isReady) this.#wakeUp()
  }

  #taken(items: number): void {
    this.#takenItems = items
    const kept = this.#kept as KeptBatch[]
    let done = 0
    while (done < kept.length && kept[done].first + kept[done].count <= items) done++
    if (done > 0) kept.splice(0, done)
  }

  /** Calls `fn` once everything up to the end has been sent, or the outlet is closed. */
  whenSent(fn: () => void): void {
    if (this.#isClosed || (this.#isFinished && this.#waiting.length === 0)) fn()
    else this.#onSent = fn
  }

  /** Nothing more is sent; a producer that waits goes on and finds `isClosed`. */
  close(): void {
    this.#isClosed = true
    this.#batch = []
    this.#waiting.length = 0
    this.#wakeUp()
    this.#sent()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  #encode(value: unknown): Uint8Array {
    const body = encode(value)
    if (body.length > this.#payloadBytesMax) throw tooLarge(body.length, this.#payloadBytesMax)
    return body
  }

  #enqueue(type: FrameType, count: number, body: Uint8Array, isPaid: boolean): void {
    const all = pieces(body)
    all.forEach((piece, i) => {
      const flags = i < all.length - 1 ? FLAG_MORE : 0
      if (i === 0) this.#waiting.push({ type, flags, count, body: piece, isPaid })
      else this.#waiting.push({ type: FRAME.PART, flags, count: 0, body: piece, isPaid: true })
    })
    this.#pump()
  }

  #pump(): void {
    const session = this.#session
    if (session === undefined) return
    let sent = 0
    for (; sent < this.#waiting.length; sent++) {
      const { type, flags, count, body, isPaid } = this.#waiting[sent]
      if (isPaid && this.#bytes <= 0) break
      if (isPaid) this.#bytes -= body.length
      session.send(type, this.#call, body, this.#stream, count, flags)
    }
    if (sent > 0) this.#waiting.splice(0, sent)
    if (this.#isFinished && this.#waiting.length === 0) this.#sent()
  }

  #sent(): void {
    const onSent = this.#onSent
    this.#onSent = () => {}
    onSent()
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

function sizeOf(item: unknown, guess: number): number {
  if (typeof item === 'string') return item.length
  if (ArrayBuffer.isView(item)) return item.byteLength
  return guess
}

export function tooLarge(bytes: number, bytesMax: number): RemoteError {
  return new RemoteError(
    'PAYLOAD_TOO_LARGE',
    `a value of ${bytes} bytes is above the limit of ${bytesMax}; send it in parts as a stream, or raise payloadBytesMax at gateway, node and client.`,
    { data: { bytes, bytesMax } },
  )
}
