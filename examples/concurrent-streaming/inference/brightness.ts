/** The smallest recognizer there can be: how bright an image is, as five classes. Begin here with a model of your own. */
import { type Recognizer, resized } from './recognizer.ts'

const CLASSES = ['black', 'dark', 'grey', 'light', 'white']

export default async function makeBrightness(): Promise<Recognizer> {
  return {
    info: { name: 'brightness', task: 'classification', provider: 'cpu', classes: CLASSES.length, inputSize: [16, 16] },
    recognize(image) {
      const startMs = performance.now()
      const pixels = resized(image, 16, 16)
      const readyMs = performance.now()
      const brightness = pixels.reduce((sum, each) => sum + each, 0) / pixels.length / 255
      const powers = CLASSES.map((_, id) => Math.exp(-20 * (brightness - (id + 0.5) / CLASSES.length) ** 2))
      const total = powers.reduce((sum, each) => sum + each, 0)
      return {
        scores: powers.map((each, id) => ({ class: CLASSES[id], class_id: id, score: each / total })),
        preprocessingMs: readyMs - startMs,
        inferenceMs: performance.now() - readyMs,
      }
    },
  }
}
