/** The thread of one model: makes its recognizer, then answers image by image. */
import { parentPort, workerData } from 'node:worker_threads'
import type { MakeRecognizer, Recognized, RecognizerInfo, RgbImage } from './recognizer.ts'

export interface ThreadData {
  readonly module: string
  readonly options: unknown
}

export type FromThread =
  | { readonly type: 'ready'; readonly info: RecognizerInfo }
  | { readonly type: 'failed'; readonly message: string; readonly code: string | undefined }
  | { readonly type: 'recognized'; readonly id: number; readonly recognized: Recognized }
  | { readonly type: 'error'; readonly id: number; readonly message: string }

export interface ToThread {
  readonly id: number
  readonly image: RgbImage
}

const { module, options } = workerData as ThreadData
const send = (message: FromThread): void => parentPort?.postMessage(message)

try {
  const { default: make } = (await import(module)) as { readonly default: MakeRecognizer }
  const recognizer = await make(options)
  parentPort?.on('message', async ({ id, image }: ToThread) => {
    try {
      send({ type: 'recognized', id, recognized: await recognizer.recognize(image) })
    } catch (error) {
      send({ type: 'error', id, message: messageOf(error) })
    }
  })
  send({ type: 'ready', info: recognizer.info })
} catch (error) {
  const { code } = error as NodeJS.ErrnoException
  send({ type: 'failed', message: messageOf(error), code })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
