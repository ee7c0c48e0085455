/** What runs under which name: each model in a thread of its own, or a simulation that says it is one. */
import { Worker } from 'node:worker_threads'
import type { Timeline } from '../clock.ts'
import { type Random, randomOf } from '../random.ts'
import type { Runner } from '../records.ts'
import { type Model, type Models, ONNX, PACKAGED } from './config.ts'
import type { FromThread, ThreadData, ToThread } from './model-thread.ts'
import type { OnnxOptions } from './onnx.ts'
import type { Recognized, RecognizerInfo, RgbImage } from './recognizer.ts'
import { simulate } from './simulation.ts'

export interface LoadedModel {
  readonly runner: Runner
  readonly info: RecognizerInfo
  /** How long it takes comes with the answer: measured, or the simulation's plan, which it has waited for. */
  recognize(image: RgbImage, timeline: Timeline, random: Random): Promise<Recognized>
  close(): Promise<void>
}

export interface LoadOptions {
  /** ONNX files by name of the model. */
  readonly files?: Readonly<Record<string, string>>
  /** Files with a class per line, by name of the model. */
  readonly labels?: Readonly<Record<string, string>>
  /** Nothing real is loaded. */
  readonly simulate?: boolean
  readonly log?: (message: string) => void
}

/**
 * Loads every model once. A file of the user's that cannot be loaded is an error; the packaged model that cannot is a
 * simulation and a line in the log.
 */
export async function loadModels(models: Models, options: LoadOptions = {}): Promise<Map<string, LoadedModel>> {
  const { files = {}, labels = {}, simulate: isSimulated = false, log = () => {} } = options
  const all: Models = { ...models, ...newModels(models, files) }
  const loaded = new Map<string, LoadedModel>()
  const packaged = isSimulated ? undefined : await loadPackaged(log)
  // Also under its own name, for whoever asks for it.
  if (packaged !== undefined) loaded.set(packaged.info.name, packaged)
  for (const [name, model] of Object.entries(all)) {
    const file = files[name]
    if (file !== undefined) {
      const onnx: OnnxOptions = { name, path: file, ...(labels[name] === undefined ? {} : { labels: labels[name] }) }
      loaded.set(name, await startThread('onnx', ONNX, onnx))
    } else if (model.module !== undefined && !isSimulated) {
      loaded.set(name, await startThread('module', model.module, model.options))
    } else loaded.set(name, packaged ?? simulation(name, model))
  }
  return loaded
}

/** Files under names that have no entry are models of the user's, like the others. */
function newModels(models: Models, files: Readonly<Record<string, string>>): Models {
  const names = Object.keys(files).filter((name) => !Object.hasOwn(models, name))
  return Object.fromEntries(
    names.map((name) => [name, { simulatedSeconds: 0.05, classes: 1000, inputSize: [224, 224] }]),
  )
}

async function loadPackaged(log: (message: string) => void): Promise<LoadedModel | undefined> {
  try {
    return await startThread('packaged', PACKAGED, undefined)
  } catch (error) {
    log(`the packaged model cannot be loaded, so inference is simulated: ${(error as Error).message}`)
    return undefined
  }
}

function simulation(name: string, model: Model): LoadedModel {
  const { simulatedSeconds, classes, inputSize } = model
  return {
    runner: 'simulated',
    info: { name, task: 'classification', provider: 'none', classes, inputSize, note: 'a seeded simulation, no model' },
    async recognize(_, timeline, random) {
      const { scores, preprocessingMs } = simulate(random)
      await timeline.wait(simulatedSeconds * 1000)
      return { scores, preprocessingMs, inferenceMs: simulatedSeconds * 1000 }
    },
    close: async () => {},
  }
}

interface Waiting {
  resolve(recognized: Recognized): void
  reject(error: Error): void
}

async function startThread(runner: Runner, module: string | URL, options: unknown): Promise<LoadedModel> {
  const data: ThreadData = { module: String(module), options }
  const worker = new Worker(new URL('./model-thread.ts', import.meta.url), { workerData: data })
  // As many as there are streams, which have a limit; each waits for one image.
  const waiting = new Map<number, Waiting>()
  let lost: Error | undefined
  let next = 0
  const info = await new Promise<RecognizerInfo>((resolve, reject) => {
    const lose = (error: Error): void => {
      lost ??= error
      reject(lost)
      for (const each of waiting.values()) each.reject(lost)
      waiting.clear()
    }
    worker.on('message', (message: FromThread) => {
      if (message.type === 'ready') resolve(message.info)
      else if (message.type === 'failed') {
        lose(Object.assign(new Error(message.message), { code: message.code }))
        void worker.terminate()
      } else {
        const each = waiting.get(message.id)
        waiting.delete(message.id)
        if (message.type === 'recognized') each?.resolve(message.recognized)
        else each?.reject(new Error(message.message))
      }
    })
    worker.on('error', lose)
    worker.on('exit', (code) => lose(new Error(`the thread of the model ended with code ${code}.`)))
  })
  return {
    runner,
    info,
    recognize(image) {
      if (lost !== undefined) return Promise.reject(lost)
      const message: ToThread = { id: next++, image }
      return new Promise((resolve, reject) => {
        waiting.set(message.id, { resolve, reject })
        worker.postMessage(message, [image.pixels.buffer])
      })
    },
    async close() {
      await worker.terminate()
    },
  }
}

/** Random numbers of one image of a stream. */
export function randomOfImage(seed: number, index: number): Random {
  return randomOf(seed, 'predictions', index)
}
