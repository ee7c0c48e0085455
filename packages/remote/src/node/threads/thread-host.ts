/**
 * Runs functions of a module in threads: one for those that share their variables, or a pool for those that compute.
 * Each thread is a node of its own; frames pass through here by their call, bodies unread.
 *
 * Invariants:
 *  T1  A thread of a pool runs at most one plain call at a time, and `STREAMS_PER_THREAD` streams; what has no thread waits,
 *      at most `QUEUE_MAX` calls, in order.
 *  T2  When a thread ends, its calls end with THREAD_LOST, no others, and another thread takes its place.
 *  T3  A thread of a pool that computes on for nobody is replaced after `GRACE_MS`.
 */
import { UsageError } from 'millrace/connector'
import { decodeJson, encodeJson } from '../../protocol/codec.ts'
import { FRAME, type Frame, hasMore, NO_BODY } from '../../protocol/frame.ts'
import type { OfferedFunction, OpenHeader } from '../../protocol/messages.ts'
import { RemoteError, toPlainError } from '../../remote-error.ts'
import type { Session } from '../../session/session.ts'
import type { Time } from '../../time.ts'
import type { FunctionHost } from '../function-host.ts'
import { FunctionWorker } from './function-worker.ts'
import type { PlainFailure, ThreadStart } from './thread-messages.ts'

export interface ThreadHostOptions {
  readonly start: ThreadStart
  /** Threads; more than one, or `isPool`, for functions that share nothing. */
  readonly size: number
  readonly isPool: boolean
  readonly time: Time
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void
}

const STREAMS_PER_THREAD = 64
const QUEUE_MAX = 1024
/** Streams that may be resumed and are remembered; beyond them the one that began first is not found again. */
const STREAMS_MAX = 10_000
const GRACE_MS = 5_000
/** Waits before a thread that ended before it was ready is started again: doubled each time. */
const RESTART_FIRST_MS = 100
const RESTART_MAX_MS = 5_000

interface Thread {
  worker: FunctionWorker
  isReady: boolean
  /** Starts in a row that came to nothing. */
  failures: number
  readonly calls: Map<number, HostedCall>
  /** A call was cancelled, and the thread has not been heard since. */
  isBusyForNobody: boolean
}

interface HostedCall {
  readonly number: number
  readonly header: OpenHeader
  /** While it waits: what has come for it. */
  readonly frames: Frame[]
  thread: Thread | undefined
}

export class ThreadHost implements FunctionHost {
  readonly #options: ThreadHostOptions
  readonly #threads: Thread[]
  readonly #calls = new Map<number, HostedCall>()
  #waiting: HostedCall[] = []
  /** Where streams are that may be resumed, by name. */
  readonly #streams = new Map<string, Thread>()
  #offers: readonly OfferedFunction[] = []
  #session: Session | undefined
  #payloadBytesMax: number | undefined
  #isClosed = false
  #onStarted: { resolve(threaded: readonly string[]): void; reject(error: PlainFailure): void } | undefined
  onIdle = (): void => {}

  private constructor(options: ThreadHostOptions) {
    this.#options = options
    this.#threads = Array.from({ length: options.size }, (_, index) => this.#newThread(index))
  }

  /**
   * Starts the threads; resolves when each has loaded the module.
   * @throws the failure of the module, as `fromPlainFailure` gives it
   */
  static async start(options: ThreadHostOptions): Promise<{ host: ThreadHost; threaded: readonly string[] }> {
    const host = new ThreadHost(options)
    try {
      const threaded = await new Promise<readonly string[]>((resolve, reject) => {
        host.#onStarted = { resolve, reject: (error) => reject(fromPlainFailure(error)) }
      })
      return { host, threaded }
    } catch (error) {
      await host.close()
      throw error
    } finally {
      host.#onStarted = undefined
    }
  }

  get offers(): readonly OfferedFunction[] {
    return this.#offers
  }

