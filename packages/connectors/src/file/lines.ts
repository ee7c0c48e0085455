/**
 * Cuts bytes into lines and lines into text, for the formats made of lines.
 *
 * A window of ASCII bytes becomes one string whose indices are byte offsets, and lines are slices of it. Other windows
 * are decoded line by line, and only where the window as a whole is not valid UTF-8 is each line checked on its own.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { RAW_BYTES } from './decoder.ts'

export type TextEncoding = 'utf8' | 'latin1'

/** What `LineCutter.cut` found. */
export const LINE = 0
export const TOO_LARGE = 1
export const NEED_MORE = 2

const NEWLINE = 10
const RETURN = 13

export class LineCutter {
  /** The line last cut is bytes [start, end), without its line break; the next one begins at `next`. */
  start = 0
  end = 0
  next = 0
  /** Lines cut so far: the number of the line last cut, counted from 1. */
  line: number
  skipped = 0
  readonly #maxBytes: number
  readonly #encoding: TextEncoding
  #bytes: Buffer = Buffer.alloc(0)
  /** The whole window, where indices of characters are indices of bytes. */
  #text: string | undefined
  /** Bytes known to be valid UTF-8, from the window's beginning. */
  #validTo = 0
  #isFileStart: boolean
  #skippedStart = ''

  constructor(maxBytes: number, encoding: TextEncoding, line: number, isFileStart: boolean) {
    this.#maxBytes = maxBytes
    this.#encoding = encoding
    this.line = line
    this.#isFileStart = isFileStart
  }

  load(bytes: Buffer): void {
    this.#bytes = bytes
    this.#text = this.#encoding === 'latin1' || isAscii(bytes) ? bytes.toString('latin1') : undefined
    if (this.#text !== undefined) return
    // A character may be cut in two at the window's end, never at a newline.
    const whole = bytes.lastIndexOf(NEWLINE) + 1
    this.#validTo = isUtf8(bytes.subarray(0, whole)) ? whole : 0
  }

  /** Finds the line that begins at `from`. NEED_MORE: there is no whole line; go on from `next` with more bytes. */
  cut(from: number, isLast: boolean): number {
    const size = this.#bytes.length
    let end = this.#text !== undefined ? this.#text.indexOf('\n', from) : this.#bytes.indexOf(NEWLINE, from)
    if (end === -1) {
      if (!isLast || (from === size && this.skipped === 0)) return this.#wait(from)
      end = size
      this.next = size
    } else {
      this.next = end + 1
    }
    this.line++
    this.start = from
    if (this.skipped + end - from > this.#maxBytes) {
      if (this.skipped === 0) this.#skippedStart = this.#raw(from, end)
      this.skipped = 0
      this.#isFileStart = false
      return TOO_LARGE
    }
    if (end > from && this.#bytes[end - 1] === RETURN) end--
    this.end = end
    if (this.#isFileStart) this.#skipByteOrderMark()
    return LINE
  }

  /** Takes `lines` following lines into the one last cut; it ends at `end` and the line after it begins at `next`. */
  extend(end: number, next: number, lines: number): void {
    this.end = end
    this.next = next
    this.line += lines
  }

  /** Takes the last cut back: its line is not whole yet. */
  uncut(): void {
    this.line--
    this.next = this.start
  }

  /** Text of the line last cut, good until the next `load`; undefined when it is not valid UTF-8. */
  text(): string | undefined {
    const { start, end } = this
    if (this.#text !== undefined) return this.#text.slice(start, end)
    return this.isText(start, end) ? this.#bytes.toString('utf8', start, end) : undefined
  }

  isText(start: number, end: number): boolean {
    return this.#text !== undefined || end <= this.#validTo || isUtf8(this.#bytes.subarray(start, end))
  }

  /**
   * A text that may be kept. V8 makes a slice of 13 characters or more a view that keeps the whole window alive: a
   * 20-byte key in state would hold 256 KiB.
   */
  copy(start: number, end: number): string {
    if (this.#text === undefined) return this.#bytes.toString('utf8', start, end)
    return end - start < 13 ? this.#text.slice(start, end) : this.#bytes.toString('latin1', start, end)
  }

  /** Beginning of the line last cut, for a rejection; bytes that are not UTF-8 show as U+FFFD. */
  raw(): string {
    return this.#raw(this.start, this.end)
  }

  /** Beginning of the line that was TOO_LARGE. */
  rawTooLarge(): string {
    return this.#skippedStart
  }

  /** True when the line last cut ended with the file instead of a line break. */
  isUnfinished(): boolean {
    return this.next === this.#bytes.length && this.#bytes[this.next - 1] !== NEWLINE
  }

  #wait(from: number): number {
    const length = this.#bytes.length - from
    this.next = from
    if (this.skipped > 0 || length > this.#maxBytes) {
      if (this.skipped === 0) this.#skippedStart = this.#raw(from, this.#bytes.length)
      this.skipped += length
      this.next = this.#bytes.length
    }
    return NEED_MORE
  }

  #raw(start: number, end: number): string {
    const to = Math.min(end, start + RAW_BYTES)
    return this.#bytes.toString(this.#encoding, start, to)
  }

  #skipByteOrderMark(): void {
    this.#isFileStart = false
    const bytes = this.#bytes
    const at = this.start
    if (bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf && at + 3 <= this.end) this.start += 3
  }
}
