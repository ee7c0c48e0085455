/** Cuts chunks of a stream into lines, and holds no more of an endless line than the limit. */

const NEWLINE = 10
const RETURN = 13
const KEPT_BYTES = 4096

export interface Line {
  /** Without its line break; of a line that is too long only the beginning. */
  readonly bytes: Buffer
  readonly isTooLong: boolean
}

export class TextLines {
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #bytes = 0
  #isTooLong = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** The lines that end in this chunk. */
  *cut(chunk: Buffer): Generator<Line> {
    let from = 0
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, from)
      this.#keep(chunk.subarray(from, newline === -1 ? chunk.length : newline))
      if (newline === -1) return
      yield this.#take()
      from = newline + 1
    }
  }

  /** Forgets the line that has begun: its end was in a connection that is gone. */
  reset(): void {
    this.#take()
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length
    if (this.#isTooLong || part.length === 0) return
    this.#parts.push(part)
    if (this.#bytes <= this.#bytesMax) return
    this.#isTooLong = true
    this.#parts = [Buffer.from(Buffer.concat(this.#parts).subarray(0, KEPT_BYTES))]
  }

  #take(): Line {
    let bytes = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts)
    if (bytes.at(-1) === RETURN) bytes = bytes.subarray(0, -1)
    const line = { bytes, isTooLong: this.#isTooLong }
    this.#parts = []
    this.#bytes = 0
    this.#isTooLong = false
    return line
  }
}
