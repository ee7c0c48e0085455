/** Decodes text lines: each line is a record. */
import { type Decoded, type RecordDecoder, type Reject, tooLarge } from '../file/decoder.ts'
import { LineCutter, NEED_MORE, TOO_LARGE } from '../file/lines.ts'

export class TextLinesDecoder implements RecordDecoder<string> {
  readonly #lines: LineCutter
  readonly #maxLineBytes: number
  readonly #reject: Reject

  constructor(maxLineBytes: number, reject: Reject) {
    this.#lines = new LineCutter(maxLineBytes, 'utf8', 0, true)
    this.#maxLineBytes = maxLineBytes
    this.#reject = reject
  }

  get line(): number {
    return this.#lines.line
  }

  get skipped(): number {
    return this.#lines.skipped
  }

  load(bytes: Buffer): void {
    this.#lines.load(bytes)
  }

  decode(from: number, maxRows: number, isLast: boolean, { rows, at }: Decoded<string>): number {
    const lines = this.#lines
    while (rows.length < maxRows) {
      const found = lines.cut(from, isLast)
      from = lines.next
      if (found === NEED_MORE) break
      if (found === TOO_LARGE) {
        this.#reject('RECORD_TOO_LARGE', tooLarge('line', this.#maxLineBytes), lines.line, lines.rawTooLarge())
      } else if (!lines.isText(lines.start, lines.end)) {
        this.#reject('UTF8_INVALID', 'the line is not valid UTF-8.', lines.line, lines.raw())
      } else if (lines.end > lines.start) {
        rows.push(lines.copy(lines.start, lines.end))
        at.push(lines.line)
      }
    }
    return from
  }
}
