/**
 * The durable side of commits, in one folder, used by the supervisor alone (see lock.ts).
 *
 *   MANIFEST-<sequence>        decision records; the last three are kept
 *   savepoints/<name>          manifests that are never collected
 *   epochs/<epoch>-<worker>.log, .out    state changes and staged output of an epoch
 *   base/<sequence>.img, .log            merged images; small logs packed into one
 *
 * Invariants:
 *  M1  Every file a manifest names is durable, with its folder entry, before the manifest is.
 *  M2  The rename of the manifest is the decision: before it the epoch did not happen, after it it did.
 *  M3  A file that some kept manifest or savepoint names is never changed or removed.
 *  M4  Epoch numbers and file names are never used twice, so M3 holds after a return to an older manifest.
 *  M5  A folder with manifests is never taken for an empty one.
 */
import { KEY_GROUPS } from '../batch/key.ts'
import { invariant, messageOf, OperationalError, UsageError } from '../errors.ts'
import type { Disk } from '../runtime/ports.ts'
import { compareState } from '../state/identity.ts'
import { droppedName, type Evolution } from '../state/raw-store.ts'
import { type Compacted, Compactor, type CompactorOptions } from './compact.ts'
import { EPOCH_FOLDER, type EpochFiles, EpochLog } from './epoch-log.ts'
import { asCorrupt, type FileRef, FrameType, readFrames } from './frames.ts'
import { type Commit, decodeManifest, encodeManifest, filesOf, MANIFEST_FORMAT, type Manifest } from './manifest.ts'
import type { OnWrite, WriteSite } from './write-sites.ts'

const KEEP = 3
const SAVEPOINTS = 'savepoints'
export const BASE_FOLDER = 'base'

export interface CheckpointOptions extends CompactorOptions {
  readonly flow: string
}

export interface Opened {
  /** Undefined: nothing was ever committed here. */
  readonly manifest: Manifest | undefined
  /** Manifests that were skipped, and why. */
  readonly warnings: readonly string[]
}

export class CheckpointStore {
  readonly #options: CheckpointOptions
  readonly #disk: Disk
  readonly #folder: string
  readonly #onWrite: OnWrite
  readonly #compactor: Compactor
  #current: Manifest | undefined
  /** Manifest path -> files it names; the last KEEP manifests and all savepoints. */
  readonly #kept = new Map<string, readonly FileRef[]>()
  /** Files found at the start that nothing names: undecided epochs, unused images. */
  readonly #leftovers = new Set<string>()
  #sequence = 0
  #epochMax = 0
  #compacted: Compacted | undefined
  #compaction: Promise<void> | undefined
  #evolution: Evolution = {}
  /** True until the first commit after opening: only that one may change what state there is. */
  #isFirst = true

  constructor(options: CheckpointOptions) {
    this.#options = options
    this.#disk = options.disk
    this.#folder = options.folder
    this.#onWrite = options.onWrite ?? (() => {})
    this.#compactor = new Compactor(options)
  }

  /** First epoch number nobody has used. */
  get nextEpoch(): number {
    return this.#epochMax + 1
  }

  /** The last decision, or what was opened. */
  get current(): Manifest | undefined {
    return this.#current
  }

