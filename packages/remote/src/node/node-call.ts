/** One call on a node: arguments come in, the function runs, its value or items go out. */

import { validate } from '../contract/schema.ts'
import { decode, decodeJson } from '../protocol/codec.ts'
import { creditBody, creditBytesOf, FRAME, type Frame } from '../protocol/frame.ts'
import type { OpenHeader } from '../protocol/messages.ts'
import { fromPlainError, RemoteError, toPlainError } from '../remote-error.ts'
import { Assembler, Inlet } from '../session/inlet.ts'
import { Outlet } from '../session/outlet.ts'
import { pump } from '../session/pump.ts'
import type { Session } from '../session/session.ts'
import type { Time } from '../time.ts'
import type { Registered } from './compute-node.ts'
import { type CallContext, runInContext } from './context.ts'
import { iteratorOf } from './kind.ts'

export interface NodeCallOptions {
  readonly session: Session
  readonly time: Time
  /** Number of the call on the session. */
  readonly call: number
  readonly node: string
  readonly header: OpenHeader
  readonly registered: Registered
  readonly withStacks: boolean
  readonly payloadBytesMax: number
  /** The arguments are whole. */
  onReady(call: NodeCall): void
  /** It runs no more; `ranMs` is undefined for a call that never ran. */
  onRan(call: NodeCall, ranMs: number | undefined): void
  /** Everything it had to say is sent, or there is nobody to hear it. */
  onEnd(call: NodeCall): void
}

/** Window of each stream among the arguments. */
const INPUT_CREDIT = { items: 256, bytes: 1024 * 1024 }

/** Reason of the signal after an ordinary end. */
const ENDED = new RemoteError('CANCELLED', 'the call has ended.')

/** Of a stream that is asked for as one value: more items are no list any more. */
const LIST_ITEMS_MAX = 1_000_000

export class NodeCall {
  readonly #options: NodeCallOptions
  readonly #assembler: Assembler
  readonly #outlet: Outlet
  readonly #inputs: Inlet[] = []
  readonly #deadlineAtMs: number | undefined
  #args: unknown[] = []
  /** Made when the function asks for its signal: most do not. */
  #abort: AbortController | undefined
  #reason: unknown
  #endIterator: () => unknown = () => {}
  #startedAtMs: number | undefined
  #isEnded = false
  /** Nobody will ask for what it has not said. */
  #isAbandoned = false
  #isWhole = false
  /** It said that it begins, and waits until the gateway knows. */
  #awaitsGateway = false
  /** Its function has begun and has not come to its end, whether somebody waits for it or not. */
  #isRunning = false
  #session: Session
  #call: number
  #cancelDeadline = (): void => {}

  constructor(options: NodeCallOptions) {
    this.#options = options
    const { session, call, header, payloadBytesMax, time } = options
    this.#session = session
    this.#call = call
    this.#assembler = new Assembler(payloadBytesMax)
    this.#outlet = new Outlet(session, call, 0, header.credit, payloadBytesMax)
    if (this.mayBeResumed) this.#outlet.keep()
    // What the caller says of an empty or broken stream may come before the last piece of the arguments.
    for (const [i] of (header.streams ?? []).entries()) {
      this.#inputs.push(new Inlet(session, call, i + 1, INPUT_CREDIT, payloadBytesMax, () => {}))
    }
    if (header.deadlineMs !== undefined) {
      this.#deadlineAtMs = time.now() + header.deadlineMs
      this.#cancelDeadline = time.after(header.deadlineMs, () => this.fail(this.#late()))
    }
  }

  /** Number of the call on its present session. */
  get number(): number {
    return this.#call
  }

  /** Is its stream kept for a consumer that comes back? */
  get mayBeResumed(): boolean {
    const { header } = this.#options
    return header.resume !== undefined && header.mode === 'stream' && (header.streams ?? []).length === 0
  }

