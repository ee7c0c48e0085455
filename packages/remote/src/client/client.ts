/**
 * A client: calls functions of nodes through a gateway, and reads their streams. It runs in Node and in browsers.
 *
 * Invariants:
 *  K1  A call ends once, with a value or a RemoteError.
 *  K2  A call that may have begun is not sent again, unless it is idempotent.
 */
import type { Duration } from 'millrace/connector'
import { durationMs } from 'millrace/connector'
import type { Contract } from '../contract/contract.ts'
import { validate } from '../contract/schema.ts'
import type { NodeStatus } from '../gateway/gateway-core.ts'
import type { Link } from '../link/link.ts'
import type { Frame } from '../protocol/frame.ts'
import { type CallMode, type OfferedFunction, type Policy, PROTOCOL_VERSION, type Tags } from '../protocol/messages.ts'
import { RemoteError } from '../remote-error.ts'
import { Connection } from '../session/connection.ts'
import type { Credit } from '../session/outlet.ts'
import type { Session } from '../session/session.ts'
import { realTime, type Time } from '../time.ts'
import { ClientCall } from './client-call.ts'
import { RemoteStreamReader } from './remote-stream.ts'
import { splitStepContext } from './step-context.ts'
import type { Calls, Functions, FunctionsOf, RemoteStream, Streams } from './types.ts'

export interface CallOptions {
  /** The call fails with DEADLINE_EXCEEDED when it takes longer, in all: at client, gateway and node. Default: none. */
  readonly deadline?: Duration | number
  readonly signal?: AbortSignal
  /** Tags that the node must have: numbers are a least amount, everything else must be equal. */
  readonly where?: Tags
  /** The node that must take it. */
  readonly node?: string
  /** Name of the call, which its function sees as `context.id`: give the same when calling again. Default: a new one. */
  readonly id?: string
  /** Calls of one key go to one node, while the nodes stay the same. */
  readonly key?: string
  /** Instead of the function's own policy. */
  readonly policy?: Policy
  /** May run twice: then it is sent again when a node or the gateway is lost. Default false. */
  readonly idempotent?: boolean
  /** A stream goes on where it was when the gateway or the link was lost. Default false. */
  readonly resumable?: boolean
  /** What the node may send ahead of the consumer. Default 256 items and 1 MiB. */
  readonly window?: Partial<Credit>
  /** W3C traceparent. */
  readonly trace?: string
}

export interface ClientOptions extends CallOptions {
  readonly token?: string
  /** How long a call waits for a gateway that is away. Default '10s'. */
  readonly reconnectWithin?: Duration
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Arguments are held against it before they are sent, as they are on the node. */
  readonly contract?: Contract
  /** For tests and simulations. */
  readonly time?: Time
}

export interface Client<F extends Functions = Functions> {
  /** One value per call; a stream comes as a list. */
  readonly call: Calls<FunctionsOf<F>>
  /** Items as they come; a plain function gives one. */
  readonly stream: Streams<FunctionsOf<F>>
  /** The same client with other options: `client.with({ deadline: '1s' }).call.add(1, 2)`. */
  with(options: CallOptions): Client<F>
  nodes(): Promise<readonly NodeStatus[]>
  functions(): Promise<readonly (OfferedFunction & { readonly nodes: readonly string[] })[]>
  close(): Promise<void>
}

const WINDOW: Credit = { items: 256, bytes: 1024 * 1024 }

/** A gateway that has just come back may not have its nodes yet. */
const SETTLE_MS = 2_000
const SETTLE_STEP_MS = 50

const ATTEMPTS_MAX = 3

/** Connects once, so that a wrong address or token shows at once; after that the link is kept. */
export async function connectClient<F extends Functions>(
  address: string,
  connect: () => Promise<Link>,
  options: ClientOptions = {},
): Promise<Client<F>> {
  const core = new ClientCore(address, connect, options)
  await core.start()
  return core.face<F>(options)
}

