/** The consumer's side of a stream: opens it, and, where it may be resumed, opens it again where it was. */
import { RemoteError } from '../remote-error.ts'
import type { ClientCall } from './client-call.ts'
import type { RemoteStream } from './types.ts'

export interface RemoteStreamOptions {
  readonly isResumable: boolean
  open(resume: { readonly id: string; readonly after: number } | undefined): Promise<ClientCall>
  /** Waits if need be. */
  mayOpenAgain(error: RemoteError): Promise<boolean>
  newId(): string
}

export class RemoteStreamReader implements RemoteStream<unknown> {
  readonly #options: RemoteStreamOptions
  readonly #id: string | undefined
  #call: Promise<ClientCall>
  #opened: ClientCall | undefined
  /** Items the consumer has been given. */
  #given = 0
  #isOver = false

  constructor(options: RemoteStreamOptions) {
    this.#options = options
    this.#id = options.isResumable ? options.newId() : undefined
    this.#call = this.#open()
    this.#call.catch(() => {})
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    // The common case without the cost of an async function.
    if (this.#opened !== undefined && this.#id === undefined && this.#given > 0) return this.#opened.items.next()
    return this.#next()
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#isOver = true
    const call = await this.#call.catch(() => undefined)
    await call?.items.return()
    return { done: true, value: undefined }
  }

  async cancel(): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #open(): Promise<ClientCall> {
    const call = await this.#options.open(this.#id === undefined ? undefined : { id: this.#id, after: this.#given })
    this.#opened = call
    return call
  }

  async #next(): Promise<IteratorResult<unknown>> {
    for (;;) {
      try {
        const result = await (await this.#call).items.next()
        if (result.done === true) this.#isOver = true
        else this.#given++
        return result
      } catch (error) {
        const isEarly = this.#given === 0 || this.#id !== undefined
        if (this.#isOver || !(error instanceof RemoteError) || !isEarly || !(await this.#options.mayOpenAgain(error))) {
          this.#isOver = true
          throw error
        }
        this.#call = this.#open()
        this.#call.catch(() => {})
      }
    }
  }
}
