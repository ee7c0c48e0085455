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
  /** Everything it had to say is sent. */
  onEnd(): void
}

/** Window of each stream among the arguments. */
const INPUT_CREDIT = { items: 256, bytes: 1024 * 1024 }

/** Reason of the signal after an ordinary end. */
const ENDED = new RemoteError('CANCELLED', 'the call has ended.')

/** Of a stream that is asked for as one value: more items are no list any more. */
const LIST_ITEMS_MAX = 1_000_000

export class NodeCall {
  readonly #options: NodeCallOptions
  readonly #abort = new AbortController()
  readonly #assembler: Assembler
  readonly #outlet: Outlet
  readonly #inputs: Inlet[] = []
  readonly #deadlineAtMs: number | undefined
  #args: unknown[] = []
  #iterator: AsyncIterator<unknown> | Iterator<unknown> | undefined
  #startedAtMs: number | undefined
  #isEnded = false
  #cancelDeadline = (): void => {}

  constructor(options: NodeCallOptions) {
    this.#options = options
    const { session, call, header, payloadBytesMax, time } = options
    this.#assembler = new Assembler(payloadBytesMax)
    this.#outlet = new Outlet(session, call, 0, header.credit, payloadBytesMax)
    if (header.deadlineMs !== undefined) {
      this.#deadlineAtMs = time.now() + header.deadlineMs
      this.#cancelDeadline = time.after(header.deadlineMs, () => this.fail(this.#late()))
    }
  }

  /** The first piece of the arguments. */
  open(frame: Frame, args: Uint8Array): void {
    this.#take({ ...frame, body: args })
  }

  onFrame(frame: Frame): void {
    const { stream } = frame
    switch (frame.type) {
      case FRAME.CANCEL:
        this.abandon(new RemoteError('CANCELLED', 'the caller wants no more.'))
        return
      case FRAME.CREDIT:
        if (stream === 0) this.#outlet.grant(frame.count, creditBytesOf(frame))
        return
      case FRAME.ERROR:
        this.#inputs[stream - 1]?.fail(fromPlainError(decodeJson(frame.body)))
        return
    }
    if (this.#isEnded) return
    try {
      if (stream === 0) this.#take(frame)
      else this.#inputs[stream - 1]?.add(frame)
    } catch (error) {
      this.fail(error)
    }
  }

  run(): void {
    const { session, call, time } = this.#options
    this.#startedAtMs = time.now()
    session.send(FRAME.STARTED, call)
    this.#run().catch((error) => this.fail(error))
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
    this.#outlet.close()
    this.#finish(error)
  }

  #take(frame: Frame): void {
    const { session, call, header } = this.#options
    if (frame.type === FRAME.PART) session.send(FRAME.CREDIT, call, creditBody(frame.body.length))
    const whole = this.#assembler.add(frame)
    if (whole === undefined) return
    const args = decode(whole.body)
    if (!Array.isArray(args)) throw new RemoteError('PROTOCOL_ERROR', 'the arguments are no list.')
    this.#args = args
    for (const position of header.streams ?? []) this.#args[position] = this.#input()
    this.#options.onReady(this)
  }

  #input(): Inlet {
    const { session, call, payloadBytesMax } = this.#options
    const stream = this.#inputs.length + 1
    const input = new Inlet(session, call, stream, INPUT_CREDIT, payloadBytesMax, () => {})
    this.#inputs.push(input)
    session.send(FRAME.CREDIT, call, creditBody(INPUT_CREDIT.bytes), stream, INPUT_CREDIT.items)
    return input
  }

  async #run(): Promise<void> {
    const { registered, header, time } = this.#options
    const { fn, options, name } = registered
    if (options.input !== undefined) {
      const checked = await validate(options.input, this.#args, 'the arguments', name)
      this.#args = Array.isArray(checked) ? checked : this.#args
    }
    if (this.#isEnded) return
    const context = this.#context()
    // A parameter more than there are arguments is for the context.
    const args = this.#args.length < fn.length ? [...this.#args] : this.#args
    if (this.#args.length < fn.length) args[fn.length - 1] = context
    let result: unknown = runInContext(context, () => fn(...args))
    if (result instanceof Promise) result = await result
    const iterator = iteratorOf(result)
    if (this.#isEnded) {
      await iterator?.return?.()
      return
    }
    if (iterator === undefined) await this.#value(result)
    else {
      const inContext = inContextOf(
        iterator,
        context,
        options.output === undefined ? undefined : (item) => this.#checked(item),
      )
      this.#iterator = inContext
      if (header.mode === 'stream') {
        await pump(inContext, this.#outlet, time, (thrown) => this.fail(thrown))
        this.#finish(ENDED)
      } else await this.#list(inContext)
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
    const { node, header, call, session } = this.#options
    const deadlineAtMs = this.#deadlineAtMs
    return {
      signal: this.#abort.signal,
      node,
      function: header.fn,
      id: header.id ?? `${session.peer}#${call}`,
      trace: header.trace,
      remainingMs: () =>
        deadlineAtMs === undefined ? undefined : Math.max(0, deadlineAtMs - this.#options.time.now()),
    }
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
    this.#abort.abort(reason)
    for (const input of this.#inputs) input.fail(reason)
    const iterator = this.#iterator
    this.#iterator = undefined
    // Queued behind a step that is under way; a generator that waits at a yield runs its `finally` now.
    Promise.resolve(iterator?.return?.()).catch(() => {})
    const ranMs = this.#startedAtMs === undefined ? undefined : this.#options.time.now() - this.#startedAtMs
    this.#options.onRan(this, ranMs)
    // A long result goes on as its credit allows.
    this.#outlet.whenSent(() => this.#options.onEnd())
  }
}

/** The iterator, with each step in the call's context, and its items checked. */
function inContextOf(
  iterator: AsyncIterator<unknown> | Iterator<unknown>,
  context: CallContext,
  check: ((item: unknown) => Promise<unknown>) | undefined,
): AsyncIterator<unknown> | Iterator<unknown> {
  const next = (): IteratorResult<unknown> | Promise<IteratorResult<unknown>> =>
    runInContext(context, () => iterator.next())
  const checkedNext = async (): Promise<IteratorResult<unknown>> => {
    const step = await next()
    return step.done === true || check === undefined ? step : { done: false, value: await check(step.value) }
  }
  return {
    next: check === undefined ? next : checkedNext,
    return: () => runInContext(context, () => iterator.return?.() ?? { done: true, value: undefined }),
  } as AsyncIterator<unknown>
}
