/** What the ML node offers. */
import { type CallContext, type ComputeNode, callContext } from '@millrace/remote'
import { Arguments } from '../arguments.ts'
import { type Clock, measured, planned, realClock, type Timeline } from '../clock.ts'
import { roundEven } from '../numbers.ts'
import type { Benchmark, InferenceRecord, ModelDetails, ModelStatus } from '../records.ts'
import { INFERENCE_LIMITS } from './config.ts'
import { drawnImage, IMAGE_SIZES, type Images } from './images.ts'
import { type InferenceInput, inferenceConfig, inferenceStream } from './inference-stream.ts'
import { type LoadedModel, randomOfImage } from './models.ts'

export interface MlNodeOptions {
  /** Default 'ml-node'. */
  readonly id?: string
  readonly models: ReadonlyMap<string, LoadedModel>
  readonly images?: Images
  readonly clock?: Clock
  /** For streams that bring none. */
  readonly seed?: number | undefined
}

export type MlFunctions = ReturnType<typeof mlFunctions>

export function mlFunctions({
  id = 'ml-node',
  models,
  images = drawnImage,
  clock = realClock(),
  seed: nodeSeed,
}: MlNodeOptions) {
  const startMs = performance.now()
  const names = [...models.keys()]
  let inferences = 0
  const count = (): void => void inferences++
  const timelineOf = ({ runner }: LoadedModel, signal: AbortSignal | undefined): Timeline =>
    runner === 'simulated' ? planned(clock, signal) : measured(clock, signal)

  return {
    /** A record for each batch of images, then a final one. */
    async *classifications(input?: InferenceInput, context?: CallContext): AsyncGenerator<InferenceRecord> {
      const config = inferenceConfig(input, names, INFERENCE_LIMITS)
      const model = models.get(config.modelName) as LoadedModel
      const signal = (context ?? callContext())?.signal
      yield* inferenceStream(config, {
        model,
        images,
        seed: config.seed ?? nodeSeed ?? Math.floor(Math.random() * 2 ** 32),
        timeline: timelineOf(model, signal),
        epoch: () => clock.epoch(),
        node: id,
        signal,
        onInference: count,
      })
    },

    get_model_info(): ModelStatus {
      return {
        node_id: id,
        status: 'online',
        available_models: names,
        model_details: Object.fromEntries([...models].map(([name, model]) => [name, detailsOf(model)])),
        supported_formats: ['RGB'],
        capabilities: {
          max_batch_size: INFERENCE_LIMITS.batchSizeMax,
          max_images: INFERENCE_LIMITS.imagesMax,
          gpu_acceleration: [...models.values()].some(({ info }) => !WITHOUT_GPU.includes(info.provider)),
          concurrent_streams: INFERENCE_LIMITS.streamsMax,
          image_sizes: IMAGE_SIZES,
        },
        statistics: {
          total_inferences: inferences,
          uptime: roundEven((performance.now() - startMs) / 1000, 2),
        },
      }
    },

    /** Runs `numSamples` images through a model, one after the other. */
    async benchmark_model(
      modelName = 'mobilenet_v2',
      numSamples = 10,
    ): Promise<Benchmark | { readonly error: string }> {
      const model = models.get(modelName)
      if (model === undefined) return { error: `Model ${modelName} not found` }
      const range = { min: 1, max: INFERENCE_LIMITS.benchmarkSamplesMax, whole: true }
      const samples = new Arguments({ numSamples }, ['numSamples']).number('numSamples', 10, range)
      const timeline = timelineOf(model, callContext()?.signal)
      const benchStartMs = timeline.now()
      const times: number[] = []
      for (let i = 0; i < samples; i++) {
        const { inferenceMs } = await model.recognize(await images(i, 0), timeline, randomOfImage(0, i))
        count()
        times.push(inferenceMs / 1000)
      }
      const total = (timeline.now() - benchStartMs) / 1000
      return {
        model_name: modelName,
        model_used: model.info.name,
        num_samples: samples,
        total_time: roundEven(total, 4),
        avg_inference_time: roundEven(times.reduce((sum, each) => sum + each, 0) / samples, 4),
        min_inference_time: roundEven(Math.min(...times), 4),
        max_inference_time: roundEven(Math.max(...times), 4),
        throughput: total > 0 ? roundEven(samples / total, 2) : 0,
        node_id: id,
        ...(model.runner === 'simulated' ? { simulated: true } : {}),
      }
    },
  }
}

const WITHOUT_GPU: readonly string[] = ['cpu', 'wasm', 'none']

function detailsOf({ runner, info }: LoadedModel): ModelDetails {
  const { name, provider, task, classes, inputSize, note } = info
  return {
    runs: name,
    runner,
    provider,
    task,
    classes,
    input_size: inputSize,
    ...(runner === 'simulated' ? { simulated: true } : {}),
    ...(note === undefined ? {} : { note }),
  }
}

/** With the limits that the status reports. */
export function registerMl(node: ComputeNode, functions: MlFunctions): ComputeNode {
  return node
    .register('classifications', functions.classifications, {
      description: 'Images through a model, a record for each batch',
      concurrency: INFERENCE_LIMITS.streamsMax,
      queueMax: 0,
    })
    .register('get_model_info', functions.get_model_info, {
      description: 'Models, what runs under their names, limits',
    })
    .register('benchmark_model', functions.benchmark_model, {
      description: 'Runs images through a model one after the other',
      concurrency: 1,
    })
}
