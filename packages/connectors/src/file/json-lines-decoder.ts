/** Decodes JSON lines: one JSON value per line. */
import { messageOf } from 'millrace/connector'
import { type Decoded, type RecordDecoder, type Reject, tooLarge } from './decoder.ts'
import { LineCutter, NEED_MORE, type TextEncoding, TOO_LARGE } from './lines.ts'
import { type StandardSchema, validate } from './standard-schema.ts'

export class JsonLinesDecoder<T> implements RecordDecoder<T> {
  readonly #lines: LineCutter
  readonly #maxLineBytes: number
  readonly #schema: StandardSchema<T> | undefined
  readonly #reject: Reject

  constructor(
    position: { readonly byte: number; readonly line: number },
    options: { maxLineBytes: number; encoding: TextEncoding; schema: StandardSchema<T> | undefined },
    reject: Reject,
  ) {
    this.#lines = new LineCutter(options.maxLineBytes, options.encoding, position.line, position.byte === 0)
    this.#maxLineBytes = options.maxLineBytes
    this.#schema = options.schema
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

  decode(from: number, maxRows: number, isLast: boolean, { rows, at }: Decoded<T>): number {
    const lines = this.#lines
    while (rows.length < maxRows) {
      const found = lines.cut(from, isLast)
      from = lines.next
      if (found === NEED_MORE) break
      if (found === TOO_LARGE) {
        this.#reject('RECORD_TOO_LARGE', tooLarge('line', this.#maxLineBytes), lines.line, lines.rawTooLarge())
        continue
      }
      const text = lines.text()
      if (text === '') continue
      if (text === undefined) {
        this.#reject('UTF8_INVALID', 'the line is not valid UTF-8.', lines.line, lines.raw())
        continue
      }
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch (thrown) {
        if (text.trim() !== '') this.#invalid(thrown)
        continue
      }
      if (this.#schema !== undefined) {
        const checked = validate(this.#schema, value)
        if (checked.problem !== undefined) {
          this.#reject('SCHEMA_MISS', `the record does not fit the schema: ${checked.problem}`, lines.line, lines.raw())
          continue
        }
        value = checked.value
      }
      rows.push(value as T)
      at.push(lines.line)
    }
    return from
  }

  #invalid(thrown: unknown): void {
    const hint = this.#lines.isUnfinished()
      ? ' The file ends in this line without a line break: it may be cut off.'
      : ''
    const message = `the line is not valid JSON: ${messageOf(thrown)}.${hint}`
    this.#reject('JSON_INVALID', message, this.#lines.line, this.#lines.raw())
  }
}
