/**
 * Writes one file, exactly once: writers turn rows into bytes, the committer appends them after the commit's decision.
 *
 * Invariants:
 *  S1  The file holds exactly the committed bytes after every `publish`; whatever lies behind them is cut off.
 *  S2  `publish` is idempotent: bytes that are there and right stay, from the first difference on the file is written
 *      anew. So the committed part of the file never shrinks, also over a crash: somebody may be following it.
 *  S3  What was in the file before the first commit is never touched unless `existing` says so.
 */
import {
  type Batch,
  type Disk,
  type DiskFile,
  InvariantError,
  markedRow,
  messageOf,
  OperationalError,
  type Position,
  type SinkCommitter,
  type SinkContext,
  type SinkWriter,
  UsageError,
} from 'millrace/connector'

/** What a first start does with a file that is there and not empty. */
export type Existing = 'refuse' | 'append' | 'replace'

export interface WriteSettings<T> {
  readonly path: string
  readonly existing: Existing
  /** Written once, in front of the first rows, unless the file held something before. */
  readonly header: Uint8Array
  /** The bytes of one row, terminator included, as text (encoded as UTF-8) or bytes. Throws what is wrong with it. */
  readonly encode: (row: T) => string | Uint8Array
}

/** Committed length of the file, in bytes. */
export type FileState = { readonly length: number }

export class FileWriter<T> implements SinkWriter<T> {
  readonly #settings: WriteSettings<T>
  readonly #step: string

  constructor(settings: WriteSettings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#step = ctx.step
  }

  /** @throws OperationalError `RECORD_ENCODE` for a row that has no form in this format */
  write(batch: Batch<T>): Uint8Array {
    let text = ''
    let parts: Uint8Array[] | undefined
    for (let i = 0; i < batch.length; i++) {
      const encoded = this.#encode(batch, i)
      if (typeof encoded === 'string') text += encoded
      else if (parts === undefined) parts = [encoded]
      else parts.push(encoded)
    }
    return parts === undefined ? Buffer.from(text, 'utf8') : Buffer.concat(parts)
  }

  close(): void {}

  #encode(batch: Batch<T>, i: number): string | Uint8Array {
    try {
      return this.#settings.encode(markedRow(batch, i))
    } catch (thrown) {
      if (thrown instanceof UsageError) throw thrown
      const origin =
        batch.origin === undefined
          ? ''
          : ` (from ${batch.origin.source} ${batch.origin.partition}:${batch.origin.at(i)})`
      throw new OperationalError(
        'RECORD_ENCODE',
        `a row for "${this.#settings.path}"${origin} cannot be written: ${messageOf(thrown)}. Nothing of this epoch was published; map such rows to plain values before the sink.`,
        { step: this.#step, data: { path: this.#settings.path }, cause: thrown },
      )
    }
  }
}

export class FileCommitter implements SinkCommitter {
  readonly #path: string
  readonly #existing: Existing
  readonly #header: Uint8Array
  readonly #ctx: SinkContext
  readonly #disk: Disk
  #file: DiskFile | undefined
  /** Bytes the file held before the first commit; known once `restore` ran without a state. */
  #before = 0

  constructor(settings: Pick<WriteSettings<never>, 'path' | 'existing' | 'header'>, ctx: SinkContext) {
    this.#path = settings.path
    this.#existing = settings.existing
    this.#header = settings.header
    this.#ctx = ctx
    this.#disk = ctx.disk
  }

