/**
 * Proves from another thread that a node lives while its own is blocked by a function: a second link to the gateway, which
 * answers pings. When the process is gone or stopped, both links fall silent.
 */
import { Worker, type WorkerOptions } from 'node:worker_threads'
import type { GatewayAddress } from '../address.ts'

/** What the thread is told when the node has a session. */
export interface AliveSession {
  readonly address: GatewayAddress
  readonly session: string
  readonly secret: string
}

export interface AliveLink {
  welcome(session: string, secret: string): void
  close(): void
}

const isSource = import.meta.url.endsWith('.ts')
const sourceCondition = '--conditions=millrace-source'
const entry = new URL(`./alive-thread${isSource ? '.ts' : '.js'}`, import.meta.url)

/** Nodes that come and go at once need no proof. */
const START_AFTER_MS = 500

/** The thread starts when the node has had a session for a moment. */
export function aliveLink(address: GatewayAddress, log: (message: string) => void): AliveLink {
  let worker: Worker | undefined
  let timer: NodeJS.Timeout | undefined
  const start = (): Worker => {
    const started = newWorker({ name: 'millrace alive' })
    // The node decides how long the process lives.
    started.unref()
    started.on('error', (error) => log(`the thread that proves that this node lives ended: ${String(error)}`))
    started.on('exit', () => {
      if (worker === started) worker = undefined
    })
    return started
  }
  return {
    welcome(session, secret) {
      clearTimeout(timer)
      timer = setTimeout(() => {
        worker ??= start()
        worker.postMessage({ address, session, secret } satisfies AliveSession)
      }, START_AFTER_MS).unref()
    },
    close() {
      clearTimeout(timer)
      const ended = worker
      worker = undefined
      void ended?.terminate()
    },
  }
}

function newWorker(options: WorkerOptions): Worker {
  if (!isSource || process.execArgv.includes(sourceCondition)) return new Worker(entry, options)
  try {
    return new Worker(entry, { ...options, execArgv: [...process.execArgv, sourceCondition] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_INVALID_EXEC_ARGV') throw error
    return new Worker(entry, { ...options, execArgv: [sourceCondition] })
  }
}
