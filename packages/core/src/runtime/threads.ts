/** Workers in threads: starts them, passes messages, reports the ones that die. */
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { OperationalError } from '../errors.ts'
import type { Spawn, SpawnRequest, WorkerSet } from './job-contract.ts'
import { type FromWorker, fromPlain, toPlain } from './messages.ts'
import { createSharedChannels, type SharedChannels } from './ring-transport.ts'

export interface ThreadOptions {
  readonly flow: string
  /** URL of the module that exports the flow. */
  readonly module: string
  readonly folder: string
}

/** What a worker thread is started with; crosses by structured clone. */
export interface ThreadStart extends Omit<SpawnRequest, 'plan' | 'counters' | 'assignments' | 'onMessage' | 'onExit'> {
  readonly flow: string
  readonly module: string
  readonly folder: string
  readonly planHash: string
  readonly index: number
  readonly count: number
  readonly counters: Float64Array<SharedArrayBuffer>
  readonly assignment: Readonly<Record<string, readonly string[]>>
  readonly shared: SharedChannels
}

const isSource = import.meta.url.endsWith('.ts')
const sourceCondition = '--conditions=millrace-source'
const entry = new URL(`./worker-thread${isSource ? '.ts' : '.js'}`, import.meta.url)

export function threadWorkers(options: ThreadOptions): Spawn {
  return async (request): Promise<WorkerSet> => {
    const shared = createSharedChannels(request.plan)
    const threads: Worker[] = []
    let isEnding = false
    const terminate = async (): Promise<void> => {
      isEnding = true
      await Promise.all(threads.map((thread) => thread.terminate()))
    }
    const ready = Array.from({ length: request.plan.workers }, (_, index) => {
      const thread = newThread({
        workerData: startData(options, request, shared, index),
        name: `millrace ${options.flow} ${index}`,
      })
      threads.push(thread)
      return new Promise<void>((resolve, reject) => {
        const died = (cause: unknown, why: string): void => {
          const error = crashed(options.flow, index, cause, why)
          // Also while ending: a worker that was not ready yet must not leave the start waiting for it.
          reject(error)
          if (isEnding) return
          request.onExit(index, toPlain(error))
        }
        thread.on('message', (message: FromWorker) => {
          if (message.type === 'ready') resolve()
          else if (message.type === 'failed') reject(fromPlain(message.error))
          request.onMessage(index, message)
        })
        thread.on('error', (error) => died(error, error instanceof Error ? error.message : String(error)))
        thread.on('exit', (code) => died(undefined, `it exited with code ${code}`))
      })
    })
    try {
      await Promise.all(ready)
    } catch (error) {
      await terminate()
      await Promise.allSettled(ready)
      throw error
    }
    return { send: (index, message) => threads[index].postMessage(message), terminate }
  }
}

function startData(options: ThreadOptions, request: SpawnRequest, shared: SharedChannels, index: number): ThreadStart {
  const { plan, counters, assignments, onMessage: _, onExit: __, ...rest } = request
  return {
    ...rest,
    ...options,
    planHash: plan.hash,
    index,
    count: plan.workers,
    counters: counters[index],
    assignment: assignments[index],
    shared,
  }
}

function newThread(options: WorkerOptions): Worker {
  if (!isSource || process.execArgv.includes(sourceCondition)) return new Worker(entry, options)
  try {
    return new Worker(entry, { ...options, execArgv: [...process.execArgv, sourceCondition] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_INVALID_EXEC_ARGV') throw error
    return new Worker(entry, { ...options, execArgv: [sourceCondition] })
  }
}

function crashed(flow: string, index: number, cause: unknown, why: string): OperationalError {
  return new OperationalError(
    'WORKER_CRASHED',
    `worker ${index} of flow "${flow}" died: ${why}. All workers start again from the last commit.`,
    { retryable: true, cause, data: { worker: index } },
  )
}