  /** @throws OperationalError `FILE_SHORTER`, `FILE_EXISTS` */
  async restore(state: Position | undefined, upTo?: Position): Promise<void> {
    if (state === undefined && upTo === undefined) {
      this.#before = await this.#takeOver()
      return
    }
    const least = state === undefined ? 0 : fileState(state).length
    const most = upTo === undefined ? least : fileState(upTo).length
    if (least === 0 && !(await this.#disk.exists(this.#path))) return
    const file = await this.#open()
    const size = await file.size()
    if (size < least) throw this.#shorter(size, least)
    const cut = await this.#cutTo(file, Math.min(size, most))
    if (cut > 0) this.#ctx.log('info', `cut ${cut} uncommitted bytes off "${this.#path}"`, { path: this.#path })
  }

  after(state: Position | undefined, stagedBytes: number): Position {
    const length = state === undefined ? this.#before : fileState(state).length
    const header = length === 0 && stagedBytes > 0 ? this.#header.length : 0
    return { length: length + header + stagedBytes }
  }

  async publish(from: Position | undefined, to: Position, staged: AsyncIterable<Uint8Array>): Promise<void> {
    let length = from === undefined ? this.#before : fileState(from).length
    const end = fileState(to).length
    if (length === end) return
    const file = await this.#open()
    let size = await file.size()
    if (size < length) throw this.#shorter(size, length)
    // After a crash part of the bytes may be there. Readers have seen them, so they stay as far as they are right.
    const put = async (bytes: Uint8Array): Promise<void> => {
      if (!(await holds(file, length, size, bytes))) {
        await this.#cutTo(file, length)
        await file.append(bytes)
        size = length + bytes.length
      }
      length += bytes.length
    }
    if (length === 0 && this.#header.length > 0) await put(this.#header)
    for await (const bytes of staged) if (bytes.length > 0) await put(bytes)
    await this.#cutTo(file, length)
    await file.sync()
    if (length !== end) {
      throw new InvariantError(
        'FILE_LENGTH',
        `"${this.#path}" has ${length} bytes after a publish that ends at ${end}.`,
      )
    }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  /** First start: what to do with a file that is there. Returns the bytes of it that stay. */
  async #takeOver(): Promise<number> {
    if (!(await this.#disk.exists(this.#path))) return 0
    const file = await this.#open()
    const size = await file.size()
    if (size === 0 || this.#existing === 'append') return size
    if (this.#existing === 'replace') {
      await file.truncate(0)
      await file.sync()
      return 0
    }
    await this.close()
    throw new OperationalError(
      'FILE_EXISTS',
      `"${this.#path}" holds ${size} bytes that the flow "${this.#ctx.flow}" did not write, or wrote under state that is gone. Nothing was changed. Move the file away, or give the sink { existing: 'append' } or { existing: 'replace' }.`,
      { step: this.#ctx.step, data: { path: this.#path, size } },
    )
  }

  /** Cuts off what lies behind `length`; returns how much that was. */
  async #cutTo(file: DiskFile, length: number): Promise<number> {
    const size = await file.size()
    if (size > length) {
      await file.truncate(length)
      await file.sync()
    }
    return size - length
  }

  #shorter(size: number, committed: number): OperationalError {
    return new OperationalError(
      'FILE_SHORTER',
      `"${this.#path}" has ${size} bytes, but ${committed} were committed to it: it was cut off, replaced or removed, and what is missing cannot be written again. Put the file back, or start without the old state.`,
      { step: this.#ctx.step, data: { path: this.#path, size, committed } },
    )
  }

  async #open(): Promise<DiskFile> {
    if (this.#file !== undefined) return this.#file
    const folder = folderOf(this.#path)
    await makeFolders(this.#disk, folder)
    this.#file = await this.#disk.open(this.#path, 'append')
    // Also for a file that is there: a process that died after making it may not have come to this line.
    await this.#disk.syncFolder(folder)
    return this.#file
  }
}

/** Does a file of `size` bytes hold exactly these bytes at `position`? */
async function holds(file: DiskFile, position: number, size: number, bytes: Uint8Array): Promise<boolean> {
  if (position + bytes.length > size) return false
  return Buffer.compare(await file.read(position, bytes.length), bytes) === 0
}

/** Makes a folder and its parents, durably. */
async function makeFolders(disk: Disk, folder: string): Promise<void> {
  if (folder === '.' || folder === '/' || (await disk.exists(folder))) return
  const parent = folderOf(folder)
  await makeFolders(disk, parent)
  await disk.makeFolder(folder)
  await disk.syncFolder(parent)
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash === -1 ? '.' : slash === 0 ? '/' : path.slice(0, slash)
}

function fileState(state: Position): FileState {
  const length = (state as { length?: unknown } | null)?.length
  if (typeof length === 'number' && Number.isSafeInteger(length) && length >= 0) return { length }
  throw new OperationalError(
    'FILE_POSITION',
    `the committed state of a file is ${JSON.stringify(state)}; it must be { length }. It was written by another sink: start without the old state.`,
    { data: { state } },
  )
}
