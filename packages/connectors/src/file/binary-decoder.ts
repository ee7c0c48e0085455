/** Decodes binary records: of one size, or each behind a number that says its length. */
import { messageOf } from 'millrace/connector'
import { type Decoded, RAW_BYTES, type RecordDecoder, type Reject, tooLarge } from './decoder.ts'
import { type LengthPrefix, prefixBytes, readPrefix } from './length-prefix.ts'

export interface BinaryFormat<T> {
  /** Undefined: records have a length prefix. */
  readonly recordBytes: number | undefined
  readonly prefix: LengthPrefix
  readonly maxRecordBytes: number
  readonly decode: (bytes: Uint8Array) => T
}

export class BinaryDecoder<T> implements RecordDecoder<T> {
  /** Records before the position. */
  line: number
  skipped = 0
  readonly #format: BinaryFormat<T>
  readonly #reject: Reject
  #bytes: Buffer = Buffer.alloc(0)
  /** Bytes of a record that is too large still to be skipped. */
  #toSkip = 0
  #raw: Uint8Array = this.#bytes

  constructor(position: { readonly line: number }, format: BinaryFormat<T>, reject: Reject) {
    this.line = position.line
    this.#format = format
    this.#reject = reject
  }

  load(bytes: Buffer): void {
    this.#bytes = bytes
  }

  decode(from: number, maxRows: number, isLast: boolean, out: Decoded<T>): number {
    const { recordBytes, prefix, maxRecordBytes } = this.#format
    const bytes = this.#bytes
    while (out.rows.length < maxRows) {
      if (this.#toSkip > 0) {
        from = this.#skip(from)
        if (this.#toSkip > 0) return isLast ? this.#truncated(from, this.#raw) : from
        continue
      }
      const left = bytes.length - from
      if (left === 0) return from
      const head = recordBytes === undefined ? prefixBytes(prefix) : 0
      const length = recordBytes ?? (left < head ? undefined : readPrefix(bytes, from, prefix))
      if (length !== undefined && length > maxRecordBytes) {
        this.#raw = this.#copy(from + head, bytes.length)
        this.#toSkip = head + length
        continue
      }
      if (length === undefined || left < head + length) {
        return isLast ? this.#truncated(bytes.length, this.#copy(from, bytes.length)) : from
      }
      this.#record(from + head, from + head + length, out)
      from += head + length
    }
    return from
  }

  #record(start: number, end: number, out: Decoded<T>): void {
    this.line++
    // A view: the decode function must copy what it keeps beyond numbers and texts.
    const bytes = this.#bytes.subarray(start, end)
    try {
      out.rows.push(this.#format.decode(bytes))
      out.at.push(this.line)
    } catch (thrown) {
      const message = `the decode function refused the record: ${messageOf(thrown)}`
      this.#reject('RECORD_DECODE', message, this.line, this.#copy(start, end))
    }
  }

  #skip(from: number): number {
    const now = Math.min(this.#toSkip, this.#bytes.length - from)
    this.#toSkip -= now
    this.skipped += now
    if (this.#toSkip > 0) return from + now
    this.skipped = 0
    this.line++
    this.#reject('RECORD_TOO_LARGE', tooLarge('record', this.#format.maxRecordBytes), this.line, this.#raw)
    return from + now
  }

  #truncated(from: number, raw: Uint8Array): number {
    this.line++
    this.skipped = 0
    this.#toSkip = 0
    this.#reject('RECORD_TRUNCATED', 'the file ends inside this record.', this.line, raw)
    return from
  }

  #copy(start: number, end: number): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, start, Math.min(end, start + RAW_BYTES))
  }
}
