/**
 * A bounded queue of byte frames in shared memory, from one writing thread to one reading thread, and the doorbell a
 * thread sleeps on.
 *
 * Invariants:
 *  G1  `tail` is only stored by the writer, after the bytes before it; `head` only by the reader, after it is done with
 *      the bytes before it. Both are Atomics: what lies between head and tail is whole frames.
 *  G2  A frame lies in one piece; what is left at the end of the memory is skipped by a pad. A fragment takes at most half
 *      of the capacity, so an empty ring has room for any fragment wherever its end lies.
 *  G3  A frame beyond half of the capacity goes in fragments and comes out whole. The writer holds at most one such frame
 *      until the reader has made room (`pump`). A frame of more than 1 GiB is refused.
 *
 * Positions count bytes modulo 2^32; each is alone on its cache line.
 */
import { InvariantError, OperationalError, UsageError } from '../errors.ts'
import type { Doorbell } from './doorbell.ts'

const TAIL = 0
const HEAD = 16
/** 1: the writer found no room and wants its doorbell rung. */
const WANTS_ROOM = 32
const RECORDS_IN = 48
const RECORDS_OUT = 64
const CONTROL_BYTES = 320

const FRAME_HEADER = 8
const MORE = 0x8000_0000 | 0
const PAD = -1
const frameBytesMax = 2 ** 30

/** Memory of a ring, to be sent to both threads. */
export type RingMemory = SharedArrayBuffer

/**
 * Memory for a ring of `bytes`, rounded up to a power of two.
 * @throws UsageError `RING_SIZE` when `bytes` is not from 1024 to 2^30
 */
export function createRing(bytes: number): RingMemory {
  if (!(bytes >= 1024 && bytes <= 2 ** 30)) {
    throw new UsageError('RING_SIZE', `a ring has ${String(bytes)} bytes; it must have 1024 to ${2 ** 30}.`)
  }
  return new SharedArrayBuffer(CONTROL_BYTES + 2 ** Math.ceil(Math.log2(bytes)))
}

/** How full a ring is, as any thread may see it; a moment's estimate. */
export function ringLevel(memory: RingMemory): { bytes: number; capacity: number; records: number } {
  const control = new Int32Array(memory, 0, CONTROL_BYTES / 4)
  return {
    bytes: distance(Atomics.load(control, HEAD), Atomics.load(control, TAIL)),
    capacity: memory.byteLength - CONTROL_BYTES,
    records: distance(Atomics.load(control, RECORDS_OUT), Atomics.load(control, RECORDS_IN)),
  }
}

/** One end of a ring: its memory as typed arrays. */
class RingEnd {
  readonly memory: RingMemory
  protected readonly control: Int32Array
  protected readonly words: Int32Array
  protected readonly data: Uint8Array
  protected readonly capacity: number

  constructor(memory: RingMemory) {
    this.memory = memory
    this.capacity = memory.byteLength - CONTROL_BYTES
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4)
    this.words = new Int32Array(memory, CONTROL_BYTES)
    this.data = new Uint8Array(memory, CONTROL_BYTES)
  }

  /** Records written and not yet released. */
  queued(): number {
    return distance(Atomics.load(this.control, RECORDS_OUT), Atomics.load(this.control, RECORDS_IN))
  }
}

export class RingWriter extends RingEnd {
  readonly #fragmentMax: number
  #tail: number
  #rest: { readonly bytes: Uint8Array; at: number; readonly records: number } | undefined

  constructor(memory: RingMemory) {
    super(memory)
    this.#tail = Atomics.load(this.control, TAIL)
    this.#fragmentMax = this.capacity / 2 - FRAME_HEADER
  }

