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
import {
  type CallMode,
  type OfferedFunction,
  type OpenHeader,
  type Policy,
  PROTOCOL_VERSION,
  type Tags,
} from '../protocol/messages.ts'
import { RemoteError } from '../remote-error.ts'
import { Connection } from '../session/connection.ts'
import type { Credit } from '../session/outlet.ts'
import { isStream } from '../session/pump.ts'
import type { Session } from '../session/session.ts'
import { realTime, type Time } from '../time.ts'
import { ClientCall } from './client-call.ts'
import { broadcast, race } from './many-nodes.ts'
import { RemoteStreamReader } from './remote-stream.ts'
import { failureOfAttempt, splitStepContext } from './step-context.ts'
import type { Broadcasts, Calls, Functions, FunctionsOf, RemoteStream, Streams } from './types.ts'

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
  /** For tests and simulations. */
  readonly time?: Time
}

export interface ContractedOptions extends ClientOptions {
  /** Arguments are held against it before they are sent, as they are on the node. */
  readonly contract?: Contract
}

export interface Client<F extends Functions = Functions> {
  /** One value per call; a stream comes as a list. */
  readonly call: Calls<FunctionsOf<F>>
  /** Items as they come; a plain function gives one. */
  readonly stream: Streams<FunctionsOf<F>>
  /** Every node that offers the function is called; each answers for itself, with a value or an error. */
  readonly broadcast: Broadcasts<FunctionsOf<F>>
  /** The two least busy nodes that offer the function are called; the first value counts, the other call is cancelled. */
  readonly race: Calls<FunctionsOf<F>>
  /** The same client with other options: `client.with({ deadline: '1s' }).call.add(1, 2)`. */
  with(options: CallOptions): Client<F>
  nodes(): Promise<readonly NodeStatus[]>
  functions(): Promise<readonly (OfferedFunction & { readonly nodes: readonly string[] })[]>
  close(): Promise<void>
}

const WINDOW_MAX = 2 ** 31 - 1
const TEXT_CHARS_MAX = 4096
const WINDOW: Credit = { items: 256, bytes: 1024 * 1024 }

/** A gateway that has just come back may not have its nodes yet. */
const SETTLE_MS = 2_000
const SETTLE_STEP_MS = 50
const SETTLE_STEP_MAX_MS = 500

/** A stream that went on for this long was found again. */
const RESUMED_MS = 2_000
const LOSSES: readonly string[] = ['CONNECTION_LOST', 'NODE_LOST']

const ATTEMPTS_MAX = 3

