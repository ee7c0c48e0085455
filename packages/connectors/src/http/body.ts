/**
 * Receives the body of one request: with a limit in bytes, also of what unpacks from it, a limit in time, and as far as
 * there is room.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { createGunzip, type Gunzip } from 'node:zlib'

/** Why a body was not taken. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
}

export interface BodyLimits {
  readonly bytesMax: number
  /** For the whole body, while this side is reading. */
  readonly timeoutMs: number
}

export class Body {
  /** Bytes received, unpacked. */
  bytes = 0
  readonly #startedAt = performance.now()
  #markAt = this.#startedAt
  #markBytes = 0
  readonly #request: IncomingMessage
  readonly #limits: BodyLimits
  readonly #hold: (bytes: number) => void
  readonly #unpack: Gunzip | undefined
  readonly #chunks: Buffer[] = []
  #settle: ((outcome: Buffer | Refusal | undefined) => void) | undefined
  #isPaused = false
  #pausedAt = 0
  #pausedMs = 0

  /** `hold` is told of every byte kept, and gets them back as a negative number when the body is let go. */
  constructor(request: IncomingMessage, isPacked: boolean, limits: BodyLimits, hold: (bytes: number) => void) {
    this.#request = request
    this.#limits = limits
    this.#hold = hold
    this.#unpack = isPacked ? createGunzip() : undefined
  }

  /** The whole body, why it is refused, or undefined when the sender has gone away. Whoever gets bytes gives them back. */
  receive(): Promise<Buffer | Refusal | undefined> {
    return new Promise((resolve) => {
      this.#settle = resolve
      const request = this.#request
      const source = this.#unpack ?? request
      source.on('data', (chunk: Buffer) => this.#take(chunk))
      source.on('end', () => this.#finish(Buffer.concat(this.#chunks)))
      request.on('close', () => {
        if (!request.complete) this.#finish(undefined)
      })
      request.on('error', () => this.#finish(undefined))
      if (this.#unpack !== undefined) {
        this.#unpack.on('error', () =>
          this.refuse({ status: 400, code: 'GZIP_INVALID', message: 'the body is not valid gzip.' }),
        )
        request.pipe(this.#unpack)
      }
    })
  }

  /** Stops reading: the sender is held back by TCP. */
  pause(): void {
    if (this.#isPaused || this.#settle === undefined) return
    this.#isPaused = true
    this.#pausedAt = performance.now()
    ;(this.#unpack ?? this.#request).pause()
  }

  resume(): void {
    if (!this.#isPaused || this.#settle === undefined) return
    this.#isPaused = false
    this.#markAt = performance.now()
    this.#markBytes = this.bytes
    this.#pausedMs += this.#markAt - this.#pausedAt
    ;(this.#unpack ?? this.#request).resume()
  }

  /** Gives the body up when it takes too long. */
  checkTime(now: number): void {
    if (this.#isPaused || now - this.#startedAt - this.#pausedMs <= this.#limits.timeoutMs) return
    this.refuse({
      status: 408,
      code: 'BODY_SLOW',
      message: `the body did not arrive within ${this.#limits.timeoutMs} ms. Nothing of it was taken; send smaller bodies.`,
    })
  }

  get socket(): Socket {
    return this.#request.socket
  }

  /** Milliseconds since this side began to read. */
  age(now: number): number {
    return now - this.#startedAt
  }

  /** Does it come with less than `bytesPerS`, measured over a second or more? False while this side does not read. */
  isSlow(now: number, bytesPerS: number): boolean {
    const ms = now - this.#markAt
    if (this.#isPaused || ms < 1000) return false
    const rate = ((this.bytes - this.#markBytes) * 1000) / ms
    this.#markAt = now
    this.#markBytes = this.bytes
    return rate < bytesPerS
  }

  refuse(refusal: Refusal): void {
    if (this.#settle === undefined) return
    this.#letGo()
    this.#finish(refusal)
  }

  #take(chunk: Buffer): void {
    if (this.#settle === undefined) return
    this.bytes += chunk.length
    if (this.bytes > this.#limits.bytesMax) {
      this.bytes -= chunk.length
      this.refuse(tooLarge(this.#limits.bytesMax))
      return
    }
    this.#chunks.push(chunk)
    this.#hold(chunk.length)
  }

  #finish(outcome: Buffer | Refusal | undefined): void {
    const settle = this.#settle
    if (settle === undefined) return
    this.#settle = undefined
    if (outcome === undefined) this.#letGo()
    if (this.#unpack !== undefined && !Buffer.isBuffer(outcome)) {
      this.#request.unpipe(this.#unpack)
      this.#unpack.destroy()
    }
    settle(outcome)
  }

  #letGo(): void {
    this.#hold(-this.bytes)
    this.bytes = 0
    this.#chunks.length = 0
  }
}

export function tooLarge(bytesMax: number): Refusal {
  return {
    status: 413,
    code: 'BODY_TOO_LARGE',
    message: `the body is larger than ${bytesMax} bytes. Nothing of it was taken; send fewer records at once.`,
  }
}
