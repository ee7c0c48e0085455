/**
 * The disk port of one simulated process: operations on a `SimDisk` that take virtual time, fail and crash as told.
 *
 * Every operation that changes the disk passes a durable write site, named by what is done to which kind of file:
 * 'sync state/epoch-#.log'. Sites are counted, so that a run can say where it crashed how often.
 */
import { posix } from 'node:path'
import { OperationalError } from '../errors.ts'
import type { Disk, DiskFile, OpenMode } from '../runtime/ports.ts'
import type { CrashKind, SimDisk } from './sim-disk.ts'
import type { SimInode } from './sim-inode.ts'
import type { SeededRandom } from './sim-random.ts'
import type { SimProcess } from './sim-scheduler.ts'

export type WriteAction = 'create' | 'append' | 'truncate' | 'sync' | 'rename' | 'remove' | 'sync folder'

export interface DiskWrite {
  /** Number of this write among those of the process, from 0. */
  readonly number: number
  readonly action: WriteAction
  readonly path: string
  readonly site: string
}

export type DiskFault =
  /** The process dies before the write, in the middle of it, or after it and before it learns of it. */
  | { readonly type: 'crash'; readonly when: 'before' | 'during' | 'after'; readonly kind: CrashKind }
  /** No space: an append may have written a part. */
  | { readonly type: 'full' }
  /** The device reports an error. */
  | { readonly type: 'error' }
  | { readonly type: 'slow'; readonly ms: number }

export interface SimDiskPortOptions {
  readonly disk: SimDisk
  readonly process: SimProcess
  readonly random: SeededRandom
  /** Asked at every write. */
  readonly fault?: (write: DiskWrite) => DiskFault | undefined
  /** A crash fault struck; called once, inside the write. */
  readonly onCrash?: (kind: CrashKind, write: DiskWrite) => void
  /** Sees every write, for counting. */
  readonly onWrite?: (write: DiskWrite) => void
  /** True: operations take no time. */
  readonly isInstant?: boolean
  /** Part of paths that sites leave out. */
  readonly root?: string
}

/** Virtual milliseconds an operation takes, before faults. */
const latencyMs: Readonly<Record<WriteAction | 'look', readonly [least: number, most: number]>> = {
  look: [0.02, 0.3],
  create: [0.05, 0.4],
  append: [0.01, 0.3],
  truncate: [0.02, 0.3],
  sync: [0.3, 8],
  rename: [0.05, 0.4],
  remove: [0.05, 0.4],
  'sync folder': [0.2, 5],
}

export function simDiskPort(options: SimDiskPortOptions): Disk {
  return new SimDiskPort(options)
}

class SimDiskPort implements Disk {
  readonly #options: SimDiskPortOptions
  readonly #disk: SimDisk
  #writes = 0

  constructor(options: SimDiskPortOptions) {
    this.#options = options
    this.#disk = options.disk
  }

