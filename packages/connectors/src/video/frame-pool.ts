/**
 * A frame pool: pixels of the last frames in shared memory, so that a record names its frame by a handle of three small
 * fields and no pixel ever meets JSON, a clone, a ring or state.
 *
 * Ownership:
 *  FP1 The pool owns the pixels, for as long as the process lives. Nobody releases anything, also not when it throws: a
 *      writer takes the slot of the oldest frame, whoever still looks at it. A crashed reader leaves nothing behind.
 *  FP2 A handle is a question, not a claim. It is answered with pixels while the frame is one of the last `slots - 1`,
 *      and with FRAME_GONE afterwards, in another process, and after a restart. What must live longer is copied.
 *  FP3 `read` checks the frame before and after the look: what the callback saw was that frame and no other, or `read`
 *      throws. The callback must not keep the bytes it is lent; its result is thrown away when the frame was replaced.
 *  FP4 One writer at a time. Pixels of an unfinished frame cannot be read.
 *
 * Layout of the shared memory: 64 bytes of header (session, frames begun, dropped), 8 bytes of state per slot, pixels.
 * The state of a slot is 2n + 1 while frame n is written, 2n + 2 when it is there, 0 before the first.
 */
import { randomInt } from 'node:crypto'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { OperationalError, UsageError } from 'millrace/connector'

/** Names a frame of a pool: plain, JSON-safe, about 60 bytes however large the frame. */
export interface FrameHandle {
  readonly pool: string
  /** Drawn when the pool was made: a handle from an earlier process is told from one of this. */
  readonly session: number
  /** Counts the frames of the pool from 0. */
  readonly frame: number
}

export interface FramePoolOptions {
  readonly width: number
  readonly height: number
  /**
   * Frames in memory, 2 to 1024; one of them is being written. Default 8: a quarter of a second at 30 frames/s, 50 MB of
   * 1920 x 1080. Frames that may wait longer need more.
   */
  readonly slots?: number
}

/** A frame that is being written. Exactly one of `finish` and `drop` ends it. */
export interface FrameDraft {
  /** To be filled: rows from the top, pixels from the left, red, green, blue. Not to be touched after the end. */
  readonly pixels: Uint8Array
  readonly handle: FrameHandle
  /** The frame is there. */
  finish(): FrameHandle
  /** The frame will never be there: its handle answers FRAME_GONE. */
  drop(): void
}

export interface FramePool {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly slots: number
  /** Bytes of a frame: width * height * 3. */
  readonly frameBytes: number
  /** Takes the slot of the oldest frame. The caller is the pool's only writer (FP4). */
  begin(): FrameDraft
  /**
   * Lends the pixels of a frame to `look`, without a copy, and returns what it returns.
   * @throws OperationalError `FRAME_GONE` when the slot has been used again, before or during the look, or the handle is
   * of another process
   * @throws UsageError `FRAME_POOL_OTHER` when it is of another pool
   */
  read<R>(handle: FrameHandle, look: (pixels: Uint8Array) => R): R
  /** Is the frame still there? It may be gone a moment later. */
  has(handle: FrameHandle): boolean
  /** Counts frames a source had to let go. */
  countDropped(frames: number): void
  /** Since the pool was made, over all threads. */
  stats(): FramePoolStats
}

export interface FramePoolStats {
  /** Frames begun. */
  readonly taken: number
  /** Frames let go before they became a record. */
  readonly dropped: number
}

const CHANNELS = 3
const HEADER_BYTES = 64
/** 8K video at most: 7680 x 4320. */
const SIDE_MAX = 8192
const SLOTS_MAX = 1024
/** Of all slots together: what one SharedArrayBuffer can be relied on to hold. */
const POOL_BYTES_MAX = 2 ** 31
const SLOTS_DEFAULT = 8

/** Cells of the header. */
const Cell = { session: 0, begun: 1, dropped: 2, width: 3, height: 4, slots: 5 } as const

const poolsOfThread = new Map<string, SharedFramePool>()

/**
 * The pool of this name: made on the first call, the same memory on later ones and in worker threads, which import the
 * module that makes it. Call it at the top level of the module of the flow, so that the main thread, which imports it
 * first, makes the memory that the workers are given.
 * @throws UsageError `FRAME_POOL` for sizes out of range, or when the name is in use with other sizes
 * @example
 * const pool = framePool('camera', { width: 4, height: 2 })
 * const draft = pool.begin()
 * draft.pixels.fill(200)
 * const handle = draft.finish()
 * pool.read(handle, (pixels) => pixels[0]) // => 200
 */
export function framePool(name: string, options: FramePoolOptions): FramePool {
  const { width, height, slots = SLOTS_DEFAULT } = options
  check(name, 'width', width, 1, SIDE_MAX)
  check(name, 'height', height, 1, SIDE_MAX)
  check(name, 'slots', slots, 2, Math.min(SLOTS_MAX, Math.floor(POOL_BYTES_MAX / (width * height * CHANNELS))))
  let pool = poolsOfThread.get(name)
  if (pool === undefined) {
    const key = `millrace.frames.${name}`
    const inherited = getEnvironmentData(key)
    const memory = inherited instanceof SharedArrayBuffer ? inherited : newMemory(width, height, slots)
    // Threads that are started from now on find it.
    setEnvironmentData(key, memory)
    pool = new SharedFramePool(name, memory)
    poolsOfThread.set(name, pool)
  }
  if (pool.width === width && pool.height === height && pool.slots === slots) return pool
  throw new UsageError(
    'FRAME_POOL',
    `frame pool "${name}" is there with ${pool.width} x ${pool.height} and ${pool.slots} slots; now it is asked for with ${width} x ${height} and ${slots}. Both would write over each other: give the second another name, or the same sizes.`,
    { data: { pool: name, width, height, slots } },
  )
}

