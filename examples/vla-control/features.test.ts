import { seededRandom } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { lampAt } from './camera.ts'
import { lookAt } from './features.ts'

const WIDTH = 320
const HEIGHT = 180

function frame(paint: (x: number, y: number) => number): Uint8Array {
  const pixels = new Uint8Array(WIDTH * HEIGHT * 3)
  for (let y = 0, p = 0; y < HEIGHT; y++)
    for (let x = 0; x < WIDTH; x++) for (let c = 0; c < 3; c++) pixels[p++] = paint(x, y)
  return pixels
}

const disc = (cx: number, cy: number, radius: number) => (x: number, y: number) =>
  (x - cx) ** 2 + (y - cy) ** 2 <= radius ** 2 ? 235 : 30
const look = (pixels: Uint8Array, before?: readonly number[]) => lookAt(pixels, WIDTH, HEIGHT, before)

describe('features of a frame', () => {
  test('a lamp in the dark is found where it is, with a confidence near 1', () => {
    for (const number of [0, 17, 100, 250]) {
      const lamp = lampAt(number)
      if (lamp === undefined) throw new Error('away')
      const { x, y, size, confidence } = look(frame(disc(lamp.x * WIDTH, lamp.y * HEIGHT, 14))).features
      expect(x).toBeCloseTo(lamp.x, 1)
      expect(Math.abs(x - lamp.x)).toBeLessThan(4 / WIDTH + 0.005)
      expect(Math.abs(y - lamp.y)).toBeLessThan(4 / HEIGHT + 0.005)
      expect(size).toBeCloseTo((Math.PI * 14 ** 2) / (WIDTH * HEIGHT), 2)
      expect(confidence).toBeGreaterThan(0.9)
    }
  })

  test('noise, an even surface, black, and two lamps apart give no confidence to act on', () => {
    const random = seededRandom(7)
    const noise = frame(() => random.next() * 255)
    const two = (x: number, y: number) => Math.max(disc(40, 90, 14)(x, y), disc(280, 90, 14)(x, y))
    for (const pixels of [noise, frame(() => 128), frame(() => 0), frame(() => 255), frame(two)]) {
      expect(look(pixels).features.confidence).toBeLessThan(0.5)
    }
  })

  test('single bright pixels are not a lamp', () => {
    expect(look(frame((x, y) => (x === 160 && y === 88 ? 255 : 30))).features.confidence).toBe(0)
  })

  test('motion is 0 for the first frame and for one like it, and the share of the range by which blocks changed', () => {
    const first = look(frame(() => 50))
    expect(first.features.motion).toBe(0)
    expect(
      look(
        frame(() => 50),
        first.blocks,
      ).features.motion,
    ).toBe(0)
    expect(
      look(
        frame(() => 101),
        first.blocks,
      ).features.motion,
    ).toBeCloseTo(0.2, 9)
  })

  test('colours are the shares of the quarters of red, green and blue', () => {
    const pixels = frame(() => 0)
    for (let p = 0; p < pixels.length; p += 3) pixels.set([10, 100, 250], p)
    expect(look(pixels).features.colours).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1])
  })

  test('everything lies in 0..1 for any picture, of any size', () => {
    const random = seededRandom(3)
    for (let n = 0; n < 50; n++) {
      const width = 1 + Math.floor(random.next() * 70)
      const height = 1 + Math.floor(random.next() * 50)
      const pixels = Uint8Array.from({ length: width * height * 3 }, () =>
        random.next() < 0.5 ? 0 : random.next() * 256,
      )
      const { features, blocks } = lookAt(pixels, width, height, undefined)
      const { x, y, size, confidence, motion, colours } = features
      for (const value of [x, y, size, confidence, motion, ...colours]) {
        expect(value).toBeGreaterThanOrEqual(0)
        expect(value).toBeLessThanOrEqual(1)
      }
      expect(blocks.length).toBe(16 * 9)
    }
  })
})