  makeFolder(path: string): Promise<void> {
    return this.look(`make folder ${path}`, () => this.#disk.makeFolder(path))
  }

  list(folder: string): Promise<string[]> {
    return this.look(`list ${folder}`, () => this.#disk.list(folder))
  }

  exists(path: string): Promise<boolean> {
    return this.look(`exists ${path}`, () => this.#disk.inode(path) !== undefined || this.#disk.hasFolder(path))
  }

  read(path: string): Promise<Uint8Array | undefined> {
    return this.look(`read ${path}`, () => this.#disk.bytes(path))
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const existing = this.#disk.inode(path)
    if (existing !== undefined && mode === 'exclusive')
      return this.fail(path, 'DISK_EXISTS', 'open', 'it exists already')
    if (existing !== undefined && mode !== 'create') return this.look(`open ${path}`, () => this.#file(path, existing))
    if (mode === 'read' || !this.#disk.hasFolder(posix.dirname(path))) {
      return this.fail(path, 'DISK_NOT_FOUND', 'open', 'there is no such file or folder')
    }
    return this.write('create', path, () => {
      if (existing !== undefined) existing.truncate(0)
      return this.#file(path, existing ?? this.#disk.create(path))
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.write('rename', to, () => {
      if (!this.#disk.rename(from, to))
        throw diskError('DISK_NOT_FOUND', 'rename', from, 'there is no such file or folder')
    })
  }

  remove(path: string): Promise<void> {
    return this.write('remove', path, () => this.#disk.remove(path))
  }

  removeFolder(path: string): Promise<void> {
    return this.write('remove', path, () => this.#disk.removeFolder(path))
  }

  syncFolder(folder: string): Promise<void> {
    let finish: (() => void) | undefined
    return this.write(
      'sync folder',
      folder,
      () => {
        finish = this.#disk.startSyncFolder(folder)
      },
      () => finish?.(),
    )
  }

  /** An operation that changes nothing durable. */
  look<T>(label: string, work: () => T): Promise<T> {
    return this.#later('look', label, 0, work)
  }

  fail(path: string, code: string, action: string, what: string): Promise<never> {
    return this.look(`${action} ${path}`, () => {
      throw diskError(code, action, path, what)
    })
  }

  /**
   * A durable write: `start` acts on what the running system sees, at once; `finish` makes it durable where the
   * operation promises that, just before its promise resolves. `partly` is what an interrupted one leaves.
   */
  write<T>(action: WriteAction, path: string, start: () => T, finish?: () => void, partly?: () => void): Promise<T> {
    const { process, fault, onCrash, onWrite } = this.#options
    if (!process.isAlive) return new Promise(() => {})
    const write: DiskWrite = { number: this.#writes++, action, path, site: this.#site(action, path) }
    onWrite?.(write)
    const struck = fault?.(write)
    const crash = (kind: CrashKind): Promise<T> => {
      process.kill()
      onCrash?.(kind, write)
      return new Promise(() => {})
    }
    if (struck?.type === 'crash' && struck.when !== 'after') {
      if (struck.when === 'during') {
        if (partly === undefined) start()
        else partly()
      }
      return crash(struck.kind)
    }
    if (struck?.type === 'full' && (action === 'append' || action === 'create')) {
      partly?.()
      return this.fail(path, 'DISK_FULL', action, 'the disk is full; free space and start again')
    }
    if (struck?.type === 'error') return this.fail(path, 'DISK_IO', action, 'EIO: i/o error')
    let result: T
    try {
      result = start()
    } catch (error) {
      return this.look(`${action} ${path}`, () => {
        throw error
      })
    }
    if (struck?.type === 'crash') {
      finish?.()
      return crash(struck.kind)
    }
    return this.#later(action, write.site, struck?.type === 'slow' ? struck.ms : 0, () => {
      finish?.()
      return result
    })
  }

  get random(): SeededRandom {
    return this.#options.random
  }

  #file(path: string, inode: SimInode): DiskFile {
    return new SimFile(this, path, inode)
  }

  #later<T>(kind: WriteAction | 'look', label: string, extraMs: number, work: () => T): Promise<T> {
    const [least, most] = latencyMs[kind]
    const usualMs = this.#options.isInstant === true ? 0 : least + this.#options.random.next() * (most - least)
    const delayMs = usualMs + extraMs
    return new Promise((resolve, reject) => {
      this.#options.process.schedule(delayMs, label, () => {
        try {
          resolve(work())
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #site(action: WriteAction, path: string): string {
    const { root } = this.#options
    const inside = root !== undefined && path.startsWith(root) ? path.slice(root.length) : path
    return `${action} ${inside.replace(/^\//, '').replace(/\d+/g, '#') || '.'}`
  }
}

class SimFile implements DiskFile {
  readonly #port: SimDiskPort
  readonly #path: string
  readonly #inode: SimInode
  #isClosed = false

  constructor(port: SimDiskPort, path: string, inode: SimInode) {
    this.#port = port
    this.#path = path
    this.#inode = inode
  }

  size(): Promise<number> {
    return this.#open() ?? this.#port.look(`size ${this.#path}`, () => this.#inode.length)
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#open() ?? this.#port.look(`read ${this.#path}`, () => this.#inode.read(position, length))
  }

  append(bytes: Uint8Array): Promise<void> {
    const partly = (): void => this.#inode.append(bytes.subarray(0, this.#port.random.int(bytes.length + 1)))
    return this.#open() ?? this.#port.write('append', this.#path, () => this.#inode.append(bytes), undefined, partly)
  }

  truncate(size: number): Promise<void> {
    return this.#open() ?? this.#port.write('truncate', this.#path, () => this.#inode.truncate(size))
  }

  sync(): Promise<void> {
    let finish: (() => void) | undefined
    return (
      this.#open() ??
      this.#port.write(
        'sync',
        this.#path,
        () => {
          finish = this.#inode.startSync()
        },
        () => finish?.(),
      )
    )
  }

  close(): Promise<void> {
    this.#isClosed = true
    return this.#port.look(`close ${this.#path}`, () => {})
  }

  #open(): Promise<never> | undefined {
    return this.#isClosed ? this.#port.fail(this.#path, 'DISK_IO', 'use', 'the file was closed before') : undefined
  }
}

function diskError(code: string, action: string, path: string, what: string): OperationalError {
  return new OperationalError(code, `cannot ${action} ${path}: ${what}.`, {
    retryable: code === 'DISK_FULL',
    data: { path, action },
  })
}
