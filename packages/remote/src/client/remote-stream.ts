/**
 * The consumer's side of a stream: opens it, and, where it may be resumed, opens it again behind the last item it has given.
 *
 * Invariants:
 *  P1  Items are given in order, each once, also across links; then one end or one error.
 *  P2  After `return` nothing is opened, and what was being opened is ended.
 *  P3  A stream that may be resumed is asked for one item at a time, so that what was given is known when its link breaks.
 */
import type { OpenHeader } from '../protocol/messages.ts'
import { RemoteError } from '../remote-error.ts'
import type { ClientCall } from './client-call.ts'
import type { RemoteStream } from './types.ts'

export interface RemoteStreamOptions {
  readonly isResumable: boolean
  open(resume: OpenHeader['resume']): Promise<ClientCall>
  /** Waits if need be. `hasBegun`: the stream is to go on, not to begin anew. */
  mayOpenAgain(error: RemoteError, hasBegun: boolean): Promise<boolean>
  newId(): string
}

export class RemoteStreamReader implements RemoteStream<unknown> {
  readonly #options: RemoteStreamOptions
  readonly #id: string | undefined
  #call: Promise<ClientCall>
  #opened: ClientCall | undefined
  /** Items the consumer has been given. */
  #given = 0
  /** Set by the first request, and for a stream that may be resumed by each (P3): the one before it. */
  #last: Promise<unknown> | undefined
  #isOver = false

  constructor(options: RemoteStreamOptions) {
    this.#options = options
    this.#id = options.isResumable ? options.newId() : undefined
    this.#call = this.#open(false)
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    // The common case without the cost of an async function. What was given matters only before the first item, where
    // a stream that cannot be resumed may still be opened anew.
    if (this.#given > 0 && this.#id === undefined && this.#opened !== undefined) return this.#opened.items.next()
    const next = this.#last === undefined ? this.#next() : this.#last.then(() => this.#next())
    this.#last = next.catch(() => {})
    return next
  }

  return(): Promise<IteratorResult<unknown>> {
    this.#isOver = true
    // Not waited for: it may be opened only when a gateway comes back.
    this.#call.then((call) => call.items.return()).catch(() => {})
    return Promise.resolve({ done: true, value: undefined })
  }

  async cancel(): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #open(isAgain: boolean): Promise<ClientCall> {
    this.#opened = undefined
    const resume =
      this.#id === undefined ? undefined : { id: this.#id, after: this.#given, ...(isAgain ? { isAgain } : {}) }
    const call = this.#options.open(resume).then((opened) => {
      // P2.
      if (this.#isOver) void opened.items.return()
      this.#opened = opened
      return opened
    })
    // Told by `next`.
    call.catch(() => {})
    return call
  }

  async #next(): Promise<IteratorResult<unknown>> {
    while (!this.#isOver) {
      try {
        const call = await this.#call
        const result = await call.items.next()
        if (result.done === true) this.#isOver = true
        else this.#given++
        return result
      } catch (error) {
        const hasBegun = this.#id !== undefined && this.#opened !== undefined
        const isEarly = this.#given === 0 || this.#id !== undefined
        const isOver = this.#isOver || !(error instanceof RemoteError) || !isEarly
        if (isOver || !(await this.#options.mayOpenAgain(error, hasBegun))) {
          this.#isOver = true
          throw error
        }
        if (!this.#isOver) this.#call = this.#open(hasBegun)
      }
    }
    return { done: true, value: undefined }
  }
}
