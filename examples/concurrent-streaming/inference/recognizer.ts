/**
 * What a model is to the example: a module whose default export makes a `Recognizer`. It runs in a thread of its own, so
 * its functions may take their time. A new model is such a module and an entry in config.ts.
 */
export interface RgbImage {
  readonly name: string
  readonly width: number
  readonly height: number
  /** Red, green and blue of every pixel, row by row. */
  readonly pixels: Uint8Array<ArrayBuffer>
}

export interface Scored {
  readonly class: string
  readonly class_id: number
  /** The model's own figure: a probability, or a detection's score. */
  readonly score: number
}

export interface Recognized {
  /** Distinct classes; the best of them are taken. */
  readonly scores: readonly Scored[]
  readonly preprocessingMs: number
  readonly inferenceMs: number
}

export interface RecognizerInfo {
  /** Its own name, whatever it was asked for as. */
  readonly name: string
  /** 'classification', 'object detection'... */
  readonly task: string
  /** Where it runs: 'cpu', 'cuda', 'wasm'... */
  readonly provider: string
  readonly classes: number
  /** Width and height. */
  readonly inputSize: readonly [number, number]
  readonly note?: string
}

export interface Recognizer {
  readonly info: RecognizerInfo
  recognize(image: RgbImage): Promise<Recognized> | Recognized
}

export type MakeRecognizer = (options: unknown) => Promise<Recognizer>

/**
 * The image at another size, bilinear, as floats 0..255 in the order of the pixels.
 * Pixel centres are aligned; O(width * height).
 */
export function resized({ pixels, width, height }: RgbImage, toWidth: number, toHeight: number): Float32Array {
  const out = new Float32Array(toWidth * toHeight * 3)
  for (let y = 0, at = 0; y < toHeight; y++) {
    const fromY = Math.min(height - 1, Math.max(0, ((y + 0.5) * height) / toHeight - 0.5))
    const top = Math.floor(fromY)
    const bottom = Math.min(height - 1, top + 1)
    const down = fromY - top
    for (let x = 0; x < toWidth; x++) {
      const fromX = Math.min(width - 1, Math.max(0, ((x + 0.5) * width) / toWidth - 0.5))
      const left = Math.floor(fromX)
      const right = Math.min(width - 1, left + 1)
      const along = fromX - left
      for (let c = 0; c < 3; c++, at++) {
        const upper = pixels[(top * width + left) * 3 + c] * (1 - along) + pixels[(top * width + right) * 3 + c] * along
        const lower =
          pixels[(bottom * width + left) * 3 + c] * (1 - along) + pixels[(bottom * width + right) * 3 + c] * along
        out[at] = upper * (1 - down) + lower * down
      }
    }
  }
  return out
}
