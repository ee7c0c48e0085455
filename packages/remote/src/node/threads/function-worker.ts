/** One thread of functions, seen from the main thread: starts it, speaks frames with it, says when it is gone. */
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { messageOf } from 'millrace/connector'
import { encodeJson } from '../../protocol/codec.ts'
import { FRAME, type Frame } from '../../protocol/frame.ts'
import { PROTOCOL_VERSION } from '../../protocol/messages.ts'
import { Session } from '../../session/session.ts'
import type { Time } from '../../time.ts'
import { PortLink } from './port-link.ts'
import type { FromThread, PlainFailure, ThreadStart, ToThread } from './thread-messages.ts'

export interface FunctionWorkerEvents {
  onReady(message: FromThread & { readonly type: 'ready' }): void
  onFailed(error: PlainFailure): void
  /** A frame of a call, or an OFFER. */
  onFrame(frame: Frame): void
  onExit(why: string): void
}

/** A thread is not pinged: one that computes is not gone, and one that is gone says so. */
const NEVER_MS = 2 ** 31 - 1

const isSource = import.meta.url.endsWith('.ts')
const sourceCondition = '--conditions=millrace-source'
const entry = new URL(`./function-thread${isSource ? '.ts' : '.js'}`, import.meta.url)

export class FunctionWorker {
  readonly #worker: Worker
  readonly #time: Time
  readonly #events: FunctionWorkerEvents
  readonly #name: string
  #link: PortLink | undefined
  #session: Session | undefined
  #isWelcome = false
  /** Frames for a thread whose link is not open yet. */
  #pending: Frame[] = []
  #payloadBytesMax: number | undefined
  #syncs = new Map<number, () => void>()
  #nextSync = 0
  #isEnded = false

  constructor(start: ThreadStart, name: string, time: Time, events: FunctionWorkerEvents) {
    this.#time = time
    this.#events = events
    this.#name = name
    this.#worker = newWorker({ workerData: start, name })
    let why: string | undefined
    this.#worker.on('message', (message: Uint8Array | FromThread) => this.#onMessage(message))
    this.#worker.on('error', (error: unknown) => {
      why = messageOf(error)
    })
    this.#worker.on('exit', (code) => {
      if (this.#isEnded) return
      this.#isEnded = true
      this.#link?.closed(1006, 'the thread is gone')
      events.onExit(why ?? `it exited with code ${code}`)
    })
  }

  /** There is a session with the gateway, or (undefined) none any more. */
  link(payloadBytesMax: number | undefined): void {
    this.#payloadBytesMax = payloadBytesMax
    this.#pending = []
    if (payloadBytesMax === undefined) this.#closeLink('the gateway is gone')
    else this.#post({ type: 'link' })
  }

  send(frame: Frame): void {
    const session = this.#session
    if (session !== undefined && this.#isWelcome) {
      session.send(frame.type, frame.call, frame.body, frame.stream, frame.count, frame.flags)
    } else this.#pending.push({ ...frame, body: frame.body.slice() })
  }

  /** Calls `fn` when nothing blocks the thread any more. */
  whenFree(fn: () => void): void {
    const number = ++this.#nextSync
    this.#syncs.set(number, fn)
    this.#post({ type: 'sync', number })
  }

  async terminate(): Promise<void> {
    this.#isEnded = true
    this.#link?.closed(1001, 'the thread ends')
    await this.#worker.terminate()
  }

  #closeLink(reason: string): void {
    this.#isWelcome = false
    this.#session?.close(1001, reason)
    this.#session = undefined
    this.#link = undefined
  }

  #post(message: ToThread): void {
    if (!this.#isEnded) this.#worker.postMessage(message)
  }

  #onMessage(message: Uint8Array | FromThread): void {
    if (message instanceof Uint8Array) {
      this.#link?.deliver(message)
      return
    }
    switch (message.type) {
      case 'ready':
        this.#events.onReady(message)
        return
      case 'failed':
        this.#events.onFailed(message.error)
        return
      case 'open':
        this.#open()
        return
      case 'close':
        this.#link?.closed(message.code, message.reason)
        return
      case 'synced': {
        const fn = this.#syncs.get(message.number)
        this.#syncs.delete(message.number)
        fn?.()
      }
    }
  }

  #open(): void {
    this.#closeLink('another link is opened')
    const link = new PortLink(this.#worker, this.#name)
    const session: Session = new Session({
      link,
      time: this.#time,
      pingMs: NEVER_MS,
      silentMs: NEVER_MS,
      bufferBytesMax: NEVER_MS,
      onFrame: (frame) => (frame.type === FRAME.HELLO ? this.#welcome(session) : this.#events.onFrame(frame)),
      onClose: () => {
        if (this.#session !== session) return
        this.#session = undefined
        this.#isWelcome = false
      },
    })
    this.#link = link
    this.#session = session
    session.start()
  }

  #welcome(session: Session): void {
    const payloadBytesMax = this.#payloadBytesMax
    // The gateway went away meanwhile.
    if (payloadBytesMax === undefined) {
      this.#closeLink('the gateway is gone')
      return
    }
    const times = { pingMs: NEVER_MS, silentMs: NEVER_MS, payloadBytesMax }
    const names = { version: PROTOCOL_VERSION, session: 'thread', secret: '', gateway: '' }
    session.send(FRAME.WELCOME, 0, encodeJson({ ...names, ...times }))
    this.#isWelcome = true
    for (const frame of this.#pending.splice(0)) this.send(frame)
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
