/** The bytes of a file from an offset on, block by block; a compressed file shows its uncompressed bytes. */
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { type Disk, type DiskFile, messageOf, OperationalError } from 'millrace/connector'

export interface FileInput {
  /** The next bytes; empty at the end of what exists now. */
  read(): Promise<Buffer>
  /** Bytes the file has now, or undefined when that is unknown. */
  size(): Promise<number | undefined>
  close(): Promise<void>
}

/** Bytes read at once: large enough that a read costs less than decoding it, small enough for many partitions. */
export const BLOCK_BYTES = 256 * 1024

/** @throws OperationalError `DISK_*` when the file cannot be opened, `FILE_GZIP` when it is no gzip file */
export async function openInput(path: string, disk: Disk, byte: number, blockBytes: number): Promise<FileInput> {
  const file = await disk.open(path, 'read')
  if (!path.endsWith('.gz')) return new PlainInput(file, byte, blockBytes)
  const input = new GzipInput(path, file, blockBytes)
  try {
    await input.skip(byte)
  } catch (thrown) {
    await input.close()
    throw thrown
  }
  return input
}

class PlainInput implements FileInput {
  readonly #file: DiskFile
  readonly #blockBytes: number
  #at: number

  constructor(file: DiskFile, at: number, blockBytes: number) {
    this.#file = file
    this.#at = at
    this.#blockBytes = blockBytes
  }

  async read(): Promise<Buffer> {
    const block = toBuffer(await this.#file.read(this.#at, this.#blockBytes))
    this.#at += block.length
    return block
  }

  size(): Promise<number> {
    return this.#file.size()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** Gzip cannot be entered in the middle: a resume reads the file from its beginning and drops what was delivered. */
class GzipInput implements FileInput {
  readonly #path: string
  readonly #file: DiskFile
  readonly #output: AsyncIterator<Buffer>
  #kept: Buffer | undefined

  constructor(path: string, file: DiskFile, blockBytes: number) {
    this.#path = path
    this.#file = file
    const gunzip = createGunzip({ chunkSize: blockBytes })
    // Its errors, and those of the file, come out of the iterator.
    pipeline(Readable.from(compressedBlocks(file, blockBytes)), gunzip, () => {})
    this.#output = gunzip[Symbol.asyncIterator]()
  }

  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      const block = await this.read()
      if (block.length === 0) {
        throw new OperationalError('FILE_TRUNCATED', truncatedMessage(this.#path, bytes - left, bytes), {
          data: { path: this.#path, size: bytes - left, position: bytes },
        })
      }
      if (block.length > left) this.#kept = block.subarray(left)
      left -= block.length
    }
  }

  async read(): Promise<Buffer> {
    const kept = this.#kept
    this.#kept = undefined
    if (kept !== undefined) return kept
    try {
      const next = await this.#output.next()
      return next.done === true ? Buffer.alloc(0) : next.value
    } catch (thrown) {
      if (thrown instanceof OperationalError) throw thrown
      throw new OperationalError(
        'FILE_GZIP',
        `file "${this.#path}" cannot be uncompressed: ${messageOf(thrown)}. What came before was read; the file is damaged, cut off, or no gzip file in spite of its name.`,
        { data: { path: this.#path }, cause: thrown },
      )
    }
  }

  async size(): Promise<undefined> {
    return undefined
  }

  async close(): Promise<void> {
    await this.#output.return?.()
    await this.#file.close()
  }
}

async function* compressedBlocks(file: DiskFile, blockBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; ) {
    const block = await file.read(at, blockBytes)
    if (block.length === 0) return
    at += block.length
    yield block
  }
}

export function truncatedMessage(path: string, size: number, position: number): string {
  return `file "${path}" has ${size} bytes and was read up to byte ${position}: it was cut off or replaced. What it holds now was not read. Append to followed files and give new data a new name; to read this one from its beginning, start without the old state.`
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