  /**
   * Finds the newest manifest that is whole and whose files are there, and continues from it.
   * @throws OperationalError `CHECKPOINT_CORRUPT` when there are manifests but none is usable, `CHECKPOINT_FORMAT`;
   *   UsageError `STATE_FOLDER` when the folder belongs to another flow
   */
  async openLatest(): Promise<Opened> {
    const { names } = await this.#prepare()
    const warnings: string[] = []
    for (const name of names.toReversed()) {
      const manifest = await this.#load(name, warnings)
      if (manifest === undefined) continue
      this.#current = manifest
      const saved =
        manifest.savepoint === undefined ? undefined : await this.#decode(`${SAVEPOINTS}/${manifest.savepoint}`)
      // A crash came between the decision and its savepoint.
      if (saved?.sequence !== manifest.sequence) await this.#writeSavepoint(manifest)
      return { manifest, warnings }
    }
    if (names.length > 0) {
      throw new OperationalError(
        'CHECKPOINT_CORRUPT',
        `no commit in ${this.#folder} can be used: ${warnings.join('; ')}. The flow does not start empty over lost state. Restore the folder from a copy, start from a savepoint, or name another state folder.`,
        { data: { folder: this.#folder, warnings } },
      )
    }
    return { manifest: undefined, warnings }
  }

  /** Continues from a savepoint. @throws UsageError `SAVEPOINT_UNKNOWN`; OperationalError `CHECKPOINT_CORRUPT` */
  async openSavepoint(name: string): Promise<Opened> {
    const { savepoints } = await this.#prepare()
    if (!savepoints.includes(name)) {
      throw new UsageError(
        'SAVEPOINT_UNKNOWN',
        `there is no savepoint "${name}" in ${this.#folder}; there ${savepoints.length === 0 ? 'are none' : `are: ${savepoints.join(', ')}`}.`,
        { data: { name, savepoints } },
      )
    }
    const warnings: string[] = []
    const manifest = await this.#load(`${SAVEPOINTS}/${name}`, warnings)
    if (manifest === undefined) {
      throw new OperationalError('CHECKPOINT_CORRUPT', `savepoint "${name}" cannot be used: ${warnings.join('; ')}.`)
    }
    this.#current = manifest
    return { manifest, warnings }
  }

  /** Makes what was opened the newest commit, as it is: after `openSavepoint`, before anything else goes back to it. */
  async adopt(): Promise<void> {
    const opened = this.#current
    if (opened === undefined) return
    const { savepoint: _, ...rest } = opened
    const manifest: Manifest = { ...rest, sequence: ++this.#sequence }
    const name = manifestName(manifest.sequence)
    await this.#writeManifest('manifest', name, manifest)
    this.#current = manifest
    this.#kept.set(name, filesOf(manifest))
  }

  /** Names of the savepoints, sorted. */
  async savepoints(): Promise<string[]> {
    return (await this.#disk.list(`${this.#folder}/${SAVEPOINTS}`)).filter((name) => !name.endsWith('.tmp'))
  }

  /** Removes a savepoint. That of the newest commit comes back at a restart, unless another commit followed. */
  async removeSavepoint(name: string): Promise<void> {
    checkSavepointName(name)
    await this.#onWrite('savepoint.remove')
    await this.#disk.remove(`${this.#folder}/${SAVEPOINTS}/${name}`)
    await this.#disk.syncFolder(`${this.#folder}/${SAVEPOINTS}`)
    this.#kept.delete(`${SAVEPOINTS}/${name}`)
  }

  /**
   * Decides an epoch whose logs are finished. The output of the epoch before must be published.
   * @throws OperationalError `COMMIT_UNKNOWN` when the disk failed at the decision itself: only a restart tells
   */
  async commit(commit: Commit, files: readonly EpochFiles[]): Promise<Manifest> {
    if (commit.savepoint !== undefined) checkSavepointName(commit.savepoint)
    await this.#takeOverState(commit)
    const ordered = [...files].sort((a, b) => a.worker - b.worker)
    const compacted = this.#compacted
    const chain = this.#chain()
    const sequence = this.#sequence + 1
    const manifest: Manifest = {
      ...commit,
      format: MANIFEST_FORMAT,
      flow: this.#options.flow,
      keyGroups: KEY_GROUPS,
      sequence,
      base: chain.base,
      logs: [...chain.logs, ...ordered.flatMap(({ state }) => state ?? [])],
      staged: ordered.flatMap(({ staged }) => staged ?? []),
    }
    this.#sequence = sequence
    const name = manifestName(sequence)
    await this.#writeManifest('manifest', name, manifest)
    this.#current = manifest
    // One that ended meanwhile is for the next commit.
    if (this.#compacted === compacted) this.#compacted = undefined
    this.#epochMax = Math.max(this.#epochMax, commit.epoch)
    this.#kept.set(name, filesOf(manifest))
    await this.#writeSavepoint(manifest)
    await this.collect()
    return manifest
  }

  /**
   * State sections of a manifest, in order, for one worker's `StateStore.apply`.
   * @throws OperationalError `CHECKPOINT_CORRUPT` naming file and offset
   */
  async readState(
    manifest: Manifest,
    apply: (section: Uint8Array, step: string) => void | Promise<void>,
  ): Promise<void> {
    await readState(this.#disk, this.#folder, manifest, apply)
  }

  /** The log of a worker's epoch. */
  epochLog(epoch: number, worker: number): EpochLog {
    return new EpochLog({ disk: this.#disk, folder: this.#folder, epoch, worker, onWrite: this.#onWrite })
  }

  /** Staged bytes of one sink in worker order, as they were given to `EpochLog.stage`. */
  async *staged(manifest: Manifest, sink: string): AsyncGenerator<Uint8Array> {
    if ((manifest.sinks[sink]?.bytes ?? 0) === 0) return
    for (const ref of manifest.staged) {
      for await (const frame of readFrames(this.#disk, this.#folder, ref)) {
        if (frame.type === FrameType.staged && frame.step === sink) yield frame.payload
      }
    }
  }

  /**
   * Merges files of the current manifest when there is reason to; the next commit refers to the result. Call it after a
   * commit, do not await it on the data path. One runs at a time; a failure leaves the chain as it is.
   */
  compact(): Promise<void> {
    const manifest = this.#current
    if (manifest === undefined || this.#compacted !== undefined) return Promise.resolve()
    this.#compaction ??= this.#compactor
      .run(manifest)
      .then((result) => {
        this.#compacted = result
      })
      .finally(() => {
        this.#compaction = undefined
      })
    return this.#compaction
  }

  /**
   * Says what the program renamed, and what of the stored state may be dropped. The first commit after opening rewrites
   * the files accordingly where they differ, so that neither has to be said again at later starts.
   */
  async evolve(evolution: Evolution): Promise<void> {
    this.#evolution = evolution
  }

  /** Removes manifests beyond the last three, and files that no kept manifest and nothing under way needs. */
  async collect(): Promise<void> {
    const numbered = [...this.#kept.keys()].filter((name) => name.startsWith('MANIFEST-')).sort()
    const old = numbered.slice(0, Math.max(0, numbered.length - KEEP))
    for (const name of old) {
      await this.#onWrite('collect.remove')
      await this.#disk.remove(`${this.#folder}/${name}`)
    }
    const candidates = new Set(old.flatMap((name) => this.#kept.get(name)?.map(({ file }) => file) ?? []))
    for (const file of this.#leftovers) candidates.add(file)
    this.#leftovers.clear()
    if (candidates.size === 0) {
      for (const name of old) this.#kept.delete(name)
      return
    }
    // The manifests must be gone for good before what they name goes (M3).
    if (old.length > 0) await this.#disk.syncFolder(this.#folder)
    for (const name of old) this.#kept.delete(name)
    const needed = new Set([...this.#kept.values()].flatMap((files) => files.map(({ file }) => file)))
    for (const { file } of this.#compacted === undefined ? [] : [...this.#compacted.base, ...this.#compacted.logs])
      needed.add(file)
    for (const file of candidates) {
      if (needed.has(file)) continue
      await this.#onWrite('collect.remove')
      await this.#disk.remove(`${this.#folder}/${file}`)
    }
  }

  /** Stored state leaves the manifest only at the first commit and as agreed, and then leaves the files too. */
  async #takeOverState(commit: Commit): Promise<void> {
    const current = this.#current
    const isFirst = this.#isFirst
    this.#isFirst = false
    if (current === undefined) return
    if (isFirst) {
      const allowed = Array.from(this.#evolution.dropped ?? [], ({ step }) => step)
      const { renames, dropped } = compareState(current.state, commit.state, this.#evolution.renames, allowed)
      if (renames.size === 0 && dropped.length === 0) return
      await this.#compaction?.catch(() => {})
      this.#compacted = await this.#compactor.merge(current, { renames, dropped })
      return
    }
    const declared = new Set(commit.state.map(({ step, table }) => droppedName(step, table)))
    for (const { step, table } of current.state) {
      invariant(
        declared.has(droppedName(step, table)),
        'STATE_LOST',
        `epoch ${commit.epoch} would leave out table "${table}" of step "${step}", which the last commit has.`,
        { step, table, epoch: commit.epoch },
      )
    }
  }

  /** Base and logs that the next manifest starts from: those of the last one, or their merged form. */
  #chain(): { base: readonly FileRef[]; logs: readonly FileRef[] } {
    const current = this.#current
    if (current === undefined) return { base: [], logs: [] }
    const merged = this.#compacted
    return merged?.replace(current) ?? current
  }

  async #prepare(): Promise<{ names: string[]; savepoints: string[] }> {
    await this.#compaction?.catch(() => {})
    this.#compacted = undefined
    this.#evolution = {}
    this.#isFirst = true
    this.#leftovers.clear()
    for (const name of [EPOCH_FOLDER, BASE_FOLDER, SAVEPOINTS]) await this.#disk.makeFolder(`${this.#folder}/${name}`)
    await this.#disk.syncFolder(this.#folder)
    const names = (await this.#disk.list(this.#folder)).filter((name) => /^MANIFEST-\d{10}$/.test(name))
    const savepoints = await this.savepoints()
    this.#kept.clear()
    this.#sequence = names.length === 0 ? 0 : Number(names[names.length - 1].slice(9))
    this.#epochMax = 0
    let hasUnreadable = false
    for (const name of [...names, ...savepoints.map((name) => `${SAVEPOINTS}/${name}`)]) {
      const manifest = await this.#decode(name)
      hasUnreadable ||= manifest === undefined
      this.#kept.set(name, manifest === undefined ? [] : filesOf(manifest))
      this.#epochMax = Math.max(this.#epochMax, manifest?.epoch ?? 0)
    }
    await this.#findLeftovers(hasUnreadable)
    await this.collect()
    return { names, savepoints }
  }

  async #findLeftovers(hasUnreadable: boolean): Promise<void> {
    const named = new Set([...this.#kept.values()].flatMap((files) => files.map(({ file }) => file)))
    for (const folder of [EPOCH_FOLDER, BASE_FOLDER]) {
      for (const name of await this.#disk.list(`${this.#folder}/${folder}`)) {
        const number = Number.parseInt(name, 10)
        if (folder === BASE_FOLDER) this.#compactor.skip(number)
        // While a manifest cannot be read, what it names is unknown: everything is kept.
        if (!hasUnreadable && !named.has(`${folder}/${name}`)) this.#leftovers.add(`${folder}/${name}`)
        else if (folder === EPOCH_FOLDER && number > this.#epochMax) this.#epochMax = number
      }
    }
  }

  async #decode(name: string): Promise<Manifest | undefined> {
    const bytes = await this.#disk.read(`${this.#folder}/${name}`)
    return bytes === undefined ? undefined : decodeManifest(bytes)
  }

  /** A usable manifest; otherwise says why not. */
  async #load(name: string, warnings: string[]): Promise<Manifest | undefined> {
    const manifest = await this.#decode(name)
    if (manifest === undefined) {
      warnings.push(`${name} is torn or damaged`)
      return undefined
    }
    if (manifest.flow !== this.#options.flow) {
      throw new UsageError(
        'STATE_FOLDER',
        `${this.#folder} holds the state of flow "${manifest.flow}", not of "${this.#options.flow}". Give each flow its own state folder.`,
        { data: { folder: this.#folder, flow: manifest.flow } },
      )
    }
    for (const ref of filesOf(manifest)) {
      const size = await this.#sizeOf(ref.file)
      if (size === ref.length) continue
      warnings.push(
        `${name} needs ${ref.file}, which ${size === undefined ? 'is missing' : `has ${size} bytes, not ${ref.length}`}`,
      )
      return undefined
    }
    return manifest
  }

  async #sizeOf(file: string): Promise<number | undefined> {
    const path = `${this.#folder}/${file}`
    if (!(await this.#disk.exists(path))) return undefined
    const opened = await this.#disk.open(path, 'read')
    try {
      return await opened.size()
    } finally {
      await opened.close()
    }
  }

  /** Writes the savepoint a manifest asks for, over one of the same name. */
  async #writeSavepoint(manifest: Manifest): Promise<void> {
    if (manifest.savepoint === undefined) return
    const name = `${SAVEPOINTS}/${manifest.savepoint}`
    await this.#writeManifest('savepoint', name, manifest)
    this.#kept.set(name, filesOf(manifest))
  }

  async #writeManifest(kind: 'manifest' | 'savepoint', name: string, manifest: Manifest): Promise<void> {
    const path = `${this.#folder}/${name}`
    const site = (action: 'write' | 'sync' | 'rename' | 'sync-folder'): WriteSite => `${kind}.${action}`
    const file = await this.#disk.open(`${path}.tmp`, 'create')
    try {
      await this.#onWrite(site('write'))
      await file.append(encodeManifest(manifest))
      await this.#onWrite(site('sync'))
      await file.sync()
    } finally {
      await file.close()
    }
    try {
      await this.#onWrite(site('rename'))
      await this.#disk.rename(`${path}.tmp`, path)
      await this.#onWrite(site('sync-folder'))
      await this.#disk.syncFolder(path.slice(0, path.lastIndexOf('/')))
    } catch (error) {
      throw new OperationalError(
        'COMMIT_UNKNOWN',
        `the disk failed while ${name} was decided (${messageOf(error)}), so whether epoch ${manifest.epoch} happened is unknown. The flow stops; a restart reads what the disk holds and continues from there.`,
        { cause: error, data: { epoch: manifest.epoch } },
      )
    }
  }
}

/** State sections of a manifest, for workers that have only the disk. @throws OperationalError `CHECKPOINT_CORRUPT` */
export async function readState(
  disk: Disk,
  folder: string,
  manifest: Manifest,
  apply: (section: Uint8Array, step: string) => void | Promise<void>,
): Promise<void> {
  for (const ref of [...manifest.base, ...manifest.logs]) {
    for await (const frame of readFrames(disk, folder, ref)) {
      if (frame.type !== FrameType.state) continue
      try {
        await apply(frame.payload, frame.step)
      } catch (error) {
        throw asCorrupt(folder, ref, error)
      }
    }
  }
}

function manifestName(sequence: number): string {
  return `MANIFEST-${String(sequence).padStart(10, '0')}`
}

/** @throws UsageError `SAVEPOINT_NAME` */
export function checkSavepointName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(name) && !name.endsWith('.tmp')) return
  throw new UsageError(
    'SAVEPOINT_NAME',
    `savepoint name ${JSON.stringify(name)} cannot be used; take 1 to 80 letters, digits, dots, dashes or underscores, starting with a letter or digit.`,
  )
}
