import { type CallContext, RemoteError } from '@millrace/remote'
import { afterAll, describe, expect, it } from 'vitest'
import { collect, collectAll, jumpingClock } from '../case-kit.ts'
import type { BatchRecord, FinalRecord, InferenceRecord } from '../records.ts'
import { MODELS } from './config.ts'
import { mlFunctions } from './functions.ts'
import { drawnImage } from './images.ts'
import { classificationOf, type InferenceInput } from './inference-stream.ts'
import { type LoadedModel, loadModels } from './models.ts'

const context = { signal: new AbortController().signal } as CallContext
const simulated = await loadModels(MODELS, { simulate: true })

async function run(input: object, models: ReadonlyMap<string, LoadedModel> = simulated): Promise<InferenceRecord[]> {
  const { classifications } = mlFunctions({ models, clock: jumpingClock() })
  return collect(classifications(input as InferenceInput, context))
}

const CASE = { modelName: 'mobilenet_v2', batchSize: 4, numImages: 24, delay: 0.5, seed: 1 }

describe('the inference stream', () => {
  it('gives 24 images in six batches, then a final record', async () => {
    const records = await run(CASE)
    const batches = records.slice(0, -1) as BatchRecord[]
    expect(batches.map(({ batch_id }) => batch_id)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `batch_00${n}`))
    expect(batches.map(({ progress }) => progress)).toEqual([16.7, 33.3, 50, 66.7, 83.3, 100])
    expect(batches.map(({ total_processed }) => total_processed)).toEqual([4, 8, 12, 16, 20, 24])
    const results = batches.flatMap((batch) => batch.results)
    expect(results.map(({ image_id }) => image_id)).toEqual(
      Array.from({ length: 24 }, (_, i) => `img_${String(i).padStart(4, '0')}`),
    )
    for (const { classification, image_info } of results) {
      const { predictions, top_class, top_confidence } = classification
      expect(new Set(predictions.map((each) => each.class)).size).toBe(5)
      const confidences = predictions.map(({ confidence }) => confidence)
      expect(confidences).toEqual([...confidences].sort((a, b) => b - a))
      expect(Math.abs(confidences.reduce((sum, each) => sum + each, 0) - 1)).toBeLessThan(0.0005)
      expect({ top_class, top_confidence }).toEqual({
        top_class: predictions[0].class,
        top_confidence: predictions[0].confidence,
      })
      expect(image_info.size_bytes).toBe(image_info.width * image_info.height * 3)
    }
    // 0.2 s a batch and 0.5 s between: 3.7 s in all.
    expect(batches[1]).toMatchObject({
      ...{ batch_size: 4, batch_time: 0.2, throughput: 20, overall_throughput: 8.89, estimated_completion: 1.8 },
      ...{ status: 'processing', node_id: 'ml-node', simulated: true },
      model_info: { name: 'mobilenet_v2', requested: 'mobilenet_v2', runner: 'simulated', total_inferences: 8 },
    })
    expect(records.at(-1)).toEqual({
      ...{ batch_id: 'final', status: 'completed', total_processed: 24, total_time: 3.7, overall_throughput: 6.49 },
      ...{ node_id: 'ml-node', simulated: true, model_info: (records.at(-1) as FinalRecord).model_info },
    })
  })

  it('has a last batch of what is left', async () => {
    const records = (await run({ batch_size: 5, num_images: 12 })) as BatchRecord[]
    expect(records.slice(0, -1).map(({ batch_size }) => batch_size)).toEqual([5, 5, 2])
  })

  it('is the same in every run with one seed, and another with another', async () => {
    expect(JSON.stringify(await run(CASE))).toBe(JSON.stringify(await run(CASE)))
    expect(JSON.stringify(await run({ ...CASE, seed: 2 }))).not.toBe(JSON.stringify(await run(CASE)))
  })

  it('gives an error record and then fails when an image cannot be had', async () => {
    const images = (index: number, seed: number) => {
      if (index === 5) throw new Error('the folder is gone')
      return drawnImage(index, seed)
    }
    const { classifications } = mlFunctions({ models: simulated, images, clock: jumpingClock() })
    const { items, error } = await collectAll(classifications(CASE, context))
    expect(items.map(({ batch_id }) => batch_id)).toEqual(['batch_001', 'error'])
    expect(items[1]).toEqual({
      ...{ batch_id: 'error', status: 'error', error: 'the folder is gone', total_processed: 4, node_id: 'ml-node' },
      ...{ timestamp: expect.any(String), simulated: true },
    })
    expect((error as Error).message).toBe('the folder is gone')
  })

  it.each<[object, string]>([
    [{ modelName: 'vgg19' }, 'modelName'],
    [{ batchSize: 0 }, 'batchSize'],
    [{ batchSize: 33 }, 'batchSize'],
    [{ batchSize: 1.5 }, 'batchSize'],
    [{ numImages: 100_001 }, 'numImages'],
    [{ delay: -1 }, 'delay'],
    [{ model: 'resnet50' }, 'model'],
  ])('refuses %j', async (input, path) => {
    const error = await run(input).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RemoteError)
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', data: { path } })
  })
})

