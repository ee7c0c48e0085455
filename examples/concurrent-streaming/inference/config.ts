/** The models of the ML node. An entry more is a model more: batches, metrics, status and table row. */

export interface Model {
  /** Seconds per image of the simulation that stands in when nothing real can run under this name. */
  readonly simulatedSeconds: number
  readonly classes: number
  /** Width and height. */
  readonly inputSize: readonly [number, number]
  /** A recognizer of your own: a module of `recognizer.ts`'s kind, and what its default export is given. */
  readonly module?: string | URL
  readonly options?: unknown
}

export type Models = Readonly<Record<string, Model>>

const IMAGENET = { classes: 1000, inputSize: [224, 224] } as const

/** They run the user's ONNX files, else the packaged detector under its own name, else a simulation. */
export const MODELS: Models = {
  mobilenet_v2: { ...IMAGENET, simulatedSeconds: 0.05 },
  resnet50: { ...IMAGENET, simulatedSeconds: 0.08 },
  efficientnet_b0: { ...IMAGENET, simulatedSeconds: 0.06 },
}

/** Weights that come inside an npm package. */
export const PACKAGED = new URL('./centernet.ts', import.meta.url)

export const ONNX = new URL('./onnx.ts', import.meta.url)

export const INFERENCE_LIMITS = {
  batchSizeMax: 32,
  imagesMax: 100_000,
  delaySMax: 3_600,
  benchmarkSamplesMax: 1_000,
  /** Streams at once; more are refused with RESOURCE_EXHAUSTED. */
  streamsMax: 4,
}

/** Predictions of an image. */
export const TOP = 5
