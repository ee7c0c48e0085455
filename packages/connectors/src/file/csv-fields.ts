/**
 * Finds the fields of one CSV record in bytes (RFC 4180, as most programs write it).
 *
 * A field is quoted when its first byte is the quote; a quote inside a quoted field is doubled; quoted fields may hold
 * delimiters and line breaks. A quote further inside a field that did not begin with one is an ordinary character.
 *
 * Our own, because a reader that resumes exactly needs the byte at which each record ends, and one unclosed quote must
 * cost one record: csv-parse gives byte positions, but an unclosed quote swallows the rest of the file; papaparse counts
 * characters.
 */
export const WHOLE = 0
/** The bytes end inside the record. */
export const OPEN = 1
/** A closing quote is followed by something else than a delimiter or the end of the line. */
export const BAD_QUOTE = 2

const NEWLINE = 10
const RETURN = 13

export class FieldCutter {
  /** Fields of the record last cut: `count` ranges of bytes, without their quotes. */
  count = 0
  readonly starts: number[] = []
  readonly ends: number[] = []
  /** True where a doubled quote must be halved. */
  readonly isEscaped: boolean[] = []
  /** Offset behind the record's last byte; its line break is not part of it. */
  end = 0
  /** Line breaks inside the record. */
  lineBreaks = 0
  /** Offset of the line after the record; that of the last byte plus one when the bytes end first. */
  next = 0
  readonly #delimiter: number
  readonly #quote: number

  /** Both are codes of ASCII characters; quote -1: there are no quotes. */
  constructor(delimiter: number, quote: number) {
    this.#delimiter = delimiter
    this.#quote = quote
  }

  /**
   * Cuts the record whose first line is bytes [start, lineEnd), without its line break. Unless `isLast`, a record that
   * reaches the end of the bytes is OPEN.
   */
  cut(bytes: Buffer, start: number, lineEnd: number, next: number, isLast: boolean): number {
    const delimiter = this.#delimiter
    let count = 0
    let at = start
    let end = lineEnd
    this.lineBreaks = 0
    this.next = next
    for (;;) {
      if (at < end && bytes[at] === this.#quote) {
        const close = this.#closingQuote(bytes, at + 1, count)
        if (close === -1) return OPEN
        this.starts[count] = at + 1
        this.ends[count] = close
        at = close + 1
        if (close >= end) {
          end = this.#endOfLine(bytes, at, start)
          if (end === -1) {
            if (!isLast) return OPEN
            end = bytes.length
          }
        }
      } else {
        this.starts[count] = at
        while (at < end && bytes[at] !== delimiter) at++
        this.ends[count] = at
        this.isEscaped[count] = false
      }
      count++
      if (at === end) break
      if (bytes[at] !== delimiter) return BAD_QUOTE
      at++
    }
    this.count = count
    this.end = end
    return WHOLE
  }

  #closingQuote(bytes: Buffer, from: number, field: number): number {
    let isEscaped = false
    let close = bytes.indexOf(this.#quote, from)
    while (close !== -1 && bytes[close + 1] === this.#quote) {
      isEscaped = true
      close = bytes.indexOf(this.#quote, close + 2)
    }
    this.isEscaped[field] = isEscaped
    return close
  }

  /** End of the line that holds `at`, for a record that began on an earlier line; -1 when the bytes end first. */
  #endOfLine(bytes: Buffer, at: number, start: number): number {
    const newline = bytes.indexOf(NEWLINE, at)
    const end = newline === -1 ? bytes.length : newline
    this.next = newline === -1 ? end : newline + 1
    this.lineBreaks = 0
    for (let i = bytes.indexOf(NEWLINE, start); i !== -1 && i < end; i = bytes.indexOf(NEWLINE, i + 1))
      this.lineBreaks++
    if (newline === -1) return -1
    return newline > at && bytes[newline - 1] === RETURN ? newline - 1 : newline
  }
}