describe('the status', () => {
  it('says what runs under each name, and the limits that are enforced', () => {
    const { get_model_info } = mlFunctions({ models: simulated })
    const info = get_model_info()
    expect(info).toMatchObject({
      available_models: ['mobilenet_v2', 'resnet50', 'efficientnet_b0'],
      capabilities: { max_batch_size: 32, gpu_acceleration: false, concurrent_streams: 4 },
    })
    expect(info.model_details.resnet50).toMatchObject({ runner: 'simulated', simulated: true, provider: 'none' })
    expect(info.statistics.uptime).toBeLessThan(60)
  })

  it('a benchmark gives times per image, or says that there is no such model', async () => {
    const { benchmark_model } = mlFunctions({ models: simulated, clock: jumpingClock() })
    expect(await benchmark_model('resnet50', 4)).toEqual({
      ...{ model_name: 'resnet50', model_used: 'resnet50', num_samples: 4, total_time: 0.32, throughput: 12.5 },
      ...{ avg_inference_time: 0.08, min_inference_time: 0.08, max_inference_time: 0.08 },
      ...{ node_id: 'ml-node', simulated: true },
    })
    expect(await benchmark_model('vgg19')).toEqual({ error: 'Model vgg19 not found' })
  })
})

describe('drawn images', () => {
  it('have real pixels, the same for one seed and number', () => {
    const image = drawnImage(3, 1) as Exclude<ReturnType<typeof drawnImage>, Promise<unknown>>
    expect(drawnImage(3, 1)).toEqual(image)
    expect(new Set(image.pixels).size).toBeGreaterThan(20)
    expect(drawnImage(4, 1)).not.toEqual(image)
  })
})

describe('the packaged model', async () => {
  const models = await loadModels(MODELS)
  afterAll(() => models.get('centernet')?.close())

  it('really runs, under its own name whatever it is asked for as', async () => {
    const images = () => ({ name: 'plain', width: 64, height: 64, pixels: new Uint8Array(64 * 64 * 3).fill(128) })
    const { classifications, get_model_info } = mlFunctions({ models, images })
    const records = await collect(
      classifications({ modelName: 'resnet50', numImages: 2, batchSize: 2, delay: 0 }, context),
    )
    expect(records.some((record) => 'simulated' in record)).toBe(false)
    expect(get_model_info().model_details.resnet50).toMatchObject({
      runs: 'centernet',
      runner: 'packaged',
      provider: 'wasm',
    })
    const { results, model_info } = records[0] as BatchRecord
    expect(model_info).toMatchObject({ name: 'centernet', requested: 'resnet50', task: 'object detection' })
    const [first, second] = results.map(({ classification }) => classification)
    expect(first.model_used).toBe('centernet')
    expect(first.inference_time).toBeGreaterThan(0)
    expect(new Set(first.predictions.map((each) => each.class)).size).toBe(5)
    // Nothing is to be seen on a grey image, and the model says so; equal images have equal results.
    expect(first.top_score).toBeLessThan(0.1)
    expect(second.predictions).toEqual(first.predictions)
  })

  it('sees different things on different images', async () => {
    const { classifications } = mlFunctions({ models })
    const [batch] = await collect(
      classifications({ modelName: 'centernet', numImages: 3, batchSize: 3, seed: 1 }, context),
    )
    const tops = (batch as BatchRecord).results.map(({ classification }) => classification.top_score)
    expect(new Set(tops).size).toBe(3)
  })
})

describe('predictions', () => {
  it('are the five best, with their shares and the model’s own scores', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const scores = names.map((name, i) => ({ class: name, class_id: i, score: [0.1, 0.4, 0.05, 0.2, 0.2, 0.01][i] }))
    const model = { runner: 'onnx', info: { name: 'mine' } } as LoadedModel
    const { predictions } = classificationOf({ scores, inferenceMs: 1, preprocessingMs: 1 }, model)
    expect(predictions.map(({ class: name, confidence, score }) => [name, confidence, score])).toEqual([
      ['b', 0.4211, 0.4],
      ['d', 0.2105, 0.2],
      ['e', 0.2105, 0.2],
      ['a', 0.1053, 0.1],
      ['c', 0.0526, 0.05],
    ])
  })
})
