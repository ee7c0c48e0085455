/**
 * Reads one file: takes blocks, lets the format's decoder cut records out of them, and knows the position at any time.
 *
 * Invariants:
 *  R1  `next` of a batch is the byte behind its last record, and reading from there gives the records that follow.
 *  R2  'end' is given only after a batch whose `next` covers all there was, rejected records included.
 *  R3  One call of `read` takes at most one block from the disk, so that no file, however odd, holds a call for long.
 */
import {
  OperationalError,
  type Position,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'
import type { Decoded, RecordDecoder, Reject } from './decoder.ts'
import { type FileInput, openInput, truncatedMessage } from './file-input.ts'
import { missingError } from './paths.ts'

/** Everything before `byte` was delivered; `line` lines (or records) lie before it. */
export type FilePosition = { readonly byte: number; readonly line: number }

export interface ReadSettings<T> {
  readonly path: string
  /** Undefined: the file ends where it ends. Otherwise the pause between two looks at a file that may grow. */
  readonly followMs: number | undefined
  readonly blockBytes: number
  readonly decoder: (position: FilePosition, reject: Reject) => RecordDecoder<T>
}

/**
 * Opens a file at a position.
 * @throws OperationalError `FILE_MISSING`, or `FILE_TRUNCATED` when the file is shorter than the position
 */
export async function openReader<T>(
  settings: ReadSettings<T>,
  position: Position | undefined,
  ctx: SourceContext,
): Promise<SourceReader<T>> {
  const reader = new FileReader(settings, filePosition(settings.path, position), ctx)
  try {
    await reader.open()
  } catch (thrown) {
    await reader.close()
    throw thrown
  }
  return reader
}

class FileReader<T> implements SourceReader<T> {
  readonly #settings: ReadSettings<T>
  readonly #ctx: SourceContext
  readonly #decoder: RecordDecoder<T>
  readonly #startByte: number
  #input: FileInput | undefined
  /** Bytes at hand, the first of them at `#base` in the file; those before `#from` are consumed. */
  #window: Buffer = Buffer.alloc(0)
  #base: number
  #from = 0
  /** The window holds no whole record any more. */
  #isExhausted = true
  /** The file ends with the window. */
  #isLast = false
  #atEnd = false
  #size: number | undefined
  #recordsGiven = 0

  constructor(settings: ReadSettings<T>, position: FilePosition, ctx: SourceContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#base = position.byte
    this.#startByte = position.byte
    const partition = settings.path
    this.#decoder = settings.decoder(position, (code, message, at, raw) => {
      ctx.reject({ code, message, partition, at, raw })
    })
  }

  async open(): Promise<void> {
    const { path, followMs } = this.#settings
    const { disk } = this.#ctx
    if (!(await disk.exists(path))) {
      if (followMs !== undefined && this.#startByte === 0) return
      throw missingError(path)
    }
    const start = this.#startByte
    const headBytes = Math.min(start, this.#decoder.headBytes ?? 0)
    if (headBytes > 0) {
      const head = await openInput(path, disk, 0, headBytes)
      this.#decoder.head?.((await head.read().finally(() => head.close())).subarray(0, headBytes))
    }
    this.#input = await openInput(path, disk, start, this.#settings.blockBytes)
    await this.#refreshSize()
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    if (!this.#isExhausted) {
      const batch = this.#decode(maxRows)
      if (batch !== undefined) return batch
    }
    return this.#isLast ? 'end' : this.#fill(maxRows)
  }

  lag(): number | undefined {
    if (this.#size === undefined) return undefined
    const done = this.#byte - this.#startByte
    const left = Math.max(0, this.#size - this.#byte)
    if (left === 0) return 0
    return this.#recordsGiven === 0 ? undefined : Math.ceil((left * this.#recordsGiven) / done)
  }

  progress(): number | undefined {
    if (this.#size === undefined) return undefined
    return this.#size === 0 ? 1 : Math.min(1, this.#byte / this.#size)
  }

  async close(): Promise<void> {
    const input = this.#input
    this.#input = undefined
    this.#isExhausted = true
    this.#isLast = true
    await input?.close()
  }

  /** The byte up to which everything was delivered. */
  get #byte(): number {
    return this.#base + this.#from - this.#decoder.skipped
  }

  async #fill(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    const block = await this.#nextBlock()
    const rest = this.#window.length - this.#from
    if (block.length > 0) {
      this.#base += this.#from
      this.#window = rest === 0 ? block : Buffer.concat([this.#window.subarray(this.#from), block])
      this.#from = 0
      this.#decoder.load(this.#window)
    } else if (this.#settings.followMs === undefined) {
      this.#isLast = true
      if (rest === 0 && this.#decoder.skipped === 0) return 'end'
    } else {
      return this.#batch({ rows: [], at: [] })
    }
    this.#isExhausted = false
    return this.#decode(maxRows) ?? this.#batch({ rows: [], at: [] })
  }

  /** Empty at the end. When following, waits a little for the file to grow before saying so. */
  async #nextBlock(): Promise<Buffer> {
    const { followMs } = this.#settings
    if (this.#input === undefined) await this.#appear()
    let block = await this.#input?.read()
    if (followMs !== undefined && (block === undefined || block.length === 0)) {
      await this.#refreshSize()
      await this.#ctx.wait(followMs)
      block = await this.#input?.read()
    }
    if (this.#input !== undefined && block !== undefined && block.length > 0) await this.#refreshSize()
    const seen = this.#base + this.#window.length + (block?.length ?? 0)
    this.#atEnd = block === undefined || block.length === 0 || (this.#size !== undefined && seen >= this.#size)
    return block ?? Buffer.alloc(0)
  }

  /** A followed file may be made after the flow has started. */
  async #appear(): Promise<void> {
    const { path, blockBytes } = this.#settings
    if (await this.#ctx.disk.exists(path)) this.#input = await openInput(path, this.#ctx.disk, 0, blockBytes)
  }

  async #refreshSize(): Promise<void> {
    this.#size = await this.#input?.size()
    const seen = this.#base + this.#window.length
    if (this.#size !== undefined && this.#size < seen) {
      const { path } = this.#settings
      throw new OperationalError('FILE_TRUNCATED', truncatedMessage(path, this.#size, seen), {
        data: { path, size: this.#size, position: seen },
      })
    }
  }

  /** The next rows of the window; undefined when there is no whole record in it and the position stays. */
  #decode(maxRows: number): SourceBatch<T> | undefined {
    const out: Decoded<T> = { rows: [], at: [] }
    const before = this.#byte
    this.#from = this.#decoder.decode(this.#from, maxRows, this.#isLast, out)
    if (out.rows.length < maxRows || this.#from === this.#window.length) this.#isExhausted = true
    return out.rows.length === 0 && this.#byte === before ? undefined : this.#batch(out)
  }

  #batch({ rows, at }: Decoded<T>): SourceBatch<T> {
    this.#recordsGiven += rows.length
    // What is left over is half a record of a followed file; of another one it still comes, as the last record.
    const isFollowed = this.#settings.followMs !== undefined
    return {
      rows,
      next: { byte: this.#byte, line: this.#decoder.line },
      caughtUp: this.#isExhausted && this.#atEnd && (isFollowed || this.#from === this.#window.length),
      at: (i) => at[i],
    }
  }
}

function filePosition(path: string, position: Position | undefined): FilePosition {
  if (position === undefined) return { byte: 0, line: 0 }
  const { byte, line } = (position ?? {}) as Partial<FilePosition>
  if (Number.isSafeInteger(byte) && Number.isSafeInteger(line) && (byte as number) >= 0)
    return { byte, line } as FilePosition
  throw new OperationalError(
    'FILE_POSITION',
    `file "${path}" cannot be opened at ${JSON.stringify(position)}: a position in a file is { byte, line }. It was written by another connector; start without the old state, or restore the step's old connector.`,
    { data: { path, position } },
  )
}
