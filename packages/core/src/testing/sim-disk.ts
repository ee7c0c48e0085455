/**
 * A disk that forgets: what was written and not synced may be lost when power fails, in part or out of order.
 *
 * Invariants:
 *  D1  Content survives a power loss for certain only if `DiskFile.sync` resolved after it was written.
 *  D2  A name (creation, rename, removal) survives a power loss for certain only if `syncFolder` of its folder resolved
 *      after it changed; without that either state may be found. Renames are atomic. Changes of one name keep their order.
 *  D3  When a process is killed and the machine goes on, nothing written is lost.
 * Folders themselves are durable when made: journaling file systems commit them with the files inside.
 */
import { posix } from 'node:path'
import { SimInode } from './sim-inode.ts'
import type { SeededRandom } from './sim-random.ts'

/** A change of names: every path in it gets this inode, or none. Atomic. */
type NameChange = ReadonlyMap<string, SimInode | undefined>

export type CrashKind = 'power' | 'kill'

export class SimDisk {
  readonly #random: SeededRandom
  readonly #folders = new Set<string>()
  /** What the running system sees, and what the platter holds. */
  readonly #names = new Map<string, SimInode>()
  readonly #platterNames = new Map<string, SimInode>()
  #pending: NameChange[] = []

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** Every path with a file, sorted. */
  files(): string[] {
    return [...this.#names.keys()].sort()
  }

  inode(path: string): SimInode | undefined {
    return this.#names.get(normal(path))
  }

  /** Content of a file; undefined when it does not exist. */
  bytes(path: string): Uint8Array | undefined {
    const inode = this.inode(path)
    return inode?.read(0, inode.length)
  }

  /** Puts a durable file there, as a test's starting point. */
  put(path: string, content: Uint8Array | string): void {
    const inode = new SimInode(typeof content === 'string' ? new TextEncoder().encode(content) : content)
    const name = normal(path)
    this.makeFolder(posix.dirname(name))
    this.#names.set(name, inode)
    this.#platterNames.set(name, inode)
  }

  makeFolder(path: string): void {
    for (let folder = normal(path); !this.#folders.has(folder); folder = posix.dirname(folder))
      this.#folders.add(folder)
  }

  hasFolder(path: string): boolean {
    return this.#folders.has(normal(path))
  }

  list(folder: string): string[] {
    const prefix = withSlash(normal(folder))
    const names = new Set<string>()
    for (const path of [...this.#names.keys(), ...this.#folders]) {
      if (path.startsWith(prefix) && path.length > prefix.length) names.add(path.slice(prefix.length).split('/', 1)[0])
    }
    return [...names].sort()
  }

  create(path: string): SimInode {
    const inode = new SimInode()
    this.#change(new Map([[normal(path), inode]]))
    return inode
  }

  /** Renames a file, or a folder with everything in it. False when there is nothing to rename. */
  rename(from: string, to: string): boolean {
    const [source, target] = [normal(from), normal(to)]
    const inode = this.#names.get(source)
    if (inode !== undefined) {
      if (source !== target) {
        this.#change(
          new Map([
            [source, undefined],
            [target, inode],
          ]),
        )
      }
      return true
    }
    if (!this.#folders.has(source)) return false
    const moved = new Map<string, SimInode | undefined>()
    for (const [path, child] of this.#below(source)) {
      moved.set(path, undefined)
      moved.set(target + path.slice(source.length), child)
    }
    for (const folder of [...this.#folders]) {
      if (folder !== source && !folder.startsWith(withSlash(source))) continue
      this.#folders.delete(folder)
      this.makeFolder(target + folder.slice(source.length))
    }
    if (moved.size > 0) this.#change(moved)
    return true
  }

  remove(path: string): void {
    const name = normal(path)
    if (this.#names.has(name)) this.#change(new Map([[name, undefined]]))
  }

  removeFolder(path: string): void {
    const folder = normal(path)
    for (const [name] of this.#below(folder)) this.#change(new Map([[name, undefined]]))
    for (const other of [...this.#folders]) {
      if (other === folder || other.startsWith(withSlash(folder))) this.#folders.delete(other)
    }
  }

  /** Starts a sync of the names in a folder; what it returns ends it. */
  startSyncFolder(path: string): () => void {
    const folder = normal(path)
    const covered = this.#pending.filter((change) => foldersOf(change).has(folder))
    return () => {
      // A rename is one journal entry, durable in both folders, and so is everything its names went through before.
      const durable = new Set<NameChange>()
      for (const change of this.#pending.toReversed()) {
        if (covered.includes(change) || [...durable].some((later) => sharesName(change, later))) durable.add(change)
      }
      for (const change of this.#pending) if (durable.has(change)) applyNames(this.#platterNames, change)
      this.#pending = this.#pending.filter((change) => !durable.has(change))
    }
  }

  /** The disk as it is found after a crash; this one must not be used any more. */
  crash(kind: CrashKind): SimDisk {
    const after = new SimDisk(this.#random.fork(`crash ${this.#random.int(1e9)}`))
    for (const folder of this.#folders) after.#folders.add(folder)
    const names = kind === 'kill' ? this.#names : this.#namesAfterPowerLoss()
    const survivors = new Map<SimInode, SimInode>()
    for (const [name, inode] of names) {
      let survivor = survivors.get(inode)
      if (survivor === undefined) {
        survivor = kind === 'kill' ? inode.afterKill() : inode.afterPowerLoss(this.#random)
        survivors.set(inode, survivor)
      }
      after.makeFolder(posix.dirname(name))
      after.#names.set(name, survivor)
      if (kind === 'power') after.#platterNames.set(name, survivor)
    }
    if (kind === 'kill') {
      for (const [name, inode] of this.#platterNames)
        after.#platterNames.set(name, survivors.get(inode) ?? inode.afterKill())
      for (const change of this.#pending) {
        after.#pending.push(
          new Map([...change].map(([name, inode]) => [name, inode && (survivors.get(inode) ?? inode)])),
        )
      }
    }
    return after
  }

  /** Flips a bit in one file, by seed. Returns its path. */
  flipBit(isCandidate: (path: string) => boolean = () => true): string | undefined {
    const paths = this.files().filter((path) => isCandidate(path) && (this.inode(path) as SimInode).length > 0)
    if (paths.length === 0) return undefined
    const path = this.#random.pick(paths)
    const sound = this.inode(path) as SimInode
    const flipped = sound.withFlippedBit(this.#random)
    this.#names.set(path, flipped)
    this.#platterNames.set(path, flipped)
    this.#pending = this.#pending.map(
      (change) => new Map([...change].map(([name, inode]) => [name, inode === sound ? flipped : inode])),
    )
    return path
  }

  #below(folder: string): [string, SimInode][] {
    const prefix = withSlash(folder)
    return [...this.#names].filter(([name]) => name.startsWith(prefix))
  }

  #change(change: NameChange): void {
    applyNames(this.#names, change)
    this.#pending.push(change)
  }

  /** Either a prefix of the pending changes, or any subset in which no change comes without its predecessors. */
  #namesAfterPowerLoss(): Map<string, SimInode> {
    const names = new Map(this.#platterNames)
    const isPrefix = this.#random.chance(0.5)
    const prefix = this.#random.between(0, this.#pending.length)
    const lost: NameChange[] = []
    this.#pending.forEach((change, i) => {
      const survives = isPrefix ? i < prefix : this.#random.chance(0.5)
      if (!survives || lost.some((earlier) => sharesName(earlier, change))) lost.push(change)
      else applyNames(names, change)
    })
    return names
  }
}

function applyNames(names: Map<string, SimInode>, change: NameChange): void {
  for (const [name, inode] of change) {
    if (inode === undefined) names.delete(name)
    else names.set(name, inode)
  }
}

function foldersOf(change: NameChange): Set<string> {
  return new Set([...change.keys()].map((name) => posix.dirname(name)))
}

function sharesName(a: NameChange, b: NameChange): boolean {
  for (const name of b.keys()) if (a.has(name)) return true
  return false
}

function normal(path: string): string {
  const name = posix.normalize(path)
  return name.length > 1 && name.endsWith('/') ? name.slice(0, -1) : name
}

function withSlash(folder: string): string {
  return folder.endsWith('/') ? folder : `${folder}/`
}
