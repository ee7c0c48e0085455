/** One call of a client on one link: its arguments go out, its value or items come in. */

import { decode, decodeJson, encode, encodeJson } from '../protocol/codec.ts'
import { ARGS_CREDIT_BYTES, creditBody, creditBytesOf, FRAME, type Frame } from '../protocol/frame.ts'
import type { OpenHeader } from '../protocol/messages.ts'
import { openBody } from '../protocol/open-body.ts'
import { fromPlainError, RemoteError } from '../remote-error.ts'
import { Assembler, Inlet } from '../session/inlet.ts'
import { Outlet, tooLarge } from '../session/outlet.ts'
import { asyncIteratorOf, pump } from '../session/pump.ts'
import type { Session } from '../session/session.ts'
import type { Time } from '../time.ts'

export interface ClientCallOptions {
  readonly session: Session
  readonly time: Time
  readonly call: number
  readonly header: OpenHeader
  readonly args: readonly unknown[]
  readonly deadlineAtMs: number | undefined
  readonly signal: AbortSignal | undefined
  readonly payloadBytesMax: number
  onEnd(): void
}

/** After these the node may still have the stream. */
const LOSSES: readonly string[] = ['CONNECTION_LOST', 'NODE_LOST', 'STREAM_LOST']

export class ClientCall {
  /** The value of a 'call'. */
  readonly value: Promise<unknown>
  /** The items of a 'stream'. */
  readonly items: Inlet
  readonly #options: ClientCallOptions
  readonly #assembler: Assembler
  readonly #outlets: Outlet[] = []
  #inputs: AsyncIterator<unknown>[] = []
  #resolve: (value: unknown) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #isEnded = false
  #cancelDeadline = (): void => {}
  readonly #onAbort = (): void => {
    const reason = this.#options.signal?.reason as unknown
    this.cancel(
      reason instanceof RemoteError
        ? reason
        : new RemoteError('CANCELLED', `the call of "${this.#options.header.fn}" was cancelled here.`, {
            cause: reason,
          }),
    )
  }

  constructor(options: ClientCallOptions) {
    this.#options = options
    const { session, call, header, payloadBytesMax } = options
    this.#assembler = new Assembler(payloadBytesMax)
    this.items = new Inlet(session, call, 0, header.credit, payloadBytesMax, () => this.cancel(undefined))
    this.value = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // A stream's failure shows in its items.
    this.value.catch(() => {})
  }

  start(): void {
    const { session, call, header, args, signal, deadlineAtMs, time, payloadBytesMax } = this.#options
    if (signal?.aborted === true) {
      this.#onAbort()
      return
    }
    const leftMs = deadlineAtMs === undefined ? undefined : deadlineAtMs - time.now()
    if (leftMs !== undefined && leftMs <= 0) {
      this.#onDeadline()
      return
    }
    const streams: number[] = []
    const plain = args.map((arg, i) => {
      const iterator = asyncIteratorOf(arg)
      if (iterator === undefined) return arg
      streams.push(i)
      this.#inputs.push(iterator)
      return null
    })
    try {
      const body = encode(plain)
      if (body.length > payloadBytesMax) throw tooLarge(body.length, payloadBytesMax)
      const opening = openBody(
        {
          ...header,
          ...(streams.length === 0 ? {} : { streams }),
          ...(leftMs === undefined ? {} : { deadlineMs: leftMs }),
        },
        body,
      )
      const outlet = new Outlet(session, call, 0, { items: 0, bytes: ARGS_CREDIT_BYTES }, payloadBytesMax)
      this.#outlets.push(outlet)
      outlet.open(opening)
    } catch (error) {
      this.fail(error)
      return
    }
    this.#inputs.forEach((iterator, i) => {
      const outlet = new Outlet(session, call, i + 1, { items: 0, bytes: 0 }, payloadBytesMax)
      this.#outlets.push(outlet)
      void pump(iterator, outlet, time)
    })
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (leftMs !== undefined) this.#cancelDeadline = time.after(leftMs, () => this.#onDeadline())
  }

  onFrame(frame: Frame): void {
    if (this.#isEnded) return
    const { session, call, header } = this.#options
    const isStream = header.mode === 'stream'
    try {
      if (frame.type === FRAME.CREDIT) this.#outlets[frame.stream]?.grant(frame.count, creditBytesOf(frame))
      else if (frame.type === FRAME.ERROR) {
        const error = fromPlainError(decodeJson(frame.body))
        this.fail(error, !LOSSES.includes(error.code))
      } else if (frame.type === FRAME.END && isStream) {
        this.items.add(frame)
        this.#end(true)
      } else if (isStream && (frame.type === FRAME.ITEMS || frame.type === FRAME.PART)) this.items.add(frame)
      else if (!isStream && (frame.type === FRAME.RESULT || frame.type === FRAME.PART)) {
        if (frame.type === FRAME.PART) session.send(FRAME.CREDIT, call, creditBody(frame.body.length))
        const whole = this.#assembler.add(frame)
        if (whole === undefined) return
        this.#resolve(decode(whole.body))
        this.#end()
      } else
        throw new RemoteError('PROTOCOL_ERROR', `a ${header.mode} is not answered by a frame of type ${frame.type}.`)
    } catch (error) {
      this.cancel(error)
    }
  }

  /** The call has failed; the node need not be told, but for a stream that it would keep. */
  fail(error: unknown, isReleased = false): void {
    if (this.#isEnded) return
    this.items.fail(error)
    this.#reject(error)
    this.#end(isReleased)
  }

  /** Ends the call here and at the node. */
  cancel(error: unknown): void {
    if (this.#isEnded) return
    this.#options.session.send(FRAME.CANCEL, this.#options.call)
    this.fail(
      error ?? new RemoteError('CANCELLED', `the call of "${this.#options.header.fn}" was cancelled here.`),
      true,
    )
  }

  #onDeadline(): void {
    const { fn } = this.#options.header
    this.cancel(new RemoteError('DEADLINE_EXCEEDED', `"${fn}" did not end before its deadline.`, { function: fn }))
  }

  /** `isReleased`: nobody will resume its stream. */
  #end(isReleased = false): void {
    this.#isEnded = true
    const { session, header } = this.#options
    if (isReleased && header.resume !== undefined) session.send(FRAME.RELEASE, 0, encodeJson({ id: header.resume.id }))
    this.#cancelDeadline()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    for (const outlet of this.#outlets) outlet.close()
    for (const input of this.#inputs) input.return?.()?.then(undefined, () => {})
    this.#inputs = []
    this.#options.onEnd()
  }
}
