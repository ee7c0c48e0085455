/**
 * Files of checksummed frames: what epoch logs and base images are made of.
 *
 *   frame  u32 length of body · u32 crc32 of body · body
 *   body   u8 type · utf8 step · payload to the end
 *
 * A file is referenced with its length and the crc32 of all of it, so a torn, replaced or older file is noticed.
 */
import { ByteReader, ByteWriter, crc32 } from '../batch/bytes.ts'
import { messageOf, OperationalError } from '../errors.ts'
import type { Disk, DiskFile } from '../runtime/ports.ts'
import type { OnWrite, WriteSite } from './write-sites.ts'

export const FrameType = { state: 1, staged: 2 } as const

/** A file a manifest refers to; `file` is relative to the state folder. */
export interface FileRef {
  readonly file: string
  readonly length: number
  /** crc32 of the whole file. */
  readonly crc: number
}

export interface Frame {
  readonly type: number
  readonly step: string
  readonly payload: Uint8Array
}

const HEADER = 8
/** Bytes gathered before they are handed to the disk. */
const BUFFER_BYTES = 1 << 18
/** Bytes read at once. */
const WINDOW_BYTES = 1 << 20

interface Sites {
  readonly create: WriteSite
  readonly append: WriteSite
  readonly sync: WriteSite
}

/** Appends frames to a new file. Up to two buffers are in memory: one being written, one being filled. */
export class FrameFile {
  readonly #disk: Disk
  readonly #folder: string
  readonly #file: string
  readonly #sites: Sites
  readonly #onWrite: OnWrite
  readonly #buffer = new ByteWriter(4096)
  readonly #head = new ByteWriter(64)
  #opened: Promise<DiskFile> | undefined
  #writing: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined
  #length = 0
  #crc = 0

  constructor(disk: Disk, folder: string, file: string, sites: Sites, onWrite: OnWrite) {
    this.#disk = disk
    this.#folder = folder
    this.#file = file
    this.#sites = sites
    this.#onWrite = onWrite
  }

  get isEmpty(): boolean {
    return this.#length === 0 && this.#buffer.length === 0
  }

  /** Adds a frame; the bytes are copied. The promise, when there is one, is the back-pressure: await it. */
  add(type: number, step: string, payload: Uint8Array): Promise<void> | undefined {
    const head = this.#head
    head.clear()
    head.u8(type)
    head.utf8(step)
    const start = head.peek()
    this.#buffer.u32(start.length + payload.length)
    this.#buffer.u32(crc32(payload, crc32(start)))
    this.#buffer.raw(start)
    this.#buffer.raw(payload)
    return this.#flushIfFull()
  }

  /** Adds bytes that are frames already. */
  addRaw(bytes: Uint8Array): Promise<void> | undefined {
    this.#buffer.raw(bytes)
    return this.#flushIfFull()
  }

