/**
 * Functions and streams for a flow: a client that connects when it is first used, in each thread that uses it, and closes when it has
 * not been used for a moment, so that a process whose flow has ended ends.
 */
import { type Duration, positiveDurationMs } from 'millrace/connector'
import { type GatewayAddress, openLink } from '../address.ts'
import {
  type CallOptions,
  type Client,
  type ClientOptions,
  type ContractedOptions,
  connectClient,
  proxy,
} from '../client/client.ts'
import type { Calls, Functions, FunctionsOf, RemoteStream, Streams } from '../client/types.ts'
import type { Contract } from '../contract/contract.ts'
import { RemoteError } from '../remote-error.ts'
import { realTime, type Time } from '../time.ts'

export interface RemoteOptions extends ClientOptions {
  /** The link is closed when no call has been open for so long; the next call opens it again. Default '1s'. */
  readonly idleAfter?: Duration
}

/** `call` and `stream` are those of a client. */
export interface Remote<F extends Functions = Functions> {
  readonly call: Calls<FunctionsOf<F>>
  readonly stream: Streams<FunctionsOf<F>>
  /** The same with other options. */
  with(options: CallOptions): Remote<F>
  /** Closes the link now; a later call opens it again. */
  close(): Promise<void>
}

/**
 * Functions of nodes for the module of a flow. `stream.mapAsync('assess', models.call.assess)` calls one per record: the id of
 * the step's call becomes the call's `context.id`, also when it runs again after a restart, and its timeout cancels the
 * function on the node.
 * @throws RemoteError from a call: `GATEWAY_UNREACHABLE` when there is no gateway within `reconnectWithin`, and what a client's do
 * @example
 * const models = remote<{ assess(text: string): number }>({ gateway: 'ws://127.0.0.1:8080' })
 * typeof models.call.assess // => 'function'
 */
export function remote<F extends Functions = Functions>(
  options: RemoteOptions & GatewayAddress & { readonly contract?: F & Contract },
): Remote<F> {
  const link = new LinkInUse(options)
  const face = (defaults: CallOptions): Remote<F> => ({
    call: proxy((fn, args) => link.call(defaults, fn, args)) as Calls<FunctionsOf<F>>,
    stream: proxy((fn, args) => new StreamInUse(link, defaults, fn, args)) as Streams<FunctionsOf<F>>,
    with: (more) => face({ ...defaults, ...more }),
    close: () => link.close(),
  })
  return face({})
}

type AnyCall = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>
type AnyStream = Readonly<Record<string, (...args: readonly unknown[]) => RemoteStream<unknown>>>

const PAUSE_FIRST_MS = 50
const PAUSE_MAX_MS = 1_000

/** One link for all calls of a thread. */
class LinkInUse {
  readonly #options: RemoteOptions & ContractedOptions & GatewayAddress
  readonly #time: Time
  readonly #idleMs: number
  readonly #withinMs: number
  #client: Promise<Client> | undefined
  #users = 0
  #cancelIdle = (): void => {}

  constructor(options: RemoteOptions & ContractedOptions & GatewayAddress) {
    this.#options = options
    this.#time = options.time ?? realTime
    this.#idleMs = positiveDurationMs(options.idleAfter ?? '1s', 'idleAfter')
    this.#withinMs = positiveDurationMs(options.reconnectWithin ?? '10s', 'reconnectWithin')
  }

  async call(defaults: CallOptions, fn: string, args: readonly unknown[]): Promise<unknown> {
    const client = await this.take(defaults)
    try {
      return await (client.call as AnyCall)[fn](...args)
    } finally {
      this.release()
    }
  }

  /** The client, which stays open until as many `release` have followed. */
  async take(defaults: CallOptions): Promise<Client> {
    this.#users++
    this.#cancelIdle()
    try {
      this.#client ??= this.#connect()
      const client = await this.#client
      return Object.keys(defaults).length === 0 ? client : client.with(defaults)
    } catch (error) {
      this.#client = undefined
      this.release()
      throw error
    }
  }

  release(): void {
    this.#users--
    if (this.#users === 0) this.#cancelIdle = this.#time.after(this.#idleMs, () => void this.close())
  }

  async close(): Promise<void> {
    this.#cancelIdle()
    const client = this.#client
    this.#client = undefined
    await client?.then(
      (open) => open.close(),
      () => {},
    )
  }

  /** A gateway that starts beside the flow may not listen yet. */
  async #connect(): Promise<Client> {
    const until = this.#time.now() + this.#withinMs
    for (let pauseMs = PAUSE_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS)) {
      try {
        return await connectClient(this.#options.gateway, () => openLink(this.#options), this.#options)
      } catch (error) {
        const mayPass = error instanceof RemoteError && error.code === 'GATEWAY_UNREACHABLE'
        if (!mayPass || this.#time.now() + pauseMs >= until) throw error
        await new Promise<void>((resolve) => this.#time.after(pauseMs, resolve))
      }
    }
  }
}

/** A stream that holds the link while it is open. */
class StreamInUse implements RemoteStream<unknown> {
  readonly #link: LinkInUse
  readonly #open: () => Promise<RemoteStream<unknown>>
  #stream: Promise<RemoteStream<unknown>> | undefined
  #isOver = false

  constructor(link: LinkInUse, defaults: CallOptions, fn: string, args: readonly unknown[]) {
    this.#link = link
    this.#open = async () => ((await link.take(defaults)).stream as AnyStream)[fn](...args)
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return { done: true, value: undefined }
    this.#stream ??= this.#open()
    const stream = await this.#stream.catch((error: unknown) => {
      // `take` has given the link back.
      this.#isOver = true
      throw error
    })
    try {
      const step = await stream.next()
      if (step.done === true) this.#end()
      return step
    } catch (error) {
      this.#end()
      throw error
    }
  }

  async return(): Promise<IteratorResult<unknown>> {
    const stream = await this.#stream?.catch(() => undefined)
    if (stream !== undefined) {
      await stream.cancel()
      this.#end()
    }
    this.#isOver = true
    return { done: true, value: undefined }
  }

  async cancel(): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#link.release()
  }
}
