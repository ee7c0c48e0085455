/**
 * Little-endian bytes, written and read in order: what state sections, logs and frames are made of.
 *
 * A ByteWriter grows by doubling and is reused with `clear()`; `take()` copies out what was written.
 * A ByteReader checks every read against its end, so torn or foreign bytes give `BYTES_SHORT`, never garbage.
 * Checksums are plain CRC-32 (IEEE) from node:zlib: hardware-fast and already there; CRC-32C would need a table here.
 */
import { crc32 as zlibCrc32 } from 'node:zlib'
import { OperationalError } from '../errors.ts'
import type { CanonicalKey } from './key.ts'

/** CRC-32 (IEEE) of `bytes`, continuing from `seed`; unsigned 32 bits. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed)
}

const SHORT_TEXT = 48

export class ByteWriter {
  #buffer: Buffer
  #view: DataView
  #length = 0

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity)
    this.#view = viewOf(this.#buffer)
  }

  get length(): number {
    return this.#length
  }

  clear(): void {
    this.#length = 0
  }

  /** Copy of everything written. */
  take(): Uint8Array {
    return new Uint8Array(this.#buffer.buffer.slice(0, this.#length))
  }

  /** What was written, without a copy; valid until the next write or `clear`. */
  peek(): Uint8Array {
    return new Uint8Array(this.#buffer.buffer, 0, this.#length)
  }

  u8(value: number): void {
    if (this.#length === this.#buffer.length) this.#grow(1)
    this.#buffer[this.#length++] = value
  }

  u32(value: number): void {
    const at = this.#advance(4)
    this.#view.setUint32(at, value, true)
  }

  f64(value: number): void {
    const at = this.#advance(8)
    this.#view.setFloat64(at, value, true)
  }

  /** A non-negative safe integer in 1 to 8 bytes. */
  varint(value: number): void {
    while (value > 0x7f) {
      this.u8((value & 0x7f) | 0x80)
      value = value > 0x7fffffff ? Math.floor(value / 128) : value >>> 7
    }
    this.u8(value)
  }

  /** Length and UTF-8. Lone surrogates become U+FFFD; `key` keeps them. */
  utf8(text: string): void {
    if (text.length <= SHORT_TEXT && this.#ascii(text)) return
    const size = Buffer.byteLength(text, 'utf8')
    this.varint(size)
    const at = this.#advance(size)
    this.#buffer.write(text, at, size, 'utf8')
  }

  /** Length and bytes. */
  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.raw(value)
  }

  /** Bytes without a length. */
  raw(value: Uint8Array): void {
    const at = this.#advance(value.length)
    this.#buffer.set(value, at)
  }

  /** A canonical key, exactly. */
  key(key: CanonicalKey): void {
    switch (typeof key) {
      case 'number':
        if ((key | 0) === key) {
          this.u8(KeyTag.int)
          this.varint(((key << 1) ^ (key >> 31)) >>> 0)
        } else {
          this.u8(KeyTag.float)
          this.f64(key)
        }
        return
      case 'string':
        if (key === '') {
          this.u8(KeyTag.empty)
        } else if (key.isWellFormed()) {
          this.u8(KeyTag.text)
          this.utf8(key)
        } else {
          this.u8(KeyTag.utf16)
          this.bytes(Buffer.from(key, 'utf16le'))
        }
        return
      case 'boolean':
        this.u8(key ? KeyTag.true : KeyTag.false)
        return
      default:
        this.u8(KeyTag.bigint)
        this.utf8(String(key))
    }
  }

  /** Overwrites a u32 written before, e.g. a length that was not known yet. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
  }

  #ascii(text: string): boolean {
    const n = text.length
    const at = this.#advance(n + 1)
    const buffer = this.#buffer
    for (let i = 0; i < n; i++) {
      const c = text.charCodeAt(i)
      if (c > 0x7f) {
        this.#length = at
        return false
      }
      buffer[at + 1 + i] = c
    }
    buffer[at] = n
    return true
  }

  #advance(n: number): number {
    const at = this.#length
    if (at + n > this.#buffer.length) this.#grow(n)
    this.#length = at + n
    return at
  }

  #grow(n: number): void {
    const next = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + n))
    next.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = next
    this.#view = viewOf(next)
  }
}

export class ByteReader {
  readonly #buffer: Buffer
  readonly #view: DataView
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)
    this.#view = viewOf(this.#buffer)
    this.#at = 0
    this.#end = bytes.byteLength
  }

  /** Position of the next read. */
  get position(): number {
    return this.#at
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  u8(): number {
    return this.#buffer[this.#take(1)]
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
      scale *= 128
      if (scale > 2 ** 49) throw this.#short(0)
    }
    return value
  }

  utf8(): string {
    const size = this.varint()
    const at = this.#take(size)
    return this.#buffer.toString('utf8', at, at + size)
  }

  /** A view of the bytes, not a copy. */
  bytes(): Uint8Array {
    return this.raw(this.varint())
  }

  /** A view of the next `n` bytes, not a copy. */
  raw(n: number): Uint8Array {
    const at = this.#take(n)
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + at, n)
  }

  key(): CanonicalKey {
    const tag = this.u8()
    switch (tag) {
      case KeyTag.int: {
        const zigzag = this.varint()
        return (zigzag >>> 1) ^ -(zigzag & 1)
      }
      case KeyTag.float:
        return this.f64()
      case KeyTag.text:
        return this.utf8()
      case KeyTag.empty:
        return ''
      case KeyTag.utf16:
        return Buffer.from(this.bytes()).toString('utf16le')
      case KeyTag.true:
        return true
      case KeyTag.false:
        return false
      case KeyTag.bigint:
        return BigInt(this.utf8())
      default:
        throw new OperationalError(
          'BYTES_SHORT',
          `byte ${this.#at - 1} is ${tag}, which starts no key; the bytes are damaged.`,
        )
    }
  }

  #take(n: number): number {
    const at = this.#at
    if (n > this.#end - at) throw this.#short(n)
    this.#at = at + n
    return at
  }

  #short(n: number): OperationalError {
    return new OperationalError(
      'BYTES_SHORT',
      `a read of ${n} bytes at ${this.#at} passes the end at ${this.#end}; the bytes are torn or damaged.`,
      { data: { at: this.#at, wanted: n, end: this.#end } },
    )
  }
}

const KeyTag = { int: 1, float: 2, text: 3, bigint: 4, true: 5, false: 6, empty: 7, utf16: 8 } as const

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
