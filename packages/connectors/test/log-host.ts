/**
 * For the tests of logs: a process that holds clients of a log for another one, which may kill it, stop it and wake it.
 * It knows only `LogClient`, so that every log whose module has `open` can be run against the contract this way.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LogClient, LogClientConsumer, LogClientProducer, LogContractProcess } from 'millrace/testing'

/** What the module of a log offers; it is imported in the process. */
export interface LogModule {
  /** A handle of the log that `place` names: a folder, an address. */
  open(place: string): Promise<LogClient>
  /** See `LogFixture.resendLast`. */
  resendLast?(producer: LogClientProducer): Promise<void>
}

const here = fileURLToPath(import.meta.url)

type Assignment = ReturnType<LogClientConsumer['assignment']>

interface Request {
  readonly id: number
  /** 0 is the module; others are what earlier calls returned. */
  readonly on: number
  readonly method: string
  readonly args: readonly unknown[]
}

interface Reply {
  readonly id: number
  readonly result?: unknown
  readonly error?: { readonly message: string; readonly code: string | undefined }
  /** After every call on a consumer. */
  readonly assignment?: Assignment
}

/** Stands for an object of the process in an argument. */
interface Reference {
  readonly $object: number
}

export class LogHost {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  readonly #waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>()
  readonly #ids = new WeakMap<object, number>()
  #nextId = 1
  #isGone = false

  /** @param module URL of a `LogModule` */
  constructor(module: URL) {
    this.#child = fork(here, [module.href], {
      serialization: 'advanced',
      execArgv: ['--conditions=millrace-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message) => {
      const reply = message as Reply
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if (reply.error === undefined) waiting?.resolve(reply)
      else waiting?.reject(Object.assign(new Error(reply.error.message), { code: reply.error.code }))
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', () => {
        this.#isGone = true
        for (const { reject } of this.#waiting.values()) reject(gone())
        this.#waiting.clear()
        resolve()
      })
    })
  }

  async open(place: string): Promise<LogClient> {
    const { result } = await this.#call(0, 'open', [place])
    return this.#client(result as number)
  }

  async resendLast(producer: LogClientProducer): Promise<void> {
    await this.#call(0, 'resendLast', [producer])
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  stop(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** A log in this process, with the process: what `LogFixture.process` gives. */
  async process(place: string, stop: () => Promise<void> | void = () => this.stop()): Promise<LogContractProcess> {
    const log = await this.open(place)
    return { log, kill: () => this.kill(), stop, resume: () => this.resume() }
  }

  #client(id: number): LogClient {
    const on = (method: string, ...args: readonly unknown[]) => this.#result(id, method, args)
    return {
      admin: {
        createTopic: (...args) => on('admin.createTopic', ...args),
        listTopics: () => on('admin.listTopics'),
        describe: (...args) => on('admin.describe', ...args),
        deleteRecords: (...args) => on('admin.deleteRecords', ...args),
        offsets: (...args) => on('admin.offsets', ...args),
        offsetsForTimes: (...args) => on('admin.offsetsForTimes', ...args),
      },
      producer: async (...args) => this.#producer(await on('producer', ...args)),
      consumer: async (...args) => this.#consumer(await on('consumer', ...args)),
      close: () => on('close'),
    }
  }

  #producer(id: number): LogClientProducer {
    const on = (method: string, ...args: readonly unknown[]) => this.#result(id, method, args)
    const producer: LogClientProducer = {
      send: (records) => on('send', records),
      begin: () => on('begin'),
      sendOffsets: (consumer) => on('sendOffsets', consumer),
      commit: () => on('commit'),
      abort: () => on('abort'),
      close: () => on('close'),
    }
    this.#ids.set(producer, id)
    return producer
  }

  #consumer(id: number): LogClientConsumer {
    let assignment: Assignment = []
    const on = async (method: string, ...args: readonly unknown[]) => {
      const reply = await this.#call(id, method, args)
      assignment = reply.assignment ?? []
      return reply.result as never
    }
    const consumer: LogClientConsumer = {
      poll: (...args) => on('poll', ...args),
      commit: () => on('commit'),
      seek: (...args) => on('seek', ...args),
      assignment: () => assignment,
      close: () => on('close'),
    }
    this.#ids.set(consumer, id)
    return consumer
  }

  async #result(on: number, method: string, args: readonly unknown[]): Promise<never> {
    return (await this.#call(on, method, args)).result as never
  }

  #call(on: number, method: string, args: readonly unknown[]): Promise<Reply> {
    if (this.#isGone) return Promise.reject(gone())
    const id = this.#nextId++
    const request: Request = { id, on, method, args: args.map((arg) => this.#reference(arg)) }
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send(request, (error) => {
        if (error === null) return
        this.#waiting.delete(id)
        reject(gone())
      })
    })
  }

  #reference(arg: unknown): unknown {
    const id = typeof arg === 'object' && arg !== null ? this.#ids.get(arg) : undefined
    return id === undefined ? arg : ({ $object: id } satisfies Reference)
  }
}

function gone(): Error {
  return Object.assign(new Error('the process of this log has ended'), { code: 'PROCESS_ENDED' })
}

/** The other side. */
async function serve(module: LogModule): Promise<void> {
  const objects = new Map<number, object>([[0, module]])
  const call = async ({ on, method, args }: Request): Promise<unknown> => {
    const [name, inner] = method.split('.')
    const object = objects.get(on) as Record<string, unknown>
    const target = (inner === undefined ? object : object[name]) as Record<string, (...args: unknown[]) => unknown>
    return target[inner ?? name](...args.map((arg) => objects.get((arg as Reference | null)?.$object ?? -1) ?? arg))
  }
  process.on('message', (message) => {
    const request = message as Request
    const answer = (reply: Omit<Reply, 'id'>): void => {
      const consumer = objects.get(request.on)
      const assignment =
        consumer !== undefined && 'poll' in consumer ? (consumer as LogClientConsumer).assignment() : []
      process.send?.({ id: request.id, assignment, ...reply } satisfies Reply)
    }
    call(request).then(
      (result) => {
        const isObject = ['open', 'producer', 'consumer'].includes(request.method)
        if (isObject) objects.set(request.id, result as object)
        answer({ result: isObject ? request.id : result })
      },
      (thrown: Error & { code?: string }) => answer({ error: { message: thrown.message, code: thrown.code } }),
    )
  })
  // Whoever asked is gone.
  process.on('disconnect', () => process.exit(0))
}

if (process.argv[1] === here) await serve((await import(process.argv[2])) as LogModule)
