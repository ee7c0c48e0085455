/** Images with real pixels: drawn from a seed, or files of a folder. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { findFfmpeg } from '@millrace/connectors/video'
import { randomOf } from '../random.ts'
import type { RgbImage } from './recognizer.ts'

/** Image by its number in the stream. */
export type Images = (index: number, seed: number) => RgbImage | Promise<RgbImage>

export const IMAGE_SIZES = [
  [224, 224],
  [256, 256],
  [299, 299],
] as const

/** A sky, a ground and a few bodies with shade and grain: edges and colours, nothing that means anything. */
export const drawnImage: Images = (index, seed) => {
  const random = randomOf(seed, 'image', index)
  const pick = (n: number): number => Math.floor(random.uniform() * n)
  const [width, height] = IMAGE_SIZES[pick(IMAGE_SIZES.length)]
  const pixels = new Uint8Array(width * height * 3)
  const sky = [pick(256), pick(256), pick(256)]
  const ground = [pick(256), pick(256), pick(256)]
  const horizon = height * (0.3 + 0.5 * random.uniform())
  const bodies = Array.from({ length: 3 + pick(6) }, () => ({
    x: random.uniform() * width,
    y: random.uniform() * height,
    half: width * (0.05 + 0.2 * random.uniform()),
    isRound: random.uniform() < 0.5,
    color: [pick(256), pick(256), pick(256)],
  }))
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let color = y < horizon ? sky : ground
      let shade = 0.6 + (0.4 * y) / height
      for (const body of bodies) {
        const dx = Math.abs(x - body.x)
        const dy = Math.abs(y - body.y)
        const isIn = body.isRound ? dx * dx + dy * dy < body.half * body.half : dx < body.half && dy < body.half
        if (isIn) {
          color = body.color
          shade = 1 - (0.5 * (dx + dy)) / (2 * body.half)
        }
      }
      const grain = ((x * 7 + y * 13 + index) % 11) - 5
      for (let c = 0; c < 3; c++) pixels[at++] = Math.max(0, Math.min(255, color[c] * shade + grain))
    }
  }
  return { name: `drawn_${seed}_${index}`, width, height, pixels }
}

const PICTURES = /\.(ppm|jpe?g|png|bmp|webp|gif|tiff?)$/i
const PICTURE_BYTES_MAX = 256 * 1024 * 1024

/** The pictures of a folder by name, again from the first after the last. All but `.ppm` are decoded by ffmpeg. */
export async function folderImages(folder: string): Promise<Images> {
  const names = (await readdir(folder)).filter((name) => PICTURES.test(name)).sort()
  if (names.length === 0)
    throw new Error(`${folder} has no pictures: files that end in .ppm, .jpg, .png, .bmp, .webp, .gif or .tif.`)
  return async (index) => {
    const name = names[index % names.length]
    return parsePpm(name, await readPicture(path.join(folder, name)))
  }
}

async function readPicture(file: string): Promise<Buffer> {
  if (/\.ppm$/i.test(file)) return readFile(file)
  const program = findFfmpeg()
  if (program === undefined)
    throw new Error(
      `${file} needs ffmpeg to decode it, and there is none. Install it, npm install @ffmpeg-installer/ffmpeg, or give .ppm files.`,
    )
  const args = ['-nostdin', '-hide_banner', '-loglevel', 'error', '-i', file, '-frames:v', '1']
  const { stdout } = await promisify(execFile)(program, [...args, '-f', 'image2pipe', '-c:v', 'ppm', 'pipe:1'], {
    encoding: 'buffer',
    maxBuffer: PICTURE_BYTES_MAX,
  })
  return stdout
}

/** Binary PPM with a byte per channel. */
export function parsePpm(name: string, file: Uint8Array): RgbImage {
  const head = Buffer.from(file.buffer, file.byteOffset, Math.min(file.byteLength, 4096)).toString('latin1')
  const found = /^P6(?:\s+#[^\n]*)*\s+(\d+)\s+(\d+)\s+255\s/.exec(head)
  const [width, height] = found === null ? [0, 0] : [Number(found[1]), Number(found[2])]
  const start = found === null ? 0 : found[0].length
  const size = width * height * 3
  if (size === 0 || file.byteLength < start + size)
    throw new Error(`${name} is no binary PPM of 8 bits, or is cut off.`)
  return { name, width, height, pixels: new Uint8Array(file.subarray(start, start + size)) }
}
