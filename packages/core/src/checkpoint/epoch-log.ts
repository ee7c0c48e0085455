/**
 * What one worker writes for one epoch: staged sink bytes as they come, and at the barrier its state changes. Nothing in
 * it counts until a manifest names it.
 *
 * State and staged bytes are two files: state is read by restores until it is compacted, staged bytes are not needed
 * any more once published, and idle epochs write neither.
 */
import type { Disk } from '../runtime/ports.ts'
import { type FileRef, FrameFile, FrameType } from './frames.ts'
import type { OnWrite } from './write-sites.ts'

export const EPOCH_FOLDER = 'epochs'

/** What a worker's finished log is; plain data that crosses threads. */
export interface EpochFiles {
  readonly epoch: number
  readonly worker: number
  readonly state: FileRef | undefined
  readonly staged: FileRef | undefined
  /** Bytes staged per sink. */
  readonly stagedBytes: Readonly<Record<string, number>>
}

const sites = { create: 'epoch-log.create', append: 'epoch-log.append', sync: 'epoch-log.sync' } as const

export interface EpochLogOptions {
  readonly disk: Disk
  /** State folder; opening the store has made it. */
  readonly folder: string
  /** At least `CheckpointStore.nextEpoch`: a number is used once, whether it was decided or not. */
  readonly epoch: number
  readonly worker: number
  readonly onWrite?: OnWrite
}

export class EpochLog {
  readonly #options: EpochLogOptions
  readonly #onWrite: OnWrite
  readonly #state: FrameFile
  readonly #staged: FrameFile
  readonly #stagedBytes: Record<string, number> = {}

  constructor(options: EpochLogOptions) {
    const { disk, folder, epoch, worker } = options
    const name = `${EPOCH_FOLDER}/${String(epoch).padStart(10, '0')}-${worker}`
    this.#options = options
    this.#onWrite = options.onWrite ?? (() => {})
    this.#state = new FrameFile(disk, folder, `${name}.log`, sites, this.#onWrite)
    this.#staged = new FrameFile(disk, folder, `${name}.out`, sites, this.#onWrite)
  }

  /** Adds output of a sink. A promise means the buffer is full and is the back-pressure; `finish` reports failures too. */
  stage(sink: string, bytes: Uint8Array): Promise<void> | undefined {
    if (bytes.length === 0) return undefined
    this.#stagedBytes[sink] = (this.#stagedBytes[sink] ?? 0) + bytes.length
    return this.#staged.add(FrameType.staged, sink, bytes)
  }

  /** Adds a section from `StateStore.delta`; the promise is as for `stage`. */
  state(step: string, section: Uint8Array): Promise<void> | undefined {
    return this.#state.add(FrameType.state, step, section)
  }

  /** Makes all of it durable. Nothing may be added afterwards. */
  async finish(): Promise<EpochFiles> {
    const { disk, folder, epoch, worker } = this.#options
    const [state, staged] = await Promise.all(
      [this.#state, this.#staged].map((file) => (file.isEmpty ? undefined : file.finish())),
    )
    if (state !== undefined || staged !== undefined) {
      await this.#onWrite('epoch-log.sync-folder')
      await disk.syncFolder(`${folder}/${EPOCH_FOLDER}`)
    }
    return { epoch, worker, state, staged, stagedBytes: this.#stagedBytes }
  }

  /** Removes what was written. */
  async abort(): Promise<void> {
    await this.#onWrite('epoch-log.remove')
    await Promise.all([this.#state.abort(), this.#staged.abort()])
  }
}
