/**
 * One peer of a TCP source: the bytes it sent that are not decoded yet.
 *
 * Invariants:
 *  C1  Bytes are looked at again only when a record may end in what came since, so a sender of single bytes costs
 *      O(bytes) in all.
 *  C2  At most one chunk with whole records is held, and one unfinished record, which is at most `maxRecordBytes` and a
 *      chunk long: what is longer is dropped as it comes.
 */
import type { Socket } from 'node:net'
import { type Decoded, RAW_BYTES, type RecordDecoder, tooLarge } from '../file/decoder.ts'
import type { SocketFormat } from './format.ts'

/** Says that a record of this peer is bad. */
export type RejectOfPeer = (code: string, message: string, at: string, raw: unknown) => void

export class Connection<T> {
  readonly socket: Socket
  readonly peer: string
  /** Nothing more comes: the peer has ended its side, or the connection is gone. */
  hasEnded = false
  /** Why, when it did not end in order. */
  failure: string | undefined
  /** Whole records, or the end, wait to be read. */
  isDue = false
  /** Records that commits have acknowledged, and told to the peer. */
  committed = 0
  told = 0
  readonly #format: SocketFormat<T>
  readonly #decoder: RecordDecoder<T>
  readonly #reject: RejectOfPeer
  #bytes: Buffer = Buffer.alloc(0)
  #from = 0
  #to = 0
  /** Where the bytes begin that the decoder has; it has them only when `#isLoaded`. */
  #base = 0
  #isLoaded = false
  /** The record under way is too long and was rejected already. */
  #isTooLarge = false

  constructor(socket: Socket, peer: string, format: SocketFormat<T>, reject: RejectOfPeer) {
    this.socket = socket
    this.peer = peer
    this.#format = format
    this.#reject = reject
    this.#decoder = format.decoder((code, message, at, raw) => {
      if (code === 'RECORD_TOO_LARGE' && this.#isTooLarge) this.#isTooLarge = false
      else this.#reject(code, message, this.place(at), raw)
    })
  }

  /** Records that were read: rows, rejected ones and empty lines, as the sender counts them. */
  get records(): number {
    return this.#decoder.line
  }

  /** Bytes of memory it holds. */
  get heldBytes(): number {
    return this.#to === this.#from ? 0 : this.#bytes.length
  }

  place(record: number): string {
    return `${this.peer} #${record}`
  }

  /** Takes bytes; `isDue` says whether records can be read now. */
  take(chunk: Buffer): void {
    this.#append(chunk)
    this.#isLoaded = false
    const isLong = this.#to - this.#from > this.#format.maxRecordBytes
    if (isLong || this.#decoder.skipped > 0 || this.#format.endsIn(chunk)) this.isDue = true
  }

  /** Decodes until `out` holds `maxRows` rows or no whole record is left; then `isDue` is false. */
  decode(maxRows: number, out: Decoded<T>): void {
    if (!this.#isLoaded) {
      this.#decoder.load(this.#bytes.subarray(this.#from, this.#to))
      this.#base = this.#from
      this.#isLoaded = true
    }
    const before = this.#decoder.skipped
    const start = this.#from
    this.#from = this.#base + this.#decoder.decode(this.#from - this.#base, maxRows, false, out)
    if (before === 0 && this.#decoder.skipped > 0 && !this.#isTooLarge) this.#tooLarge(start)
    if (out.rows.length < maxRows || this.#from === this.#to) {
      this.isDue = false
      this.#shrink()
    }
  }

  /** The peer is gone: rejects what it left unfinished. */
  finish(): void {
    const left = this.#to - this.#from
    if (left > 0 || (this.#decoder.skipped > 0 && !this.#isTooLarge)) {
      const why =
        this.failure === undefined ? 'the sender ended the connection' : `the connection broke (${this.failure})`
      const raw = this.#bytes.toString('utf8', this.#from, Math.min(this.#to, this.#from + RAW_BYTES))
      this.#reject('RECORD_TRUNCATED', `${why} inside this record.`, this.place(this.records + 1), raw)
    }
    this.#from = this.#to
    this.#bytes = Buffer.alloc(0)
  }

  /** Says so when a record grows too long, not when it ends: it may never end. */
  #tooLarge(start: number): void {
    const line = this.#bytes.subarray(start, this.#to).lastIndexOf(10) + start + 1
    const raw = this.#bytes.toString('utf8', line, Math.min(this.#to, line + RAW_BYTES))
    this.#isTooLarge = true
    const message = tooLarge('record', this.#format.maxRecordBytes)
    this.#reject('RECORD_TOO_LARGE', message, this.place(this.records + 1), raw)
  }

  #append(chunk: Buffer): void {
    const rest = this.#to - this.#from
    if (rest === 0) {
      this.#bytes = chunk
      this.#from = 0
      this.#to = chunk.length
      return
    }
    if (this.#bytes.length - this.#to < chunk.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(256, 2 * (rest + chunk.length)))
      this.#bytes.copy(larger, 0, this.#from, this.#to)
      this.#bytes = larger
      this.#from = 0
      this.#to = rest
    }
    chunk.copy(this.#bytes, this.#to)
    this.#to += chunk.length
  }

  /** A short rest must not keep a long chunk alive. */
  #shrink(): void {
    const rest = this.#to - this.#from
    if (rest > this.#bytes.length / 4) return
    const kept = Buffer.allocUnsafeSlow(rest)
    this.#bytes.copy(kept, 0, this.#from, this.#to)
    this.#bytes = kept
    this.#from = 0
    this.#to = rest
    this.#isLoaded = false
  }
}
