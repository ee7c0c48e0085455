/**
 * Features of a frame, from its pixels. Plain computer vision, cheap enough for 30 frames of 1920 x 1080 a second beside
 * everything else (about a millisecond each): it finds one bright thing. It recognises nothing; a model belongs behind
 * the same function.
 *
 * Every fourth pixel of every fourth row is looked at, 129,600 of a 1920 x 1080 frame.
 *  - luma: (2 red + 5 green + blue) / 8.
 *  - peak: the luma that 1 sample in 1000 reaches, so that single noisy pixels do not count; mean: of all samples.
 *  - bright: samples above the middle between mean and peak. x, y: their centre. size: their share.
 *  - confidence: contrast times compactness. Contrast is (peak - mean) / 128, from 0 to 1. Compactness is the share of the
 *    bright samples within an eighth of the width of their centre. One bright thing on a darker ground gives nearly 1;
 *    noise, an even surface, or several lights apart give little.
 *  - motion: mean difference of the means of 16 x 9 blocks to those of the frame before, divided by 255; 0 for the first.
 */
import type { Features } from './records.ts'

const STEP = 4
const COLUMNS = 16
const ROWS = 9
const PEAK_SHARE = 0.001
const CONTRAST_FULL = 128
const NEAR = 1 / 8

export interface Look {
  readonly features: Features
  /** Mean luma of 16 x 9 blocks, from the top left: to be given with the next frame. */
  readonly blocks: readonly number[]
}

let lumas = new Uint8Array(0)

/**
 * @param pixels rows from the top, red, green, blue
 * @param before blocks of the frame before; undefined for the first
 */
export function lookAt(pixels: Uint8Array, width: number, height: number, before: readonly number[] | undefined): Look {
  const across = Math.ceil(width / STEP)
  const down = Math.ceil(height / STEP)
  const samples = across * down
  if (lumas.length < samples) lumas = new Uint8Array(samples)
  const histogram = new Uint32Array(256)
  const colours = new Uint32Array(12)
  const sums = new Float64Array(COLUMNS * ROWS)
  const counts = new Uint32Array(COLUMNS * ROWS)
  let total = 0
  for (let row = 0, s = 0; row < down; row++) {
    const blockRow = Math.floor((row * ROWS) / down) * COLUMNS
    for (let column = 0, p = row * STEP * width * 3; column < across; column++, p += STEP * 3, s++) {
      const red = pixels[p]
      const green = pixels[p + 1]
      const blue = pixels[p + 2]
      const luma = (2 * red + 5 * green + blue) >> 3
      lumas[s] = luma
      histogram[luma]++
      colours[red >> 6]++
      colours[4 + (green >> 6)]++
      colours[8 + (blue >> 6)]++
      const block = blockRow + Math.floor((column * COLUMNS) / across)
      sums[block] += luma
      counts[block]++
      total += luma
    }
  }
  const mean = total / samples
  const peak = peakOf(histogram, samples)
  const blob = brightest(across, down, (mean + peak) / 2)
  const blocks = Array.from(sums, (sum, b) => (counts[b] === 0 ? 0 : Math.round(sum / counts[b])))
  const contrast = Math.min(1, Math.max(0, (peak - mean) / CONTRAST_FULL))
  const features: Features = {
    x: blob.x / across,
    y: blob.y / down,
    size: blob.count / samples,
    confidence: contrast * blob.compactness,
    motion: before === undefined ? 0 : difference(blocks, before) / 255,
    colours: Array.from(colours, (count) => count / samples),
  }
  return { features, blocks }
}

function peakOf(histogram: Uint32Array, samples: number): number {
  let luma = 255
  for (let above = histogram[luma]; above < samples * PEAK_SHARE && luma > 0; above += histogram[luma]) luma--
  return luma
}

/** Centre, in samples, and number of the samples above a luma, and which share of them is near the centre. */
function brightest(across: number, down: number, above: number) {
  let count = 0
  let sumX = 0
  let sumY = 0
  for (let y = 0, s = 0; y < down; y++) {
    for (let x = 0; x < across; x++, s++) {
      if (lumas[s] <= above) continue
      count++
      sumX += x
      sumY += y
    }
  }
  if (count === 0) return { x: across / 2, y: down / 2, count, compactness: 0 }
  const x = sumX / count
  const y = sumY / count
  const reach = across * NEAR
  let near = 0
  for (let row = 0, s = 0; row < down; row++) {
    for (let column = 0; column < across; column++, s++) {
      if (lumas[s] > above && (column - x) ** 2 + (row - y) ** 2 <= reach ** 2) near++
    }
  }
  return { x, y, count, compactness: near / count }
}

function difference(a: readonly number[], b: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i])
  return sum / a.length
}