  /** Writes what is left, makes it durable and closes; the folder must still be synced. */
  async finish(): Promise<FileRef> {
    this.#flush()
    await this.#writing
    this.#check()
    const file = await this.#open()
    await this.#onWrite(this.#sites.sync)
    await file.sync()
    await file.close()
    return { file: this.#file, length: this.#length, crc: this.#crc }
  }

  /** Stops and removes the file. */
  async abort(): Promise<void> {
    await this.#writing
    if (this.#opened === undefined) return
    await this.#opened.then((file) => file.close()).catch(() => {})
    await this.#disk.remove(`${this.#folder}/${this.#file}`)
  }

  #flushIfFull(): Promise<void> | undefined {
    if (this.#buffer.length < BUFFER_BYTES) return undefined
    const previous = this.#writing
    this.#flush()
    const room = previous.then(() => this.#check())
    // Callers on the data path may not await it; `finish` throws the same error.
    room.catch(() => {})
    return room
  }

  #flush(): void {
    if (this.#buffer.length === 0) return
    const bytes = this.#buffer.take()
    this.#buffer.clear()
    this.#length += bytes.length
    this.#crc = crc32(bytes, this.#crc)
    this.#writing = this.#writing
      .then(() => this.#append(bytes))
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return
    const file = await this.#open()
    await this.#onWrite(this.#sites.append)
    await file.append(bytes)
  }

  #open(): Promise<DiskFile> {
    this.#opened ??= this.#create()
    return this.#opened
  }

  async #create(): Promise<DiskFile> {
    await this.#onWrite(this.#sites.create)
    return this.#disk.open(`${this.#folder}/${this.#file}`, 'exclusive')
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}

/**
 * Frames of a file, in order. Payloads are views that stay valid.
 * @throws OperationalError `CHECKPOINT_CORRUPT` naming the file and the offset
 */
export async function* readFrames(disk: Disk, folder: string, ref: FileRef): AsyncGenerator<Frame> {
  let position = 0
  let pending = new Uint8Array(0)
  for await (const bytes of readChunks(disk, folder, ref)) {
    pending = pending.length === 0 ? bytes : joined(pending, bytes)
    let at = 0
    while (pending.length - at >= HEADER) {
      const r = new ByteReader(pending.subarray(at))
      const length = r.u32()
      const crc = r.u32()
      if (length > ref.length - position - HEADER)
        throw corrupt(folder, ref, position, `a frame of ${length} bytes passes the end`)
      if (r.remaining < length) break
      const body = r.raw(length)
      if (crc32(body) !== crc) throw corrupt(folder, ref, position, 'the checksum of a frame does not match')
      const inner = new ByteReader(body)
      yield { type: inner.u8(), step: inner.utf8(), payload: inner.raw(inner.remaining) }
      at += HEADER + length
      position += HEADER + length
    }
    pending = pending.subarray(at)
  }
  if (pending.length > 0) throw corrupt(folder, ref, position, `${pending.length} bytes are left over`)
}

/** Bytes of a file in pieces; checks length and checksum at the end. @throws OperationalError `CHECKPOINT_CORRUPT` */
export async function* readChunks(disk: Disk, folder: string, ref: FileRef): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let file: DiskFile
  try {
    file = await disk.open(`${folder}/${ref.file}`, 'read')
  } catch (error) {
    if (error instanceof OperationalError && error.code === 'DISK_NOT_FOUND')
      throw corrupt(folder, ref, 0, 'the file is missing')
    throw error
  }
  try {
    const size = await file.size()
    if (size !== ref.length)
      throw corrupt(folder, ref, Math.min(size, ref.length), `it has ${size} bytes, not ${ref.length}`)
    let crc = 0
    for (let at = 0; at < size; ) {
      const bytes = await file.read(at, Math.min(WINDOW_BYTES, size - at))
      if (bytes.length === 0) throw corrupt(folder, ref, at, 'it ends early')
      crc = crc32(bytes, crc)
      at += bytes.length
      if (at === size && crc !== ref.crc) {
        // The frames before have their own checksums; a reader that parses them names the exact frame first.
        yield bytes as Uint8Array<ArrayBuffer>
        throw corrupt(folder, ref, 0, 'the checksum of the file does not match')
      }
      yield bytes as Uint8Array<ArrayBuffer>
    }
  } finally {
    await file.close()
  }
}

export function corrupt(
  folder: string,
  ref: { readonly file: string },
  offset: number,
  what: string,
): OperationalError {
  return new OperationalError(
    'CHECKPOINT_CORRUPT',
    `${folder}/${ref.file} is damaged at byte ${offset}: ${what}. State cannot be restored from this commit. Move the newest MANIFEST file away to go back to the commit before it, or start from a savepoint.`,
    { data: { file: ref.file, offset } },
  )
}

/** Turns whatever a damaged payload makes a decoder throw into `CHECKPOINT_CORRUPT`; our own verdicts pass. */
export function asCorrupt(folder: string, ref: FileRef, error: unknown): unknown {
  if (!(error instanceof OperationalError) || error.code !== 'BYTES_SHORT') return error
  return corrupt(folder, ref, 0, messageOf(error))
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}