  /**
   * Writes one frame, the parts one after another. False: there is no room now, nothing was taken, and the reader rings
   * the writer's doorbell when there is. True with `hasRest`: the frame was taken and `pump` must bring the rest out.
   * Ringing the reader's doorbell is the caller's, once for many frames.
   * @param records how many records the frame holds, for `queued`
   * @throws OperationalError `FRAME_SIZE` when the frame has more than 1 GiB
   */
  tryWrite(parts: readonly Uint8Array[], records = 0): boolean {
    if (!this.pump()) return false
    let length = 0
    for (const part of parts) length += part.length
    if (length <= this.#fragmentMax) {
      const at = this.#claim(length)
      if (at === -1) return false
      let to = at
      for (const part of parts) {
        this.data.set(part, to)
        to += part.length
      }
      this.#publish(at, length, 0, records)
      return true
    }
    if (length > frameBytesMax) {
      throw new OperationalError(
        'FRAME_SIZE',
        `a batch of ${records} records takes ${length} bytes; at most ${frameBytesMax} cross to another thread at once. Pass large data by reference within a thread, or make the records smaller.`,
        { data: { length, records } },
      )
    }
    if (this.#claim(this.#fragmentMax) === -1) return false
    const bytes = new Uint8Array(length)
    let to = 0
    for (const part of parts) {
      bytes.set(part, to)
      to += part.length
    }
    this.#rest = { bytes, at: 0, records }
    this.pump()
    return true
  }

  /** True while a part of an accepted frame is still here. */
  get hasRest(): boolean {
    return this.#rest !== undefined
  }

  /** Writes what is left of an accepted frame as far as there is room. True when nothing is left. */
  pump(): boolean {
    while (this.#rest !== undefined) {
      const { bytes, at, records } = this.#rest
      const length = Math.min(this.#fragmentMax, bytes.length - at)
      const to = this.#claim(length)
      if (to === -1) return false
      this.data.set(bytes.subarray(at, at + length), to)
      this.#rest.at += length
      const isLast = this.#rest.at === bytes.length
      this.#publish(to, length, isLast ? 0 : MORE, isLast ? records : 0)
      if (isLast) this.#rest = undefined
    }
    return true
  }

  /** Where the data of a frame of `length` bytes goes, or -1. Pads the end of the memory when the frame does not fit there. */
  #claim(length: number): number {
    const total = FRAME_HEADER + align(length)
    const at = this.#tail & (this.capacity - 1)
    const toEnd = this.capacity - at
    const needed = total <= toEnd ? total : toEnd + total
    if (!this.#hasRoom(needed)) {
      // The reader may have made room between the look and the wish; it only rings for wishes it sees.
      Atomics.store(this.control, WANTS_ROOM, 1)
      if (!this.#hasRoom(needed)) return -1
      Atomics.store(this.control, WANTS_ROOM, 0)
    }
    if (total <= toEnd) return at + FRAME_HEADER
    this.words[at >> 2] = PAD
    this.#tail = (this.#tail + toEnd) | 0
    return FRAME_HEADER
  }

  #hasRoom(bytes: number): boolean {
    return this.capacity - distance(Atomics.load(this.control, HEAD), this.#tail) >= bytes
  }

  #publish(dataAt: number, length: number, more: number, records: number): void {
    const word = (dataAt - FRAME_HEADER) >> 2
    this.words[word] = length | more
    this.words[word + 1] = records
    this.#tail = (this.#tail + FRAME_HEADER + align(length)) | 0
    if (records !== 0) Atomics.add(this.control, RECORDS_IN, records)
    Atomics.store(this.control, TAIL, this.#tail)
  }
}

export class RingReader extends RingEnd {
  readonly #writerBell: Doorbell | undefined
  #head: number
  /** Position after the frame that was handed out. */
  #next: number
  #nextRecords = 0
  #fragments: Uint8Array[] = []

  /** @param writerBell rung when the writer waits for room and there is some */
  constructor(memory: RingMemory, writerBell?: Doorbell) {
    super(memory)
    this.#head = Atomics.load(this.control, HEAD)
    this.#next = this.#head
    this.#writerBell = writerBell
  }

  /** The next frame, valid until `release` or the next `tryRead`; undefined when there is none. */
  tryRead(): Uint8Array | undefined {
    this.release()
    for (;;) {
      const available = distance(this.#head, Atomics.load(this.control, TAIL))
      if (available === 0) return undefined
      const at = this.#head & (this.capacity - 1)
      const word = this.words[at >> 2]
      if (word === PAD) {
        this.#advance((this.#head + this.capacity - at) | 0)
        continue
      }
      const length = word & ~MORE
      const total = FRAME_HEADER + align(length)
      if (total > available) {
        throw new InvariantError('RING_TORN', `a frame of ${length} bytes lies in a ring that holds ${available}.`, {
          data: { length, available },
        })
      }
      const records = this.words[(at >> 2) + 1]
      const bytes = this.data.subarray(at + FRAME_HEADER, at + FRAME_HEADER + length)
      this.#next = (this.#head + total) | 0
      this.#nextRecords = records
      if (word >= 0 && this.#fragments.length === 0) return bytes
      this.#fragments.push(bytes.slice())
      if (word >= 0) {
        const whole = concat(this.#fragments)
        this.#fragments = []
        return whole
      }
      this.release()
    }
  }

  /** Gives the memory of the last frame back. */
  release(): void {
    if (this.#next === this.#head) return
    if (this.#nextRecords !== 0) Atomics.add(this.control, RECORDS_OUT, this.#nextRecords)
    this.#nextRecords = 0
    this.#advance(this.#next)
  }

  #advance(head: number): void {
    this.#head = head
    this.#next = head
    Atomics.store(this.control, HEAD, head)
    if (Atomics.load(this.control, WANTS_ROOM) === 0) return
    // Half empty, so that the writer does not wake for every frame; an empty ring has room for any fragment (G2).
    if (distance(head, Atomics.load(this.control, TAIL)) > this.capacity / 2) return
    Atomics.store(this.control, WANTS_ROOM, 0)
    this.#writerBell?.ring()
  }
}

function distance(from: number, to: number): number {
  return (to - from) >>> 0
}

function align(length: number): number {
  return (length + 7) & ~7
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
