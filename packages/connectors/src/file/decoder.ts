/** What a file format is to the reader: something that cuts records out of bytes and decodes them. */

/**
 * Decodes one file.
 *
 * Invariants:
 *  D1  Between two calls the decoder stands at a record's beginning, or has skipped `skipped` bytes of a record that is
 *      too large to be buffered. The position of the reader is always a record's beginning.
 *  D2  A record is rejected in the call that steps over its end, never earlier: a position lies either before a bad
 *      record or behind its rejection.
 */
export interface RecordDecoder<T> {
  /** Records, lines or rows of the file before the position, counted as the format numbers them. */
  readonly line: number
  /** Bytes of an unfinished record that were consumed and dropped; 0 nearly always. */
  readonly skipped: number
  /** How many of the file's first bytes `head` wants to see when reading starts behind them; undefined: none. */
  readonly headBytes?: number
  /** Gets bytes from the file's beginning, at most up to the position. Called before `load`. */
  head?(bytes: Buffer): void
  /** The bytes now at hand. Offsets of `decode` count from the beginning of `bytes`. */
  load(bytes: Buffer): void
  /**
   * Decodes from offset `from` until `out` holds `maxRows` rows or no whole record is left. `isLast`: the file ends with
   * the loaded bytes. Returns the offset of the first byte that was not consumed.
   */
  decode(from: number, maxRows: number, isLast: boolean, out: Decoded<T>): number
}

export interface Decoded<T> {
  readonly rows: T[]
  /** Human-readable position of each row: its line, counted from 1. */
  readonly at: number[]
}

/** Reports a record that cannot be decoded; `at` counts from 1. */
export type Reject = (code: string, message: string, at: number, raw: unknown) => void

/** Most bytes of a bad record that travel with its rejection. */
export const RAW_BYTES = 4096

/** Message of `RECORD_TOO_LARGE`. */
export function tooLarge(what: string, maxBytes: number): string {
  return `the ${what} is longer than ${maxBytes} bytes and was skipped. If such records are real, raise the limit.`
}
