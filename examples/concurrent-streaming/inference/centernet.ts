/**
 * A real detector whose weights come inside an npm package: MobileNetV3-CenterNet with the 80 classes of COCO, 4 MB, of
 * `@vladmandic/human` (MIT), run by TensorFlow.js on WebAssembly. It finds objects; the example takes the best score of
 * each class.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { COCO } from './coco.ts'
import { type Recognizer, type RgbImage, resized, type Scored } from './recognizer.ts'

const SIZE = 512

export default async function makeCenternet(): Promise<Recognizer> {
  const require = createRequire(import.meta.url)
  const tf = await import('@tensorflow/tfjs-core')
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter')
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm')
  setWasmPaths(`${path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}${path.sep}`)
  await tf.setBackend('wasm')
  await tf.ready()

  const folder = path.join(path.dirname(require.resolve('@vladmandic/human')), '..', 'models')
  const description = JSON.parse(await readFile(path.join(folder, 'centernet.json'), 'utf8'))
  const weights = new Uint8Array(await readFile(path.join(folder, 'centernet.bin')))
  const model = await loadGraphModel({
    load: async () => ({
      modelTopology: description.modelTopology,
      weightSpecs: description.weightsManifest.flatMap((group: { weights: [] }) => group.weights),
      weightData: weights.buffer,
    }),
  })

  const recognizer: Recognizer = {
    info: {
      name: 'centernet',
      task: 'object detection',
      provider: tf.getBackend(),
      classes: COCO.length,
      inputSize: [SIZE, SIZE],
    },
    async recognize(image) {
      const startMs = performance.now()
      const input = tf.tensor(resized(image, SIZE, SIZE), [1, SIZE, SIZE, 3])
      const readyMs = performance.now()
      const found = model.execute(input, ['tower_0/detections']) as typeof input
      const rows = await found.data()
      tf.dispose([input, found])
      return {
        scores: bestOfEachClass(rows),
        preprocessingMs: readyMs - startMs,
        inferenceMs: performance.now() - readyMs,
      }
    },
  }
  // The first run compiles and allocates.
  await recognizer.recognize(grey())
  return recognizer
}

/** Rows are x1, y1, x2, y2, score, class. */
function bestOfEachClass(rows: ArrayLike<number>): Scored[] {
  const best = new Map<number, number>()
  for (let at = 0; at < rows.length; at += 6) {
    const score = rows[at + 4]
    const id = rows[at + 5]
    if (score > (best.get(id) ?? 0)) best.set(id, score)
  }
  return [...best].map(([id, score]) => ({ class: COCO[id] ?? `class ${id}`, class_id: id, score }))
}

function grey(): RgbImage {
  return { name: 'grey', width: 8, height: 8, pixels: new Uint8Array(8 * 8 * 3).fill(128) }
}
