import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { folderImages, parsePpm } from './images.ts'
import { resized } from './recognizer.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-images-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ppm = (...bytes: number[]): Uint8Array =>
  Buffer.concat([Buffer.from('P6\n# made here\n2 1\n255\n'), Buffer.from(bytes)])

describe('pictures of a folder', () => {
  it('come in the order of their names, and begin again after the last', async () => {
    writeFileSync(join(folder, 'b.ppm'), ppm(7, 8, 9, 10, 11, 12))
    writeFileSync(join(folder, 'a.ppm'), ppm(1, 2, 3, 4, 5, 6))
    writeFileSync(join(folder, 'notes.txt'), '')
    const images = await folderImages(folder)
    expect(await images(0, 1)).toEqual({
      name: 'a.ppm',
      width: 2,
      height: 1,
      pixels: Uint8Array.from([1, 2, 3, 4, 5, 6]),
    })
    expect((await images(1, 1)).name).toBe('b.ppm')
    expect((await images(2, 1)).name).toBe('a.ppm')
  })

  it('must be there', async () => {
    const empty = mkdtempSync(join(folder, 'empty-'))
    await expect(folderImages(empty)).rejects.toThrow('has no pictures')
  })

  it('that are cut off, or no PPM, are refused by name', () => {
    expect(() => parsePpm('a.ppm', ppm(1, 2, 3))).toThrow('a.ppm is no binary PPM')
    expect(() => parsePpm('a.ppm', Buffer.from('P3\n2 1\n255\n1 2 3 4 5 6'))).toThrow('a.ppm is no binary PPM')
  })
})

describe('resizing', () => {
  it('keeps an image of the same size, averages when it halves, and goes evenly between pixels when it doubles', () => {
    const image = { name: 'i', width: 2, height: 1, pixels: Uint8Array.from([0, 0, 0, 100, 100, 100]) }
    expect([...resized(image, 2, 1)]).toEqual([0, 0, 0, 100, 100, 100])
    expect([...resized(image, 1, 1)]).toEqual([50, 50, 50])
    expect([...resized(image, 4, 1)].filter((_, i) => i % 3 === 0)).toEqual([0, 25, 75, 100])
  })
})
