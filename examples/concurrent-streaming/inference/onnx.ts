/**
 * A classifier of the user's as an ONNX file, run by `onnxruntime-node`: on a GPU where its provider loads, else on the
 * CPU. The package is 290 MB, so it is not installed by default; whoever names a file is told how to add it.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Recognizer, resized, type Scored } from './recognizer.ts'

export interface OnnxOptions {
  readonly name: string
  readonly path: string
  /** A file with a class per line. Default: the model's path with `.txt`, when there is one; else `class <id>`. */
  readonly labels?: string
  /** Default: of ImageNet, on pixels 0..1. */
  readonly mean?: readonly [number, number, number]
  readonly std?: readonly [number, number, number]
}

/** The part of `onnxruntime-node` that is used. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(path: string, options: { readonly executionProviders: readonly string[] }): Promise<OnnxSession>
  }
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OnnxTensor
  listSupportedBackends?(): readonly { readonly name: string }[]
}

interface OnnxSession {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  readonly inputMetadata?: readonly { readonly shape?: readonly (number | string)[] }[]
  run(feeds: Record<string, OnnxTensor>): Promise<Readonly<Record<string, OnnxTensor>>>
}

interface OnnxTensor {
  readonly data: ArrayLike<number>
  readonly dims: readonly number[]
}

/** Providers that need a GPU; the first that loads is taken. */
const GPU_PROVIDERS = ['cuda', 'dml', 'coreml']
const SIDE = 224
const MEAN = [0.485, 0.456, 0.406] as const
const STD = [0.229, 0.224, 0.225] as const

export default async function makeOnnx(options: unknown): Promise<Recognizer> {
  const { name, path: file, labels, mean = MEAN, std = STD } = options as OnnxOptions
  if (!existsSync(file)) throw new Error(`the model ${name} is to be read from ${file}, which is not there.`)
  const onnx = await loadRuntime(file)
  const { session, provider, note } = await openSession(onnx, file)
  const layout = layoutOf(session)
  const names = labelsOf(file, labels)

  const recognize: Recognizer['recognize'] = async (image) => {
    const startMs = performance.now()
    const input = normalized(resized(image, layout.width, layout.height), layout, mean, std)
    const readyMs = performance.now()
    const outputs = await session.run({ [session.inputNames[0]]: new onnx.Tensor('float32', input, layout.dims) })
    const { data } = outputs[session.outputNames[0]]
    return {
      scores: scoresOf(Array.from(data), names),
      preprocessingMs: readyMs - startMs,
      inferenceMs: performance.now() - readyMs,
    }
  }
  // The first run allocates, and tells how many classes there are.
  const pixels = new Uint8Array(8 * 8 * 3).fill(128)
  const { scores } = await recognize({ name: 'grey', width: 8, height: 8, pixels })
  return {
    info: {
      name,
      task: 'classification',
      provider,
      classes: scores.length,
      inputSize: [layout.width, layout.height],
      ...(note === undefined ? {} : { note }),
    },
    recognize,
  }
}

/** From the example's packages, or from where the command was given. */
async function loadRuntime(file: string): Promise<OnnxRuntime> {
  for (const from of [import.meta.url, pathToFileURL(path.join(process.cwd(), 'package.json'))]) {
    try {
      const found = createRequire(from).resolve('onnxruntime-node')
      const module = (await import(pathToFileURL(found).href)) as OnnxRuntime & { readonly default?: OnnxRuntime }
      return module.default ?? module
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new Error(
    `${file} needs onnxruntime-node, which is not installed. Add it with: npm install --no-save --ignore-scripts onnxruntime-node (290 MB; without its script it runs on the CPU).`,
  )
}

async function openSession(onnx: OnnxRuntime, file: string) {
  const listed = (onnx.listSupportedBackends?.() ?? []).map(({ name }) => name)
  let note: string | undefined
  for (const provider of GPU_PROVIDERS.filter((each) => listed.includes(each))) {
    try {
      return { session: await onnx.InferenceSession.create(file, { executionProviders: [provider] }), provider, note }
    } catch (error) {
      note = `not on ${provider}: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]}`
    }
  }
  return { session: await onnx.InferenceSession.create(file, { executionProviders: ['cpu'] }), provider: 'cpu', note }
}

interface Layout {
  readonly width: number
  readonly height: number
  readonly dims: readonly number[]
  /** Channels last, as in files that came from TensorFlow. */
  readonly isInterleaved: boolean
}

function layoutOf({ inputMetadata }: OnnxSession): Layout {
  const shape = inputMetadata?.[0]?.shape ?? []
  const size = (at: number): number => (typeof shape[at] === 'number' && shape[at] > 0 ? shape[at] : SIDE)
  const isInterleaved = shape[3] === 3
  const [height, width] = isInterleaved ? [size(1), size(2)] : [size(2), size(3)]
  return { width, height, isInterleaved, dims: isInterleaved ? [1, height, width, 3] : [1, 3, height, width] }
}

/** Pixels 0..1 less the mean, by the standard deviation, of each channel. */
export function normalized(
  pixels: Float32Array,
  { width, height, isInterleaved }: Pick<Layout, 'width' | 'height' | 'isInterleaved'>,
  mean: readonly number[],
  std: readonly number[],
): Float32Array {
  const size = width * height
  const out = new Float32Array(size * 3)
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      out[isInterleaved ? i * 3 + c : c * size + i] = (pixels[i * 3 + c] / 255 - mean[c]) / std[c]
    }
  }
  return out
}

/** Probabilities as they are; what is none is made one by softmax. */
export function scoresOf(outputs: readonly number[], names: readonly string[]): Scored[] {
  const total = outputs.reduce((sum, each) => sum + each, 0)
  const isProbability = Math.abs(total - 1) < 1e-3 && outputs.every((each) => each >= 0)
  const largest = outputs.reduce((most, each) => Math.max(most, each), Number.NEGATIVE_INFINITY)
  const powers = isProbability ? outputs : outputs.map((each) => Math.exp(each - largest))
  const sum = powers.reduce((all, each) => all + each, 0)
  return powers.map((each, id) => ({ class: names[id] ?? `class ${id}`, class_id: id, score: each / sum }))
}

function labelsOf(file: string, labels: string | undefined): readonly string[] {
  const beside = `${file}.txt`
  const from = labels ?? (existsSync(beside) ? beside : undefined)
  return from === undefined ? [] : readFileSync(from, 'utf8').trimEnd().split(/\r?\n/)
}