  get header(): OpenHeader {
    return this.#options.header
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** The consumer of its stream has gone and may come back. False: there is nothing to keep. */
  hold(): boolean {
    if (!this.mayBeResumed || this.#isAbandoned || !this.#isWhole) return false
    this.#outlet.detach()
    if (this.#awaitsGateway) this.#begin()
    return true
  }

  /** The link broke: what has not begun may run on another node, so it must not run here. */
  holdAfterLoss(): boolean {
    return this.#startedAtMs !== undefined && !this.#awaitsGateway && this.hold()
  }

  /**
   * The consumer is back, and has `after` items.
   * @throws RemoteError `STREAM_LOST`
   */
  resume(session: Session, call: number, { resume, credit }: OpenHeader): void {
    this.#session = session
    this.#call = call
    if (this.#startedAtMs !== undefined) session.send(FRAME.STARTED, call)
    else session.send(FRAME.QUEUED, call)
    this.#outlet.attach(session, call, resume?.after ?? 0, credit)
    if (this.#isEnded) this.#outlet.whenSent(() => this.#options.onEnd(this))
  }

  /** The first piece of the arguments. */
  open(frame: Frame, args: Uint8Array): void {
    this.onFrame({ ...frame, body: args })
  }

  onFrame(frame: Frame): void {
    const { stream } = frame
    try {
      switch (frame.type) {
        case FRAME.CANCEL:
          this.abandon(new RemoteError('CANCELLED', 'the caller wants no more.'))
          return
        case FRAME.CREDIT:
          if (stream === 0) this.#outlet.grant(frame.count, creditBytesOf(frame))
          return
        case FRAME.STARTED:
          if (this.#awaitsGateway) this.#begin()
          return
      }
      if (this.#isEnded) return
      if (stream === 0) this.#take(frame)
      else if (frame.type === FRAME.ERROR) this.#inputs[stream - 1]?.fail(fromPlainError(decodeJson(frame.body)))
      else this.#inputs[stream - 1]?.add(frame)
    } catch (error) {
      this.fail(error)
    }
  }

  run(): void {
    this.#session.send(FRAME.STARTED, this.#call)
    this.#begin()
  }

  /** It has to wait for others to end. */
  queue(): void {
    this.#session.send(FRAME.QUEUED, this.#call)
  }

  /** It has waited, and may begin once the gateway knows that it does. */
  runQueued(): void {
    this.#startedAtMs = this.#options.time.now()
    if (this.#outlet.isDetached) this.#begin()
    else {
      this.#awaitsGateway = true
      this.#session.send(FRAME.STARTED, this.#call)
    }
  }

  #begin(): void {
    this.#awaitsGateway = false
    this.#startedAtMs = this.#options.time.now()
    const context = this.#context()
    this.#isRunning = true
    runInContext(context, () => this.#run(context))
      .catch((error) => this.fail(error))
      .then(() => {
        this.#isRunning = false
        this.#ran()
      })
  }

  /** What was cancelled has its place until its function has come to its end: whoever opens and cancels must not run more at once. */
  #ran(): void {
    const ranMs = this.#startedAtMs === undefined ? undefined : this.#options.time.now() - this.#startedAtMs
    this.#options.onRan(this, ranMs)
  }

  /** Answers with an error. */
  fail(thrown: unknown): void {
    if (this.#isEnded) return
    const { node, header, withStacks } = this.#options
    this.#outlet.error({ ...toPlainError(thrown, withStacks), node, function: header.fn })
    this.#finish(thrown)
  }

  /** There is nobody to answer: the caller has cancelled, or the link is gone. */
  abandon(error: RemoteError): void {
    this.#isAbandoned = true
    this.#outlet.close()
    this.#finish(error)
  }

  #take(frame: Frame): void {
    const { header } = this.#options
    if (frame.type === FRAME.PART) this.#session.send(FRAME.CREDIT, this.#call, creditBody(frame.body.length))
    const whole = this.#assembler.add(frame)
    if (whole === undefined) return
    const args = decode(whole.body)
    if (!Array.isArray(args)) throw new RemoteError('PROTOCOL_ERROR', 'the arguments are no list.')
    this.#args = args
    this.#isWhole = true
    for (const [i, position] of (header.streams ?? []).entries()) {
      if (position >= args.length) throw new RemoteError('PROTOCOL_ERROR', `there is no argument ${position}.`)
      this.#args[position] = this.#inputs[i]
      this.#session.send(FRAME.CREDIT, this.#call, creditBody(INPUT_CREDIT.bytes), i + 1, INPUT_CREDIT.items)
    }
    this.#options.onReady(this)
  }

  /** In the context of the call: what is awaited here goes on in it, each step of a generator too. */
  async #run(context: CallContext): Promise<void> {
    const { registered, header, time } = this.#options
    const { fn, options, name } = registered
    if (options.input !== undefined) {
      const checked = await validate(options.input, this.#args, 'the arguments', name)
      this.#args = Array.isArray(checked) ? checked : this.#args
    }
    if (this.#isEnded) return
    // A parameter more than there are arguments is for the context.
    const args = this.#args.length < fn.length ? [...this.#args] : this.#args
    if (this.#args.length < fn.length) args[fn.length - 1] = context
    let result: unknown = fn(...args)
    if (result instanceof Promise) result = await result
    const iterator = iteratorOf(result)
    if (this.#isEnded) {
      await iterator?.return?.()
      return
    }
    if (iterator === undefined) await this.#value(result)
    else {
      const items = options.output === undefined ? iterator : checkedItems(iterator, (item) => this.#checked(item))
      // Whoever ends the call is outside of its context.
      this.#endIterator = () => runInContext(context, () => items.return?.())
      if (header.mode === 'stream') {
        await pump(items, this.#outlet, time, (thrown) => this.fail(thrown))
        this.#finish(ENDED)
      } else await this.#list(items)
    }
  }

  async #value(value: unknown): Promise<void> {
    const checked = await this.#checked(value)
    if (this.#isEnded) return
    if (this.#options.header.mode === 'call') this.#outlet.result(checked)
    else {
      await this.#outlet.ready()
      if (this.#isEnded) return
      this.#outlet.offer(checked)
      this.#outlet.end()
    }
    this.#finish(ENDED)
  }

  async #list(iterator: AsyncIterator<unknown> | Iterator<unknown>): Promise<void> {
    const { header } = this.#options
    const items: unknown[] = []
    for (;;) {
      const step = await iterator.next()
      if (this.#isEnded) return
      if (step.done === true) break
      if (items.push(step.value) > LIST_ITEMS_MAX) {
        throw new RemoteError(
          'PAYLOAD_TOO_LARGE',
          `"${header.fn}" gives more than ${LIST_ITEMS_MAX} items; read it as a stream.`,
        )
      }
    }
    this.#outlet.result(items)
    this.#finish(ENDED)
  }

  async #checked(value: unknown): Promise<unknown> {
    const { output } = this.#options.registered.options
    if (output === undefined) return value
    try {
      return await validate(output, value, 'the result', this.#options.header.fn)
    } catch (cause) {
      throw new RemoteError('INTERNAL', `"${this.#options.header.fn}" returned what its contract refuses.`, { cause })
    }
  }

  #context(): CallContext {
    const { node, header } = this.#options
    const deadlineAtMs = this.#deadlineAtMs
    const signal = (): AbortSignal => this.#signal
    return {
      get signal() {
        return signal()
      },
      node,
      function: header.fn,
      id: header.id ?? `${this.#session.peer}#${this.#call}`,
      trace: header.trace,
      remainingMs: () =>
        deadlineAtMs === undefined ? undefined : Math.max(0, deadlineAtMs - this.#options.time.now()),
    }
  }

  get #signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#isEnded) this.#abort.abort(this.#reason)
    return this.#abort.signal
  }

  #late(): RemoteError {
    const { header, node } = this.#options
    const ms = Math.round(header.deadlineMs ?? 0)
    return new RemoteError('DEADLINE_EXCEEDED', `"${header.fn}" did not end within its ${ms} ms.`, {
      function: header.fn,
      node,
    })
  }

  /** N3. */
  #finish(reason: unknown): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#cancelDeadline()
    this.#reason = reason
    this.#abort?.abort(reason)
    for (const input of this.#inputs) input.fail(reason)
    const endIterator = this.#endIterator
    this.#endIterator = () => {}
    // Queued behind a step that is under way; a generator that waits at a yield runs its `finally` now.
    Promise.resolve(endIterator()).catch(() => {})
    if (!this.#isRunning) this.#ran()
    // A long result goes on as its credit allows.
    this.#outlet.whenSent(() => this.#options.onEnd(this))
  }
}

/** The iterator, with its items checked. */
function checkedItems(
  iterator: AsyncIterator<unknown> | Iterator<unknown>,
  check: (item: unknown) => Promise<unknown>,
): AsyncIterator<unknown> {
  return {
    async next() {
      const step = await iterator.next()
      return step.done === true ? step : { done: false, value: await check(step.value) }
    },
    return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
  }
}
