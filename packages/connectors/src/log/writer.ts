/** The way to the writer thread. Handles of one log in one thread share it; it starts with the first request. */
import { Worker } from 'node:worker_threads'
import { OperationalError } from 'millrace/connector'
import {
  type Argument,
  type FromThread,
  fromPlain,
  type MemberView,
  type RequestName,
  type Result,
  type ThreadData,
  type ToThread,
} from './protocol.ts'

type OnMember = (view: MemberView | undefined) => void

const isSource = import.meta.url.endsWith('.ts')
const entry = new URL(`./writer-thread${isSource ? '.ts' : '.js'}`, import.meta.url)
const SOURCE_CONDITION = '--conditions=millrace-source'

const writers = new Map<string, Writer>()

/** The writer of a log's file. Settings are those of whoever opened it first. To be given back with `release`. */
export function writerOf(data: ThreadData): Writer {
  let writer = writers.get(data.path)
  if (writer === undefined) {
    writer = new Writer(data)
    writers.set(data.path, writer)
  }
  writer.holders++
  return writer
}

export class Writer {
  holders = 0
  readonly #data: ThreadData
  readonly #pending = new Map<number, { resolve: (result: never) => void; reject: (error: unknown) => void }>()
  readonly #listeners = new Set<() => void>()
  readonly #members = new Map<string, OnMember>()
  #thread: Worker | undefined
  #lastId = 0

  constructor(data: ThreadData) {
    this.#data = data
  }

  /** Resolves when it is on the disk. @throws what the request throws; OperationalError `LOG_WRITER_GONE` */
  request<N extends RequestName>(name: N, argument: Argument<N>): Promise<Result<N>> {
    const thread = this.#start()
    const id = ++this.#lastId
    return new Promise<Result<N>>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      thread.ref()
      thread.postMessage({ type: 'request', id, name, argument } satisfies ToThread)
    })
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls with what heartbeats find, undefined when the member is none any more. */
  onMember(member: string, listener: OnMember): () => void {
    this.#members.set(member, listener)
    return () => this.#members.delete(member)
  }

  async release(): Promise<void> {
    if (--this.holders > 0) return
    writers.delete(this.#data.path)
    const thread = this.#thread
    if (thread === undefined) return
    const ended = new Promise((resolve) => thread.once('exit', resolve))
    thread.ref()
    thread.postMessage({ type: 'close' } satisfies ToThread)
    await ended
  }

  #start(): Worker {
    if (this.#thread !== undefined) return this.#thread
    const execArgv =
      isSource && !process.execArgv.includes(SOURCE_CONDITION)
        ? [...process.execArgv, SOURCE_CONDITION]
        : process.execArgv
    const thread = new Worker(entry, { workerData: this.#data, execArgv, name: 'millrace log' })
    thread.on('message', (message: FromThread) => this.#take(message))
    thread.on('error', (error) => this.#gone(thread, error))
    thread.on('exit', () => this.#gone(thread, undefined))
    // A program that has nothing else to do may end.
    thread.unref()
    this.#thread = thread
    return thread
  }

  #take(message: FromThread): void {
    if (message.type === 'changed') {
      for (const listener of this.#listeners) listener()
      return
    }
    if (message.type === 'member') {
      this.#members.get(message.member)?.(message.view)
      return
    }
    const waiting = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (this.#pending.size === 0) this.#thread?.unref()
    if (message.type === 'done') waiting?.resolve(message.result as never)
    else waiting?.reject(fromPlain(message.error))
  }

  #gone(thread: Worker, cause: unknown): void {
    if (this.#thread !== thread) return
    this.#thread = undefined
    const error = new OperationalError(
      'LOG_WRITER_GONE',
      `the thread that writes the log "${this.#data.path}" ended${cause instanceof Error ? `: ${cause.message}` : ''}. Whether the last appends are stored is unknown; they are sent again and stored once.`,
      { retryable: true, cause, data: { path: this.#data.path } },
    )
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    for (const listener of this.#members.values()) listener(undefined)
  }
}
