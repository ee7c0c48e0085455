import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nodeDisk } from './node-disk.ts'

describe('node disk', () => {
  const disk = nodeDisk()
  let root = ''
  beforeAll(async () => {
    root = await mkdtemp(`${tmpdir()}/millrace-disk-`)
  })
  afterAll(() => rm(root, { recursive: true, force: true }))

  test('appended bytes are read back by position, short at the end', async () => {
    const file = await disk.open(`${root}/a`, 'append')
    await file.append(Uint8Array.of(1, 2))
    await file.append(Uint8Array.of(3))
    await file.sync()
    expect(await file.size()).toBe(3)
    expect([...(await file.read(1, 10))]).toEqual([2, 3])
    await file.truncate(1)
    await file.append(Uint8Array.of(9))
    await file.close()
    expect([...((await disk.read(`${root}/a`)) ?? [])]).toEqual([1, 9])
  })

  test('create empties a file, and the writer of a new file may read it', async () => {
    const first = await disk.open(`${root}/b`, 'create')
    await first.append(Uint8Array.of(1, 2, 3))
    await first.close()
    const again = await disk.open(`${root}/b`, 'create')
    expect(await again.size()).toBe(0)
    await again.append(Uint8Array.of(7))
    expect([...(await again.read(0, 1))]).toEqual([7])
    await again.close()
  })

  test('exclusive makes a file once', async () => {
    const tries = await Promise.allSettled([1, 2, 3].map(() => disk.open(`${root}/lock`, 'exclusive')))
    const made = tries.filter((t) => t.status === 'fulfilled')
    expect(made).toHaveLength(1)
    for (const t of tries) {
      if (t.status === 'rejected')
        expect(t.reason).toMatchObject({ code: 'DISK_EXISTS', data: { path: `${root}/lock` } })
    }
    await made[0].value.close()
  })

  test('folders list sorted names, and a missing one is empty', async () => {
    await disk.makeFolder(`${root}/deep/er`)
    for (const name of ['b', 'a']) await (await disk.open(`${root}/deep/er/${name}`, 'create')).close()
    expect(await disk.list(`${root}/deep/er`)).toEqual(['a', 'b'])
    expect(await disk.list(`${root}/nowhere`)).toEqual([])
    await disk.rename(`${root}/deep/er/a`, `${root}/deep/er/c`)
    await disk.syncFolder(`${root}/deep/er`)
    await disk.remove(`${root}/deep/er/b`)
    await disk.remove(`${root}/deep/er/b`)
    expect(await disk.list(`${root}/deep/er`)).toEqual(['c'])
    await disk.removeFolder(`${root}/deep`)
    expect(await disk.exists(`${root}/deep`)).toBe(false)
  })

  test('what is missing is undefined to read and an error with the path to open', async () => {
    expect(await disk.read(`${root}/none`)).toBeUndefined()
    await expect(disk.open(`${root}/none`, 'read')).rejects.toMatchObject({ code: 'DISK_NOT_FOUND', retryable: false })
    await expect(disk.open(`${root}/none/x`, 'create')).rejects.toThrow(`${root}/none/x`)
    await expect(disk.read(root)).rejects.toMatchObject({ code: 'DISK_IS_FOLDER' })
  })

  test('a full disk is told as such', async () => {
    const full = await disk.open('/dev/full', 'append')
    await expect(full.append(Uint8Array.of(1))).rejects.toMatchObject({ code: 'DISK_FULL', retryable: true })
    await full.close()
  })
})
