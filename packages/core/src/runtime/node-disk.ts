/**
 * The real Disk: node:fs/promises with errors that say what happened to which path.
 * Windows cannot open folders for fsync; there `syncFolder` does nothing, as NTFS journals names itself.
 */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { messageOf, OperationalError } from '../errors.ts'
import type { Disk, DiskFile, OpenMode } from './ports.ts'

/** @example await nodeDisk().exists('/no/such/file') // => false */
export function nodeDisk(): Disk {
  return disk
}

const disk: Disk = {
  makeFolder: (path) => run('make folder', path, async () => void (await mkdir(path, { recursive: true }))),

  list: (folder) =>
    run('list', folder, async () => (await unlessMissing(readdir(folder))) ?? []).then((names) => names.sort()),

  exists: (path) => run('look for', path, async () => (await unlessMissing(stat(path))) !== undefined),

  read: (path) =>
    run('read', path, async () => {
      const bytes = await unlessMissing(readFile(path))
      return bytes === undefined ? undefined : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }),

  open: (path, mode) => run('open', path, async () => new NodeFile(path, await open(path, flags[mode]))),

  rename: (from, to) => run('rename', from, () => rename(from, to)),

  remove: (path) => run('remove', path, () => rm(path, { force: true })),

  removeFolder: (path) => run('remove folder', path, () => rm(path, { force: true, recursive: true })),

  syncFolder: (folder) =>
    run('sync folder', folder, async () => {
      if (process.platform === 'win32') return
      const handle = await open(folder, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    }),
}

const flags: Readonly<Record<OpenMode, string>> = { read: 'r', append: 'a+', create: 'w+', exclusive: 'wx+' }

class NodeFile implements DiskFile {
  readonly #path: string
  readonly #handle: FileHandle

  constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  size(): Promise<number> {
    return run('measure', this.#path, async () => (await this.#handle.stat()).size)
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return run('read', this.#path, async () => {
      const bytes = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await this.#handle.read(bytes, filled, length - filled, position + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return bytes.subarray(0, filled)
    })
  }

  append(bytes: Uint8Array): Promise<void> {
    // FileHandle.appendFile goes on after short writes.
    return run('write', this.#path, () => this.#handle.appendFile(bytes))
  }

  truncate(size: number): Promise<void> {
    return run('truncate', this.#path, () => this.#handle.truncate(size))
  }

  sync(): Promise<void> {
    return run('sync', this.#path, () => this.#handle.datasync())
  }

  close(): Promise<void> {
    return run('close', this.#path, () => this.#handle.close())
  }
}

async function run<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw diskError(action, path, error)
  }
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

interface Kind {
  readonly code: string
  readonly what: string
  readonly retryable?: boolean
}

const kinds: Readonly<Record<string, Kind>> = {
  ENOSPC: { code: 'DISK_FULL', what: 'the disk is full; free space and start again', retryable: true },
  EDQUOT: { code: 'DISK_FULL', what: 'the quota is used up; free space and start again', retryable: true },
  ENOENT: { code: 'DISK_NOT_FOUND', what: 'there is no such file or folder' },
  EACCES: { code: 'DISK_PERMISSION', what: 'permission is denied; check the owner and mode of the path' },
  EPERM: { code: 'DISK_PERMISSION', what: 'the operation is not permitted; check the owner and mode of the path' },
  EROFS: { code: 'DISK_PERMISSION', what: 'the file system is read-only' },
  EEXIST: { code: 'DISK_EXISTS', what: 'it exists already' },
  EISDIR: { code: 'DISK_IS_FOLDER', what: 'it is a folder, not a file' },
  ENOTDIR: { code: 'DISK_NOT_FOLDER', what: 'a part of the path is a file, not a folder' },
  EMFILE: { code: 'DISK_FILES', what: 'too many files are open; raise the limit (ulimit -n)', retryable: true },
  ENFILE: { code: 'DISK_FILES', what: 'too many files are open on this machine', retryable: true },
}

function diskError(action: string, path: string, error: unknown): OperationalError {
  const errno = (error as NodeJS.ErrnoException).code
  const kind = (errno === undefined ? undefined : kinds[errno]) ?? { code: 'DISK_IO', what: messageOf(error) }
  return new OperationalError(kind.code, `cannot ${action} ${path}: ${kind.what}.`, {
    retryable: kind.retryable ?? false,
    data: { path, action, ...(errno === undefined ? {} : { errno }) },
    cause: error,
  })
}