/** Connects once, so that a wrong address or token shows at once; after that the link is kept. */
export async function connectClient<F extends Functions>(
  address: string,
  connect: () => Promise<Link>,
  options: ContractedOptions = {},
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
  #name: string | undefined
  #named = 0
  #payloadBytesMax = 0

  constructor(address: string, connect: () => Promise<Link>, options: ContractedOptions) {
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
    checkOptions(defaults)
    const call = proxy((fn, given) => {
      const { args, options, isStep } = splitStepContext(given, defaults)
      const value = this.call(fn, args, options)
      return isStep ? value.catch((error) => Promise.reject(failureOfAttempt(error))) : value
    })
    const stream = proxy((fn, args) => this.stream(fn, args, defaults))
    return {
      call: call as Calls<FunctionsOf<F>>,
      stream: stream as Streams<FunctionsOf<F>>,
      broadcast: proxy((fn, args) => broadcast(this, fn, args, defaults)) as Broadcasts<FunctionsOf<F>>,
      race: proxy((fn, args) => race(this, fn, args, defaults)) as Calls<FunctionsOf<F>>,
      with: (options) => this.face<F>({ ...defaults, ...options }),
      nodes: () => this.call('$nodes', [], {}) as Promise<readonly NodeStatus[]>,
      functions: () => this.call('$functions', [], {}) as ReturnType<Client['functions']>,
      close: () => this.close(),
    }
  }

  async call(fn: string, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    const deadlineAtMs = this.#deadlineOf(options)
    if (this.#contract !== undefined) await this.#check(fn, args)
    const id = options.id ?? this.#newId()
    for (let attempt = 1; ; attempt++) {
      const session = this.#connection.session ?? (await this.#session(deadlineAtMs, options.signal))
      const opened = this.open(session, fn, args, 'call', options, id, deadlineAtMs)
      try {
        return await opened.value
      } catch (error) {
        // A stream among the arguments has been read, and cannot be given again.
        const mayRetry = error instanceof RemoteError && !args.some(isStream)
        if (!mayRetry || !(await this.#mayRetry(error, attempt, options, deadlineAtMs))) throw error
      }
    }
  }

  stream(fn: string, args: readonly unknown[], options: CallOptions): RemoteStream<unknown> {
    const deadlineAtMs = this.#deadlineOf(options)
    let attempt = 0
    const mayResume = this.#resuming(options, deadlineAtMs)
    const id = options.id ?? this.#newId()
    // A stream among the arguments has been read, and cannot be given again.
    const isRepeatable = !args.some(isStream)
    return new RemoteStreamReader({
      isResumable: options.resumable === true && isRepeatable,
      open: async (resume) => {
        if (this.#contract !== undefined) await this.#check(fn, args)
        const session = this.#connection.session ?? (await this.#session(deadlineAtMs, options.signal))
        return this.open(session, fn, args, 'stream', options, id, deadlineAtMs, resume)
      },
      mayOpenAgain: async (error, hasBegun) => {
        if (!isRepeatable) return false
        return hasBegun ? mayResume(error) : this.#mayRetry(error, ++attempt, options, deadlineAtMs)
      },
      newId: () => this.#newName(),
    })
  }

  open(
    session: Session,
    fn: string,
    args: readonly unknown[],
    mode: CallMode,
    options: CallOptions,
    id: string,
    deadlineAtMs: number | undefined,
    resume?: OpenHeader['resume'],
  ): ClientCall {
    const { where, node, key, policy, idempotent, trace, signal, window } = options
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
        id,
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

  async #session(deadlineAtMs: number | undefined, signal: AbortSignal | undefined): Promise<Session> {
    if (signal?.aborted === true) throw cancelled(signal)
    const leftMs = deadlineAtMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, deadlineAtMs - this.time.now())
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(cancelled(signal as AbortSignal))
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([this.#connection.ready(Math.min(this.#reconnectWithinMs, leftMs)), aborted.promise])
    } catch (error) {
      if (deadlineAtMs === undefined || this.time.now() < deadlineAtMs) throw error
      throw new RemoteError('DEADLINE_EXCEEDED', 'there was no gateway before the deadline of the call.', {
        cause: error,
      })
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
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
    return isLoss && options.idempotent === true && attempt < ATTEMPTS_MAX
  }

  /** Waits, and says true while a stream that was lost may still be found: as long as a call waits for a gateway. */
  #resuming({ signal }: CallOptions, deadlineAtMs: number | undefined): (error: RemoteError) => Promise<boolean> {
    let lostAtMs = Number.NEGATIVE_INFINITY
    let triedAtMs = Number.NEGATIVE_INFINITY
    let stepMs = SETTLE_STEP_MS
    return async (error) => {
      const now = this.time.now()
      // What had lasted for a while is lost anew.
      if (now - triedAtMs > RESUMED_MS) {
        lostAtMs = now
        stepMs = SETTLE_STEP_MS
      }
      const isLost = LOSSES.includes(error.code) || (error.code === 'STREAM_LOST' && error.retryable)
      const isLate = deadlineAtMs !== undefined && now >= deadlineAtMs
      if (!isLost || isLate || signal?.aborted === true || now - lostAtMs >= this.#reconnectWithinMs) return false
      if (error.code !== 'CONNECTION_LOST') await new Promise<void>((resolve) => this.time.after(stepMs, resolve))
      stepMs = Math.min(stepMs * 2, SETTLE_STEP_MAX_MS)
      triedAtMs = this.time.now()
      return true
    }
  }

  #deadlineOf({ deadline }: CallOptions): number | undefined {
    if (deadline === undefined) return undefined
    const ms = typeof deadline === 'number' ? deadline : durationMs(deadline, 'deadline')
    if (!(ms > 0 && Number.isFinite(ms))) {
      throw new RemoteError('INVALID_ARGUMENT', `a deadline of ${ms} ms; it must be more than 0.`)
    }
    return this.time.now() + ms
  }

  /** Nobody else can guess it, but in a simulation. */
  #newName(): string {
    const words = new Uint32Array(4)
    if (this.time === realTime) crypto.getRandomValues(words)
    else words.forEach((_, i) => void (words[i] = this.time.random() * 2 ** 32))
    return [...words].map((word) => word.toString(36)).join('-')
  }

  /** The same for every attempt of a call, and no other call's. */
  #newId(): string {
    this.#name ??= this.#newName()
    return `${this.#name}.${++this.#named}`
  }

  #newCall(): number {
    do {
      this.#nextCall = this.#nextCall === 0xffff_ffff ? 1 : this.#nextCall + 1
    } while (this.#calls.has(this.#nextCall))
    return this.#nextCall
  }
}

/** What the gateway would take for a broken peer. @throws RemoteError `INVALID_ARGUMENT` */
function checkOptions({ window, where, ...options }: CallOptions): void {
  const refuse = (what: string, value: unknown, rule: string): never => {
    throw new RemoteError('INVALID_ARGUMENT', `the option ${what} is ${String(value)}; it must be ${rule}.`)
  }
  for (const [name, value] of Object.entries(window ?? {})) {
    const isWhole = Number.isSafeInteger(value) && value >= 1 && value <= WINDOW_MAX
    if (!isWhole) refuse(`window.${name}`, value, `a whole number from 1 to ${WINDOW_MAX}`)
  }
  for (const [name, value] of Object.entries(where ?? {})) {
    const isTag = ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
    if (!isTag) refuse(`where.${name}`, value, 'a text, a finite number or a boolean')
  }
  for (const name of ['node', 'key', 'id', 'trace'] as const) {
    const value: unknown = options[name]
    const isText = value === undefined || (typeof value === 'string' && value.length <= TEXT_CHARS_MAX)
    if (!isText) refuse(name, value, `a text of at most ${TEXT_CHARS_MAX} characters`)
  }
}

export function cancelled(signal: AbortSignal): RemoteError {
  const reason = signal.reason as unknown
  if (reason instanceof RemoteError) return reason
  return new RemoteError('CANCELLED', 'the caller cancelled the call.', { cause: reason })
}

/** Functions by name; a promise it is not, so that it may be awaited. */
export function proxy(invoke: (fn: string, args: readonly unknown[]) => unknown): unknown {
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