class ClientCore {
  readonly time: Time
  readonly #connection: Connection
  readonly #calls = new Map<number, ClientCall>()
  readonly #reconnectWithinMs: number
  readonly #contract: Contract | undefined
  #nextCall = 0
  #payloadBytesMax = 0

  constructor(address: string, connect: () => Promise<Link>, options: ClientOptions) {
    this.time = options.time ?? realTime
    this.#reconnectWithinMs = durationMs(options.reconnectWithin ?? '10s', 'reconnectWithin')
    this.#contract = options.contract
    const { token, log } = options
    this.#connection = new Connection({
      address,
      time: this.time,
      bufferBytesMax: 256 * 1024 * 1024,
      connect,
      hello: () => ({ version: PROTOCOL_VERSION, role: 'client', ...(token === undefined ? {} : { token }) }),
      onWelcome: (_, { payloadBytesMax }) => {
        this.#payloadBytesMax = payloadBytesMax
      },
      onFrame: (frame) => this.#onFrame(frame),
      onLost: (error) => this.#onLost(error),
      ...(log === undefined ? {} : { log }),
    })
  }

  start(): Promise<void> {
    return this.#connection.open()
  }

  face<F extends Functions>(defaults: CallOptions): Client<F> {
    const call = proxy((fn, given) => {
      const { args, options } = splitStepContext(given, defaults)
      return this.call(fn, args, options)
    })
    const stream = proxy((fn, args) => this.stream(fn, args, defaults))
    return {
      call: call as Calls<FunctionsOf<F>>,
      stream: stream as Streams<FunctionsOf<F>>,
      with: (options) => this.face<F>({ ...defaults, ...options }),
      nodes: () => this.call('$nodes', [], {}) as Promise<readonly NodeStatus[]>,
      functions: () => this.call('$functions', [], {}) as ReturnType<Client['functions']>,
      close: () => this.close(),
    }
  }

  async call(fn: string, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    const deadlineAtMs = this.#deadlineOf(options)
    if (this.#contract !== undefined) await this.#check(fn, args)
    for (let attempt = 1; ; attempt++) {
      const session = this.#connection.session ?? (await this.#session(deadlineAtMs, options.signal))
      const opened = this.open(session, fn, args, 'call', options, deadlineAtMs)
      try {
        return await opened.value
      } catch (error) {
        if (!(error instanceof RemoteError) || !(await this.#mayRetry(error, attempt, options, deadlineAtMs)))
          throw error
      }
    }
  }

  stream(fn: string, args: readonly unknown[], options: CallOptions): RemoteStream<unknown> {
    const deadlineAtMs = this.#deadlineOf(options)
    let attempt = 0
    return new RemoteStreamReader({
      isResumable: options.resumable === true,
      open: async (resume) => {
        if (this.#contract !== undefined) await this.#check(fn, args)
        const session = this.#connection.session ?? (await this.#session(deadlineAtMs, options.signal))
        return this.open(session, fn, args, 'stream', options, deadlineAtMs, resume)
      },
      mayOpenAgain: (error) => this.#mayRetry(error, ++attempt, options, deadlineAtMs),
      newId: () =>
        `${Math.floor(this.time.random() * 2 ** 48).toString(36)}-${Math.floor(this.time.random() * 2 ** 48).toString(36)}`,
    })
  }

  open(
    session: Session,
    fn: string,
    args: readonly unknown[],
    mode: CallMode,
    options: CallOptions,
    deadlineAtMs: number | undefined,
    resume?: { readonly id: string; readonly after: number },
  ): ClientCall {
    const { where, node, id, key, policy, idempotent, trace, signal, window } = options
    const number = this.#newCall()
    const call = new ClientCall({
      session,
      time: this.time,
      call: number,
      args,
      header: {
        fn,
        mode,
        credit: { ...WINDOW, ...window },
        ...(where === undefined ? {} : { where }),
        ...(node === undefined ? {} : { node }),
        ...(id === undefined ? {} : { id }),
        ...(key === undefined ? {} : { key }),
        ...(policy === undefined ? {} : { policy }),
        ...(idempotent === true ? { idempotent } : {}),
        ...(trace === undefined ? {} : { trace }),
        ...(resume === undefined ? {} : { resume }),
      },
      deadlineAtMs,
      signal,
      payloadBytesMax: this.#payloadBytesMax,
      onEnd: () => this.#calls.delete(number),
    })
    this.#calls.set(number, call)
    call.start()
    return call
  }

  /** What the schemas make of the arguments is the node's; they are sent as they are. */
  async #check(fn: string, args: readonly unknown[]): Promise<void> {
    const { input } = this.#contract?.functions.get(fn) ?? {}
    if (input !== undefined) await validate(input, args, 'the arguments', fn)
  }

  async close(): Promise<void> {
    const session = this.#connection.session
    for (const call of [...this.#calls.values()]) call.cancel(new RemoteError('CANCELLED', 'the client was closed.'))
    await session?.drained()
    this.#connection.close()
  }

  #onFrame(frame: Frame): void {
    // It may have ended while this was on its way.
    this.#calls.get(frame.call)?.onFrame(frame)
  }

  #onLost(error: RemoteError): void {
    for (const call of [...this.#calls.values()]) call.fail(error)
  }

  #session(deadlineAtMs: number | undefined, signal: AbortSignal | undefined): Promise<Session> {
    if (signal?.aborted === true) throw cancelled(signal)
    const leftMs = deadlineAtMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, deadlineAtMs - this.time.now())
    return this.#connection.ready(Math.min(this.#reconnectWithinMs, leftMs))
  }

  /** Waits a moment and says true when the call may be sent once more. */
  async #mayRetry(
    error: RemoteError,
    attempt: number,
    options: CallOptions,
    deadlineAtMs: number | undefined,
  ): Promise<boolean> {
    const now = this.time.now()
    if (options.signal?.aborted === true || (deadlineAtMs !== undefined && now >= deadlineAtMs)) return false
    if (error.code === 'NOT_FOUND' || error.code === 'UNAVAILABLE') {
      const since = this.#connection.reconnectedAtMs
      if (since === undefined || now - since > SETTLE_MS) return false
      await new Promise<void>((resolve) => this.time.after(SETTLE_STEP_MS, resolve))
      return true
    }
    const isLoss = error.code === 'CONNECTION_LOST' || error.code === 'NODE_LOST'
    return isLoss && (options.idempotent === true || options.resumable === true) && attempt < ATTEMPTS_MAX
  }

  #deadlineOf({ deadline }: CallOptions): number | undefined {
    if (deadline === undefined) return undefined
    const ms = typeof deadline === 'number' ? deadline : durationMs(deadline, 'deadline')
    if (!(ms > 0 && Number.isFinite(ms))) {
      throw new RemoteError('INVALID_ARGUMENT', `a deadline of ${ms} ms; it must be more than 0.`)
    }
    return this.time.now() + ms
  }

  #newCall(): number {
    do {
      this.#nextCall = this.#nextCall === 0xffff_ffff ? 1 : this.#nextCall + 1
    } while (this.#calls.has(this.#nextCall))
    return this.#nextCall
  }
}

export function cancelled(signal: AbortSignal): RemoteError {
  const reason = signal.reason as unknown
  if (reason instanceof RemoteError) return reason
  return new RemoteError('CANCELLED', 'the caller cancelled the call.', { cause: reason })
}

/** Functions by name; a promise it is not, so that it may be awaited. */
function proxy(invoke: (fn: string, args: readonly unknown[]) => unknown): unknown {
  const known = new Map<string, (...args: unknown[]) => unknown>()
  return new Proxy(Object.freeze({}), {
    get(_, name) {
      if (typeof name !== 'string' || name === 'then') return undefined
      let fn = known.get(name)
      if (fn === undefined) {
        fn = (...args: unknown[]) => invoke(name, args)
        known.set(name, fn)
      }
      return fn
    },
  })
}