  /** More than wait perhaps: a thread that has given one up says so when it is asked for it. */
  get held(): readonly string[] {
    return [...this.#streams.keys()]
  }

  get inFlight(): number {
    return this.#calls.size
  }

  link(session: Session | undefined, payloadBytesMax: number): void {
    this.#session = session
    this.#payloadBytesMax = session === undefined ? undefined : payloadBytesMax
    this.#calls.clear()
    this.#waiting = []
    for (const thread of this.#threads) {
      const hadCalls = thread.calls.size > 0
      thread.calls.clear()
      if (thread.isReady) thread.worker.link(this.#payloadBytesMax)
      // A plain call computes on, for nobody.
      if (hadCalls) this.#watch(thread)
    }
    this.onIdle()
  }

  open(frame: Frame, header: OpenHeader): void {
    const call: HostedCall = { number: frame.call, header, frames: [], thread: undefined }
    if (this.#waiting.length >= QUEUE_MAX) {
      throw new RemoteError(
        'RESOURCE_EXHAUSTED',
        `node "${this.#options.start.id}" has ${QUEUE_MAX} calls waiting for a thread, as many as may; come again later.`,
        { retryable: true, function: header.fn, data: { retryAfterMs: 1000, queueMax: QUEUE_MAX } },
      )
    }
    this.#calls.set(call.number, call)
    if (this.#place(call)) call.thread?.worker.send(frame)
    else {
      call.frames.push({ ...frame, body: frame.body.slice() })
      this.#waiting.push(call)
    }
  }

  onFrame(frame: Frame): boolean {
    if (frame.call === 0) {
      if (frame.type !== FRAME.RELEASE) return false
      const id = String(decodeJson(frame.body).id)
      const thread = this.#streams.get(id)
      this.#streams.delete(id)
      thread?.worker.send(frame)
      return thread !== undefined
    }
    const call = this.#calls.get(frame.call)
    if (call === undefined) return false
    const { thread } = call
    const isOver = frame.type === FRAME.CANCEL || frame.type === FRAME.HOLD
    if (thread !== undefined) thread.worker.send(frame)
    else if (!isOver) call.frames.push({ ...frame, body: frame.body.slice() })
    if (isOver) {
      if (frame.type === FRAME.CANCEL && call.header.resume !== undefined) this.#streams.delete(call.header.resume.id)
      this.#forget(call)
      if (thread !== undefined && frame.type === FRAME.CANCEL) this.#watch(thread)
      this.#placeWaiting()
    }
    return true
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const { number, header, thread } of [...this.#calls.values()]) {
      const { id } = this.#options.start
      const error = new RemoteError('UNAVAILABLE', `node "${id}" stops.`, {
        node: id,
        function: header.fn,
        retryable: true,
      })
      this.#session?.send(FRAME.ERROR, number, encodeJson(toPlainError(error)))
      thread?.worker.send({ type: FRAME.CANCEL, call: number, flags: 0, stream: 0, count: 0, body: NO_BODY })
    }
    this.link(undefined, 0)
    // The generators' `finally` have run when a thread answers; one that computes does not.
    await Promise.all(
      this.#threads.map(
        (thread) =>
          new Promise<void>((resolve) => {
            const cancel = this.#options.time.after(CLOSE_MS, resolve)
            thread.worker.whenFree(() => {
              cancel()
              resolve()
            })
          }),
      ),
    )
    await Promise.all(this.#threads.map((thread) => thread.worker.terminate()))
  }

  #newThread(index: number): Thread {
    const thread: Thread = {
      worker: undefined as unknown as FunctionWorker,
      isReady: false,
      failures: 0,
      calls: new Map(),
      isBusyForNobody: false,
    }
    this.#startWorker(thread, index)
    return thread
  }

  #startWorker(thread: Thread, index: number): void {
    const { start, time } = this.#options
    thread.isReady = false
    thread.isBusyForNobody = false
    thread.worker = new FunctionWorker(start, `millrace ${start.id} ${this.#kind} ${index}`, time, {
      onReady: ({ offers, threaded }) => {
        thread.isReady = true
        thread.failures = 0
        this.#offers = this.#options.isPool ? offers.map((offer) => this.#pooled(offer)) : offers
        if (this.#payloadBytesMax !== undefined) thread.worker.link(this.#payloadBytesMax)
        if (this.#threads.every((each) => each.isReady)) this.#onStarted?.resolve(threaded)
        this.#placeWaiting()
      },
      onFailed: (error) => this.#lost(thread, index, `its file could not be loaded: ${error.message}`, error),
      onFrame: (frame) => this.#fromThread(thread, frame),
      onExit: (why) => this.#lost(thread, index, why),
    })
  }

  get #kind(): string {
    return this.#options.isPool ? 'pool' : 'functions'
  }

  /** A pool runs as many plain calls of a function as it has threads. */
  #pooled(offer: OfferedFunction): OfferedFunction {
    const most = offer.kind === 'call' ? this.#options.size : STREAMS_PER_THREAD * this.#options.size
    return { ...offer, concurrency: Math.min(offer.concurrency ?? most, most) }
  }

  /** T1. False when it has to wait. */
  #place(call: HostedCall): boolean {
    const { fn, resume } = call.header
    const holder = resume?.isAgain === true ? this.#streams.get(resume.id) : undefined
    const thread = holder ?? this.#free(fn)
    if (thread === undefined) return false
    if (resume !== undefined) this.#remember(resume.id, thread)
    call.thread = thread
    thread.calls.set(call.number, call)
    return true
  }

  #remember(id: string, thread: Thread): void {
    this.#streams.delete(id)
    this.#streams.set(id, thread)
    const [oldest] = this.#streams.keys()
    if (this.#streams.size > STREAMS_MAX && oldest !== undefined) this.#streams.delete(oldest)
  }

