/** The inference stream: images in batches through one model, a record a batch, and a final one. */
import { Arguments, refused } from '../arguments.ts'
import { localIso, type Timeline } from '../clock.ts'
import { roundEven } from '../numbers.ts'
import type { Classification, ImageInfo, ImageResult, InferenceRecord, ModelInfo, Prediction } from '../records.ts'
import { TOP } from './config.ts'
import type { Images } from './images.ts'
import { type LoadedModel, randomOfImage } from './models.ts'
import type { Recognized, RgbImage } from './recognizer.ts'

/** What a caller sends; every field may be left out. Fields in snake_case are accepted too. */
export interface InferenceInput {
  /** Default 'mobilenet_v2'. */
  readonly modelName?: string
  /** Default 1. */
  readonly batchSize?: number
  /** Default 10. */
  readonly numImages?: number
  /** Seconds between batches. Default 0.1. */
  readonly delay?: number
  /** Makes drawn images and simulated predictions repeatable. Default: by chance. */
  readonly seed?: number
}

export interface InferenceConfig {
  readonly modelName: string
  readonly batchSize: number
  readonly numImages: number
  readonly delayMs: number
  readonly seed: number | undefined
}

export interface InferenceLimits {
  readonly batchSizeMax: number
  readonly imagesMax: number
  readonly delaySMax: number
}

const INPUT = ['modelName', 'batchSize', 'numImages', 'delay', 'seed']

/** @throws RemoteError `INVALID_ARGUMENT` */
export function inferenceConfig(
  input: InferenceInput | undefined,
  models: readonly string[],
  limits: InferenceLimits,
): InferenceConfig {
  const given = new Arguments(input, INPUT)
  const modelName = given.text('modelName', 'mobilenet_v2')
  if (!models.includes(modelName))
    throw refused('modelName', `there is no model "${modelName}". There are ${models.join(', ')}.`)
  return {
    modelName,
    batchSize: given.number('batchSize', 1, { min: 1, max: limits.batchSizeMax, whole: true }),
    numImages: given.number('numImages', 10, { min: 0, max: limits.imagesMax, whole: true }),
    delayMs: given.number('delay', 0.1, { min: 0, max: limits.delaySMax }) * 1000,
    seed: given.maybe('seed') === undefined ? undefined : given.number('seed', 0, { whole: true }),
  }
}

export interface InferenceStreamOptions {
  readonly model: LoadedModel
  readonly images: Images
  readonly seed: number
  readonly timeline: Timeline
  /** ms since 1970. */
  readonly epoch: () => number
  readonly node: string
  readonly signal: AbortSignal | undefined
  /** After each image. */
  readonly onInference: () => void
}

/** Ends with an error record and the error when the model or an image fails. */
export async function* inferenceStream(
  config: InferenceConfig,
  options: InferenceStreamOptions,
): AsyncGenerator<InferenceRecord> {
  const { model, timeline, epoch, node, signal } = options
  const { batchSize, numImages, delayMs } = config
  const simulated = model.runner === 'simulated' ? { simulated: true as const } : {}
  const startMs = timeline.now()
  let done = 0
  try {
    for (let batch = 1; done < numImages; batch++) {
      if (batch > 1) await timeline.wait(delayMs)
      const results: ImageResult[] = []
      const batchStartMs = timeline.now()
      while (results.length < batchSize && done + results.length < numImages) {
        signal?.throwIfAborted()
        results.push(await resultOf(done + results.length, options))
      }
      done += results.length
      const nowMs = timeline.now()
      const overall = rate(done, nowMs - startMs)
      yield {
        batch_id: `batch_${String(batch).padStart(3, '0')}`,
        batch_size: results.length,
        batch_time: roundEven((nowMs - batchStartMs) / 1000, 4),
        throughput: roundEven(rate(results.length, nowMs - batchStartMs), 2),
        total_processed: done,
        progress: roundEven((100 * done) / numImages, 1),
        results,
        model_info: modelInfo(config, model, done),
        node_id: node,
        status: 'processing',
        overall_throughput: roundEven(overall, 2),
        estimated_completion: overall === 0 ? 0 : roundEven((numImages - done) / overall, 1),
        ...simulated,
      }
    }
    const tookMs = timeline.now() - startMs
    yield {
      batch_id: 'final',
      status: 'completed',
      total_processed: done,
      total_time: roundEven(tookMs / 1000, 2),
      overall_throughput: roundEven(rate(done, tookMs), 2),
      model_info: modelInfo(config, model, done),
      node_id: node,
      ...simulated,
    }
  } catch (error) {
    if (signal?.aborted === true) return
    yield {
      batch_id: 'error',
      status: 'error',
      error: error instanceof Error ? error.message : String(error),
      total_processed: done,
      node_id: node,
      timestamp: localIso(epoch()),
      ...simulated,
    }
    throw error
  }
}

async function resultOf(
  index: number,
  { model, images, seed, timeline, epoch, onInference }: InferenceStreamOptions,
): Promise<ImageResult> {
  const image = await images(index, seed)
  // The pixels go to the model's thread.
  const image_info = imageInfo(image)
  const recognized = await model.recognize(image, timeline, randomOfImage(seed, index))
  onInference()
  return {
    image_id: `img_${String(index).padStart(4, '0')}`,
    image_info,
    classification: classificationOf(recognized, model),
    timestamp: localIso(epoch()),
  }
}

function imageInfo({ name, width, height }: RgbImage): ImageInfo {
  return { width, height, channels: 3, format: 'RGB', size_bytes: width * height * 3, data: name }
}

/** The five best classes, with their shares of what the five have together. */
export function classificationOf(
  { scores, inferenceMs, preprocessingMs }: Recognized,
  model: LoadedModel,
): Classification {
  const best = [...scores].sort((a, b) => b.score - a.score).slice(0, TOP)
  const total = best.reduce((sum, { score }) => sum + score, 0)
  const predictions = best.map(
    ({ class: name, class_id, score }): Prediction => ({
      class: name,
      confidence: roundEven(total === 0 ? 1 / best.length : score / total, 4),
      class_id,
      ...(model.runner === 'simulated' ? {} : { score: roundEven(score, 4) }),
    }),
  )
  const top = predictions[0]
  return {
    predictions,
    top_class: top?.class ?? 'nothing',
    top_confidence: top?.confidence ?? 0,
    ...(top?.score === undefined ? {} : { top_score: top.score }),
    model_used: model.info.name,
    inference_time: roundEven(inferenceMs / 1000, 4),
    preprocessing_time: roundEven(preprocessingMs / 1000, 4),
  }
}

function modelInfo({ modelName }: InferenceConfig, { runner, info }: LoadedModel, done: number): ModelInfo {
  return {
    name: info.name,
    requested: modelName,
    runner,
    provider: info.provider,
    task: info.task,
    total_inferences: done,
  }
}

/** Per second; 0 when no time has passed. */
function rate(count: number, ms: number): number {
  return ms > 0 ? (count * 1000) / ms : 0
}
