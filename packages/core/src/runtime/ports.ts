/**
 * Everything the engine takes from outside: time, randomness, scheduling, disk. Passed in, so that the simulator can
 * replace all of it. `node-ports.ts` holds the real ones; nothing else in the core touches Date, Math.random, timers
 * or node:fs.
 */
export interface Clock {
  /** Wall clock, ms since the epoch. May jump. */
  now(): number
  /** Monotonic, ms from an arbitrary start, fractions. For measuring. */
  monotonic(): number
}

export interface Scheduler {
  /** Calls `fn` once after about `ms`; returns a cancel function. */
  after(ms: number, fn: () => void): () => void
  /** Calls `fn` soon, after pending I/O callbacks had their turn. */
  soon(fn: () => void): void
}

export interface Random {
  /** 0 <= x < 1 */
  next(): number
}

/** Paths are plain strings with '/' separators. All errors are OperationalError with code DISK_* and the path. */
export interface Disk {
  /** Makes the folder and its parents; existing ones are fine. */
  makeFolder(path: string): Promise<void>
  /** Names in a folder, sorted; empty when it does not exist. */
  list(folder: string): Promise<string[]>
  exists(path: string): Promise<boolean>
  /** Whole file, or undefined when it does not exist. */
  read(path: string): Promise<Uint8Array | undefined>
  open(path: string, mode: OpenMode): Promise<DiskFile>
  /** Atomic within one folder tree; durable after `syncFolder` of the target's folder. */
  rename(from: string, to: string): Promise<void>
  /** Removes a file; a missing one is fine. */
  remove(path: string): Promise<void>
  removeFolder(path: string): Promise<void>
  /** Makes creations, renames and removals in the folder durable. */
  syncFolder(folder: string): Promise<void>
}

/**
 * 'read': must exist. 'append': made when missing, `append` writes at the end. 'create': made or emptied.
 * 'exclusive': made; fails with `DISK_EXISTS` when it exists, also for one of two that try at once.
 */
export type OpenMode = 'read' | 'append' | 'create' | 'exclusive'

export interface DiskFile {
  size(): Promise<number>
  /** Reads up to `length` bytes at `position`; shorter at the end. */
  read(position: number, length: number): Promise<Uint8Array>
  append(bytes: Uint8Array): Promise<void>
  truncate(size: number): Promise<void>
  /** Data and length durable. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** The processes of the machine: who holds a state folder, and does it still live? */
export interface Processes {
  readonly pid: number
  readonly host: string
  isAlive(pid: number): boolean
  /** Tells two processes apart that had the same pid: start time and boot. Undefined where unknown. */
  identity(pid: number): string | undefined
}

/** The ports together, as the runtime passes them on. */
export interface Ports {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly disk: Disk
  /** Default: those of the operating system. */
  readonly processes?: Processes
}
