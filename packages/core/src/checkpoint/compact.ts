/**
 * Keeps the chain of files short. Two ways, both beside the data path:
 *  - pack: many small logs become one by concatenation. Costs only their bytes, whatever the size of the state.
 *  - merge: base and logs become a new base. When the logs outweigh the base, so each byte is rewritten O(1) times on
 *    average. Holds the encoded state in memory while it runs.
 */
import type { Clock, Disk, Scheduler } from '../runtime/ports.ts'
import { type Evolution, RawStore } from '../state/raw-store.ts'
import { asCorrupt, type FileRef, FrameFile, FrameType, readChunks, readFrames } from './frames.ts'
import type { Manifest } from './manifest.ts'
import type { OnWrite } from './write-sites.ts'

const LOGS_MAX = 64
const MERGE_BYTES_MIN = 4 << 20
/** Work between two turns of the event loop. */
const SLICE_MS = 5
const sites = { create: 'base.create', append: 'base.write', sync: 'base.sync' } as const

export interface Compacted {
  readonly base: readonly FileRef[]
  readonly logs: readonly FileRef[]
  /** The chain of a manifest with the compacted files in place; undefined when it does not extend the one compacted. */
  replace(current: Manifest): { base: readonly FileRef[]; logs: readonly FileRef[] } | undefined
}

export interface CompactorOptions {
  readonly disk: Disk
  readonly folder: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly onWrite?: OnWrite
  /** Logs beyond which they are packed. Default 64. */
  readonly logsMax?: number
  /** Bytes of logs up to which a merge does not pay. Default 4 MiB. */
  readonly mergeBytesMin?: number
}

export class Compactor {
  readonly #options: CompactorOptions
  readonly #onWrite: OnWrite
  #number = 0
  #sliceStart = 0

  constructor(options: CompactorOptions) {
    this.#options = options
    this.#onWrite = options.onWrite ?? (() => {})
  }

  /** Numbers of images that exist are not used again. */
  skip(number: number): void {
    this.#number = Math.max(this.#number, number)
  }

  /** What is due for this manifest, done; undefined when nothing is. */
  run(manifest: Manifest): Promise<Compacted | undefined> {
    const { logsMax = LOGS_MAX, mergeBytesMin = MERGE_BYTES_MIN } = this.#options
    if (bytesOf(manifest.logs) > Math.max(mergeBytesMin, bytesOf(manifest.base))) return this.merge(manifest)
    if (manifest.logs.length > logsMax) return this.#pack(manifest)
    return Promise.resolve(undefined)
  }

  /** One image of all state of the manifest. */
  async merge(manifest: Manifest, evolution: Evolution = {}): Promise<Compacted> {
    const { disk, folder } = this.#options
    const store = new RawStore(evolution)
    this.#sliceStart = this.#options.clock.monotonic()
    for (const ref of [...manifest.base, ...manifest.logs]) {
      for await (const frame of readFrames(disk, folder, ref)) {
        if (frame.type !== FrameType.state) continue
        try {
          store.apply(frame.payload)
        } catch (error) {
          throw asCorrupt(folder, ref, error)
        }
        await this.#pause()
      }
    }
    const image = this.#file('img')
    return this.#finishOrAbort(image, async () => {
      for (const section of store.full()) {
        await image.add(FrameType.state, '', section)
        await this.#pause()
      }
      const base = image.isEmpty ? [] : [await this.#finish(image)]
      return compacted(base, [], manifest)
    })
  }

  async #pack(manifest: Manifest): Promise<Compacted> {
    const { disk, folder } = this.#options
    // Leading logs that are larger than all after them stay: packed ones grow like a counter's digits, and few remain.
    const logs = manifest.logs
    let rest = bytesOf(logs)
    let first = 0
    while (first < logs.length - 1 && logs[first].length > rest - logs[first].length) rest -= logs[first++].length
    const packed = this.#file('log')
    return this.#finishOrAbort(packed, async () => {
      for (let i = first; i < logs.length; i++) {
        for await (const bytes of readChunks(disk, folder, logs[i])) {
          await packed.addRaw(bytes)
          await this.#pause()
        }
      }
      return compacted(manifest.base, [...logs.slice(0, first), await this.#finish(packed)], manifest)
    })
  }

  #file(extension: string): FrameFile {
    const name = `base/${String(++this.#number).padStart(10, '0')}.${extension}`
    return new FrameFile(this.#options.disk, this.#options.folder, name, sites, this.#onWrite)
  }

  async #finish(file: FrameFile): Promise<FileRef> {
    const ref = await file.finish()
    await this.#onWrite('base.sync-folder')
    await this.#options.disk.syncFolder(`${this.#options.folder}/base`)
    return ref
  }

  async #finishOrAbort(file: FrameFile, work: () => Promise<Compacted>): Promise<Compacted> {
    try {
      return await work()
    } catch (error) {
      await file.abort().catch(() => {})
      throw error
    }
  }

  /** Gives the event loop a turn when the slice is used up. */
  #pause(): Promise<void> | undefined {
    if (this.#options.clock.monotonic() - this.#sliceStart < SLICE_MS) return undefined
    return new Promise((resolve) => {
      this.#options.scheduler.soon(() => {
        this.#sliceStart = this.#options.clock.monotonic()
        resolve()
      })
    })
  }
}

function compacted(base: readonly FileRef[], logs: readonly FileRef[], source: Manifest): Compacted {
  return {
    base,
    logs,
    replace(current) {
      const isPrefix =
        current.base.length === source.base.length &&
        source.base.every(({ file }, i) => current.base[i].file === file) &&
        source.logs.every(({ file }, i) => current.logs[i]?.file === file)
      return isPrefix ? { base, logs: [...logs, ...current.logs.slice(source.logs.length)] } : undefined
    },
  }
}

function bytesOf(files: readonly FileRef[]): number {
  return files.reduce((sum, { length }) => sum + length, 0)
}
