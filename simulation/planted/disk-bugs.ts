/** Mistakes in how the disk is used. */
import type { PlantedBug } from './bug.ts'
import { changed, changedFiles } from './decorate.ts'

export const skipLogSync: PlantedBug = {
  name: 'skip log sync',
  mistake: 'epoch logs are not synced before the manifest that names them',
  decorate: () => ({
    disk: (disk) => changedFiles(disk, (_, path) => (path.includes('/epochs/') ? { sync: async () => {} } : {})),
  }),
}

export const skipOutputSync: PlantedBug = {
  name: 'skip output sync',
  mistake: 'published output is not synced before the next epoch is decided',
  decorate: () => ({
    disk: (disk) => changedFiles(disk, (_, path) => (path.includes('/out/') ? { sync: async () => {} } : {})),
  }),
}

export const renameBeforeSync: PlantedBug = {
  name: 'rename before sync',
  mistake: 'the manifest is renamed before its content is synced',
  decorate: () => ({
    disk: (disk) => changedFiles(disk, (_, path) => (path.includes('MANIFEST') ? { sync: async () => {} } : {})),
  }),
}

export const skipFolderSync: PlantedBug = {
  name: 'skip folder sync',
  mistake: 'names are not made durable: no folder is ever synced',
  decorate: () => ({ disk: (disk) => changed(disk, { syncFolder: async () => {} }) }),
}

export const skipTruncate: PlantedBug = {
  name: 'skip truncate',
  mistake: 'what lies behind the committed length of an output is not cut off',
  decorate: () => ({
    disk: (disk) => changedFiles(disk, () => ({ truncate: async () => {} })),
  }),
}

export const ignoreFullDisk: PlantedBug = {
  name: 'ignore full disk',
  mistake: 'a write that found no space counts as done',
  decorate: () => ({
    disk: (disk) =>
      changedFiles(disk, (file) => ({
        append: (bytes) =>
          file.append(bytes).catch((error: unknown) => {
            if ((error as { code?: string }).code !== 'DISK_FULL') throw error
          }),
      })),
  }),
}

export const skipChecksum: PlantedBug = {
  name: 'skip checksum',
  mistake: 'a damaged manifest is believed: its checksum is made to fit',
  decorate: () => ({
    disk: (disk) =>
      changed(disk, {
        read: async (path) => {
          const bytes = await disk.read(path)
          return bytes === undefined || !/MANIFEST-\d+$/.test(path) ? bytes : withChecksum(bytes)
        },
      }),
  }),
}

/** A manifest is a line and a line with the crc32 of the first. */
function withChecksum(bytes: Uint8Array): Uint8Array {
  const line = bytes.subarray(0, bytes.indexOf(10) + 1)
  return Buffer.concat([line, Buffer.from(`${crc32(line).toString(16).padStart(8, '0')}\n`)])
}

function crc32(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}
