/** A disk that stops at one write: for checks that a start after a crash makes everything good. */
import type { Disk, DiskFile } from '../runtime/ports.ts'

export interface BreakingDisk {
  readonly disk: Disk
  /** True once a write was refused. */
  isBroken(): boolean
}

/**
 * Lets `allowed` writes through; half of the next one's bytes reach the disk, and it and all later ones fail. A write is
 * anything that changes the disk.
 */
export function breakingDisk(disk: Disk, allowed: number): BreakingDisk {
  let left = allowed
  let isBroken = false
  async function write(work: () => Promise<void>, torn?: () => Promise<void>): Promise<void> {
    if (left-- > 0) return work()
    if (!isBroken) await torn?.()
    isBroken = true
    throw new Error('the disk broke on purpose')
  }
  const wrap = (file: DiskFile): DiskFile => ({
    size: () => file.size(),
    read: (position, length) => file.read(position, length),
    append: (bytes) =>
      write(
        () => file.append(bytes),
        () => file.append(bytes.subarray(0, bytes.length >> 1)),
      ),
    truncate: (size) => write(() => file.truncate(size)),
    sync: () => write(() => file.sync()),
    close: () => file.close(),
  })
  return {
    isBroken: () => isBroken,
    disk: {
      ...disk,
      makeFolder: (path) => write(() => disk.makeFolder(path)),
      open: async (path, mode) => wrap(await disk.open(path, mode)),
      rename: (from, to) => write(() => disk.rename(from, to)),
      remove: (path) => write(() => disk.remove(path)),
      removeFolder: (path) => write(() => disk.removeFolder(path)),
      syncFolder: (folder) => write(() => disk.syncFolder(folder)),
    },
  }
}
