/** Values of remote functions as lines of JSON, and writing them no faster than the reader takes them. */
import { once } from 'node:events'
import type { Output } from '../io.ts'

/**
 * One line. What JSON has no form for becomes: bytes `{"$bytes": base64}`, a Map its entries, a Set and typed arrays their
 * items, a bigint its digits as text, undefined, NaN and the infinities null.
 */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, plainJson) ?? 'null'}\n`
}

function plainJson(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
    const bytes = value instanceof Uint8Array ? value : new Uint8Array(value)
    return { $bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64') }
  }
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>)
  if (value instanceof Map || value instanceof Set) return [...value]
  return value
}

/** Resolves when the reader takes more. */
export async function write(stdout: Output, text: string): Promise<void> {
  if (!stdout.write(text)) await once(stdout, 'drain')
}

/** Lines that were given in one turn leave together. */
export class LineWriter {
  readonly #stdout: Output
  #text = ''

  constructor(stdout: Output) {
    this.#stdout = stdout
  }

  /** A promise when the reader has to catch up first. */
  line(value: unknown): Promise<void> | undefined {
    if (this.#text === '') setImmediate(() => this.#flush())
    this.#text += jsonLine(value)
    return this.#text.length >= CHUNK_CHARS ? this.flush() : undefined
  }

  async flush(): Promise<void> {
    this.#flush()
    if (this.#stdout.writableNeedDrain) await once(this.#stdout, 'drain')
  }

  get isBehind(): boolean {
    return this.#stdout.writableNeedDrain
  }

  #flush(): void {
    const text = this.#text
    this.#text = ''
    if (text !== '') this.#stdout.write(text)
  }
}

const CHUNK_CHARS = 16 * 1024