class SharedFramePool implements FramePool {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly slots: number
  readonly frameBytes: number
  readonly #session: number
  readonly #header: BigInt64Array
  readonly #states: BigInt64Array
  readonly #frames: readonly Uint8Array[]

  constructor(name: string, memory: SharedArrayBuffer) {
    this.name = name
    this.#header = new BigInt64Array(memory, 0, HEADER_BYTES / 8)
    this.#session = Number(this.#header[Cell.session])
    this.width = Number(this.#header[Cell.width])
    this.height = Number(this.#header[Cell.height])
    this.slots = Number(this.#header[Cell.slots])
    const frameBytes = this.width * this.height * CHANNELS
    this.frameBytes = frameBytes
    this.#states = new BigInt64Array(memory, HEADER_BYTES, this.slots)
    const first = HEADER_BYTES + this.slots * 8
    this.#frames = Array.from(
      { length: this.slots },
      (_, s) => new Uint8Array(memory, first + s * frameBytes, frameBytes),
    )
  }

  begin(): FrameDraft {
    const frame = Number(Atomics.add(this.#header, Cell.begun, 1n))
    const slot = frame % this.slots
    const handle: FrameHandle = { pool: this.name, session: this.#session, frame }
    // From here on the older frame of the slot is gone, before its first byte changes.
    Atomics.store(this.#states, slot, BigInt(frame) * 2n + 1n)
    return {
      pixels: this.#frames[slot],
      handle,
      finish: () => {
        Atomics.store(this.#states, slot, stateOf(frame))
        return handle
      },
      drop: () => {
        Atomics.store(this.#states, slot, 0n)
      },
    }
  }

  read<R>(handle: FrameHandle, look: (pixels: Uint8Array) => R): R {
    if (!this.has(handle)) throw this.#gone(handle, 'is not in memory any more')
    let result: R
    try {
      result = look(this.#frames[handle.frame % this.slots])
    } catch (error) {
      // Half of another frame may be what the callback stumbled over.
      throw this.has(handle) ? error : this.#gone(handle, 'was replaced while it was looked at')
    }
    if (!this.has(handle)) throw this.#gone(handle, 'was replaced while it was looked at')
    return result
  }

  has(handle: FrameHandle): boolean {
    if (handle.pool !== this.name) throw this.#other(handle)
    if (handle.session !== this.#session || !Number.isSafeInteger(handle.frame) || handle.frame < 0) return false
    return Atomics.load(this.#states, handle.frame % this.slots) === stateOf(handle.frame)
  }

  countDropped(frames: number): void {
    Atomics.add(this.#header, Cell.dropped, BigInt(frames))
  }

  stats(): FramePoolStats {
    return {
      taken: Number(Atomics.load(this.#header, Cell.begun)),
      dropped: Number(Atomics.load(this.#header, Cell.dropped)),
    }
  }

  #gone(handle: FrameHandle, what: string): OperationalError {
    const isForeign = handle.session !== this.#session
    const why = isForeign
      ? 'its handle was made by another process, or in a thread that did not get this memory: pixels do not outlive their process, and framePool must be called at the top level of the module of the flow'
      : `the pool keeps ${this.slots} frames and has begun ${this.stats().taken}. Look at frames before they wait, or give the pool more slots`
    return new OperationalError('FRAME_GONE', `frame ${handle.frame} of pool "${this.name}" ${what}: ${why}.`, {
      data: { pool: this.name, frame: handle.frame, slots: this.slots, isForeign },
    })
  }

  #other(handle: FrameHandle): UsageError {
    return new UsageError(
      'FRAME_POOL_OTHER',
      `a handle of frame pool "${handle.pool}" was given to pool "${this.name}". Read it with framePool('${handle.pool}', ...).`,
      { data: { pool: this.name, other: handle.pool } },
    )
  }
}

function stateOf(frame: number): bigint {
  return BigInt(frame) * 2n + 2n
}

function newMemory(width: number, height: number, slots: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(HEADER_BYTES + slots * (8 + width * height * CHANNELS))
  const header = new BigInt64Array(memory, 0, HEADER_BYTES / 8)
  header[Cell.session] = BigInt(randomInt(1, 2 ** 47))
  header[Cell.width] = BigInt(width)
  header[Cell.height] = BigInt(height)
  header[Cell.slots] = BigInt(slots)
  return memory
}

function check(pool: string, name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new UsageError(
    'FRAME_POOL',
    `frame pool "${pool}" has ${name} ${String(value)}; it must be a whole number from ${min} to ${max}.`,
    { data: { pool } },
  )
}