  #free(fn: string): Thread | undefined {
    if (!this.#options.isPool) return this.#threads.find((thread) => thread.isReady)
    const offer = this.#offers.find((each) => each.name === fn)
    const running = [...this.#calls.values()].filter(
      (call) => call.thread !== undefined && call.header.fn === fn,
    ).length
    if (offer === undefined || running >= (offer.concurrency ?? running + 1)) return undefined
    const free = this.#threads.filter(
      ({ calls, isReady, isBusyForNobody }) =>
        isReady &&
        !isBusyForNobody &&
        calls.size < STREAMS_PER_THREAD &&
        ![...calls.values()].some((each) => !this.#isStream(each)),
    )
    return free.sort((a, b) => a.calls.size - b.calls.size)[0]
  }

  #isStream({ header }: HostedCall): boolean {
    return this.#offers.find((each) => each.name === header.fn)?.kind === 'stream'
  }

  #placeWaiting(): void {
    this.#waiting = this.#waiting.filter((call) => {
      if (!this.#place(call)) return true
      for (const frame of call.frames.splice(0)) call.thread?.worker.send(frame)
      return false
    })
  }

  #fromThread(thread: Thread, frame: Frame): void {
    if (frame.call === 0) {
      if (frame.type !== FRAME.RELEASE) return
      this.#streams.delete(String(decodeJson(frame.body).id))
      this.#session?.send(FRAME.RELEASE, 0, frame.body)
      return
    }
    const call = thread.calls.get(frame.call)
    if (call === undefined) return
    this.#session?.send(frame.type, frame.call, frame.body, frame.stream, frame.count, frame.flags)
    if (!isLast(frame, call.header)) return
    this.#forget(call)
    this.#placeWaiting()
  }

  /** T3. */
  #watch(thread: Thread): void {
    if (!this.#options.isPool || thread.isBusyForNobody || this.#isClosed) return
    const { worker } = thread
    const { time, log } = this.#options
    thread.isBusyForNobody = true
    let cancel = (): void => {}
    const look = (): void => {
      cancel = time.after(GRACE_MS, () => {
        if (thread.worker !== worker || this.#isClosed) return
        // Others have streams in it, which may come to their turn yet.
        if (thread.calls.size > 0) look()
        else {
          log('warn', 'a thread computes on for a call that was cancelled; another takes its place')
          void worker.terminate()
          this.#startWorker(thread, this.#threads.indexOf(thread))
        }
      })
    }
    look()
    worker.whenFree(() => {
      cancel()
      if (thread.worker !== worker) return
      thread.isBusyForNobody = false
      this.#placeWaiting()
    })
  }

  /** T2. */
  #lost(thread: Thread, index: number, why: string, failure?: PlainFailure): void {
    if (this.#isClosed) return
    if (this.#onStarted !== undefined) {
      const name = 'Error'
      const message = `a thread of ${this.#options.start.file} ended before it was ready: ${why}`
      this.#onStarted.reject(failure ?? { name, message, stack: message, code: undefined, isUsage: false })
      return
    }
    const { start, log, time } = this.#options
    const wasReady = thread.isReady
    const lost = [...thread.calls.values()]
    thread.isReady = false
    for (const [id, holder] of this.#streams) if (holder === thread) this.#streams.delete(id)
    void thread.worker.terminate()
    for (const call of lost) {
      const { fn, idempotent } = call.header
      this.#forget(call)
      const error = new RemoteError(
        'THREAD_LOST',
        `the thread that ran "${fn}" on node "${start.id}" ended: ${why}. The node goes on; whether the call came to its end is not known.`,
        { node: start.id, function: fn, retryable: idempotent === true },
      )
      this.#session?.send(FRAME.ERROR, call.number, encodeJson(toPlainError(error)))
    }
    const state = this.#options.isPool ? '' : '; what its functions had in variables is gone'
    log(
      'error',
      `a thread of ${start.file} ended: ${why}. Calls that failed with it: ${lost.length}; it starts again${state}`,
    )
    if (wasReady) this.#startWorker(thread, index)
    else {
      const waitMs = Math.min(RESTART_MAX_MS, RESTART_FIRST_MS * 2 ** thread.failures++)
      time.after(waitMs, () => {
        if (!this.#isClosed) this.#startWorker(thread, index)
      })
    }
  }

  #forget(call: HostedCall): void {
    this.#calls.delete(call.number)
    call.thread?.calls.delete(call.number)
    this.#waiting = this.#waiting.filter((each) => each !== call)
    if (this.#calls.size === 0) this.onIdle()
  }
}

/** How long a thread may take to end what it does. */
const CLOSE_MS = 1_000

function isLast(frame: Frame, { mode }: OpenHeader): boolean {
  if (hasMore(frame) || frame.stream !== 0) return false
  if (frame.type === FRAME.END || frame.type === FRAME.RESULT || frame.type === FRAME.ERROR) return true
  return frame.type === FRAME.PART && mode === 'call'
}

function fromPlainFailure({ name, message, stack, code, isUsage }: PlainFailure): Error {
  const error = isUsage ? new UsageError(code ?? 'REMOTE_FILE_EXPORT', message) : new Error(message)
  if (isUsage) return error
  return Object.assign(name === 'SyntaxError' ? new SyntaxError(message) : error, {
    stack,
    ...(code === undefined ? {} : { code }),
  })
}
