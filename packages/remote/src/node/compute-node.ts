/**
 * A compute node: registers functions at a gateway, which it dials, and runs the calls that come back on that link.
 *
 * Invariants:
 *  N1  A call is answered once: by a result, by the end of its stream, or by an error.
 *  N2  At most `concurrency` calls of a function run at once, at most `queueMax` wait; more are refused at once.
 *  N3  When a call ends for whatever reason its signal is aborted and its generator's `finally` has run or runs next.
 */
import { messageOf, UsageError } from 'millrace/connector'
import type { Contract, ContractSpec, ImplementationOf } from '../contract/contract.ts'
import type { SchemaOf } from '../contract/schema.ts'
import type { Link } from '../link/link.ts'
import { decodeJson, encodeJson } from '../protocol/codec.ts'
import { FRAME, type Frame } from '../protocol/frame.ts'
import {
  checkName,
  type FunctionKind,
  type Offer,
  type OfferedFunction,
  type OpenHeader,
  type Policy,
  PROTOCOL_VERSION,
  type Tags,
} from '../protocol/messages.ts'
import { splitOpen } from '../protocol/open-body.ts'
import { RemoteError, toPlainError } from '../remote-error.ts'
import { Connection } from '../session/connection.ts'
import type { Session } from '../session/session.ts'
import { realTime, type Time } from '../time.ts'
import type { CallContext } from './context.ts'
import type { FunctionHost } from './function-host.ts'
import { kindOf } from './kind.ts'
import { NodeCall } from './node-call.ts'

export interface NodeOptions {
  /** Unique among the nodes of a gateway: a later node of the same id takes its place. */
  readonly id: string
  readonly token?: string
  /** Facts that calls may ask for: `{ gpu: true, memGiB: 24, zone: 'b' }`. */
  readonly tags?: Tags
  /** Share of calls under the policy 'weighted'. Default 1. */
  readonly weight?: number
  /** Stacks of what functions throw reach the caller. Default true. */
  readonly stacks?: boolean
  /** How long a stream waits for its consumer to come back. Default 30,000. */
  readonly holdMs?: number
  /**
   * A second link from a thread of its own proves that the node lives while a function blocks its main thread. Default true,
   * except over NATS; false where no function can block.
   */
  readonly alive?: boolean
  /** Called when the link to the gateway is there, and when it is gone. */
  readonly onLink?: (isOpen: boolean) => void
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void
  /** CPU (0..1) and memory of this process, for lists; asked every five seconds. */
  readonly load?: () => NonNullable<Offer['load']>
  /** For tests and simulations. */
  readonly time?: Time
}

export interface FunctionOptions {
  readonly description?: string
  readonly version?: string
  /** For lists. Default: 'stream' for generators; a function that returns a stream otherwise says so here. */
  readonly kind?: FunctionKind
  /** Calls that run at once. Default 256. */
  readonly concurrency?: number
  /** Calls that wait beyond them; more are refused with RESOURCE_EXHAUSTED. Default 1,024. */
  readonly queueMax?: number
  /** How the gateway chooses between nodes that offer it. Default 'least-in-flight'. */
  readonly policy?: Policy
  /** Standard Schema of the list of arguments. */
  readonly input?: SchemaOf
  /** Standard Schema of the result, or of each item. */
  readonly output?: SchemaOf
  /** Their JSON Schemas, for tools that list functions. */
  readonly inputJson?: Readonly<Record<string, unknown>>
  readonly outputJson?: Readonly<Record<string, unknown>>
}

/** For every function of a contract. */
export type ImplementOptions = Pick<FunctionOptions, 'version' | 'concurrency' | 'queueMax' | 'policy'>

// biome-ignore lint/suspicious/noExplicitAny: the constraint of any function; no value has this type
export type NodeFunction = (...args: any[]) => unknown

export interface Registered {
  readonly name: string
  readonly fn: NodeFunction
  readonly options: FunctionOptions
  readonly concurrency: number
  readonly queueMax: number
  running: number
  readonly queue: NodeCall[]
  /** Moving average of how long calls take, for saying when to come again. */
  averageMs: number
}

const CONCURRENCY = 256
const QUEUE_MAX = 1024
const LOAD_MS = 5_000
/** How long a stream waits for its consumer to come back. */
const HOLD_MS = 30_000
/** Streams that wait; beyond them the one that waits longest is given up. */
const HELD_STREAMS_MAX = 1_000
const BUFFER_BYTES_MAX = 256 * 1024 * 1024

export class ComputeNode {
  readonly id: string
  readonly #options: NodeOptions
  readonly #time: Time
  readonly #connection: Connection
  readonly #functions = new Map<string, Registered>()
  readonly #calls = new Map<number, NodeCall>()
  /** Functions that run in other threads. */
  readonly #hosts: FunctionHost[] = []
  /** Streams whose consumers have gone and may come back, by name. */
  readonly #held = new Map<string, { readonly call: NodeCall; readonly cancelEnd: () => void }>()
  #payloadBytesMax = 0
  #isDraining = false
  #cancelLoad = (): void => {}
  #onEnded: (error: RemoteError) => void = () => {}
  #whenIdle: (() => void)[] = []

  constructor(address: string, connect: () => Promise<Link>, options: NodeOptions) {
    this.id = checkName('node id', options.id)
    this.#options = options
    this.#time = options.time ?? realTime
    this.#connection = new Connection({
      address,
      time: this.#time,
      bufferBytesMax: BUFFER_BYTES_MAX,
      connect,
      hello: () => ({
        version: PROTOCOL_VERSION,
        role: 'node',
        id: this.id,
        offer: this.offer,
        ...(options.token === undefined ? {} : { token: options.token }),
      }),
      onWelcome: (session, welcome) => {
        this.#payloadBytesMax = welcome.payloadBytesMax
        for (const host of this.#hosts) host.link(session, welcome.payloadBytesMax)
        this.onWelcome(welcome.session, welcome.secret)
        this.#reportLoad()
        options.onLink?.(true)
      },
      onFrame: (frame) => this.#onFrame(frame),
      onLost: (error) => {
        this.#onLost(error)
        options.onLink?.(false)
      },
      onEnded: (error) => {
        this.#cancelLoad()
        this.#onEnded(error)
      },
      ...(options.log === undefined ? {} : { log: options.log }),
    })
  }

  /** Why the node will not connect again: it was closed, refused, or another took its id (FENCED). Never rejects. */
  readonly ended = new Promise<RemoteError>((resolve) => {
    this.#onEnded = resolve
  })

  /** Set by whoever proves from another thread that this node lives. */
  onWelcome: (session: string, secret: string) => void = () => {}

  /**
   * Offers a function: plain, async, a generator, an async generator, or one that returns a ReadableStream.
   * Functions that declare one parameter more than they are given get the `CallContext` as the last.
   * @throws UsageError `REMOTE_FUNCTION` for a name that is taken or no name, an option out of its range
   */
  register<A>(name: string, fn: (a: A, context: CallContext) => unknown, options?: FunctionOptions): this
  register<A, B>(name: string, fn: (a: A, b: B, context: CallContext) => unknown, options?: FunctionOptions): this
  register(name: string, fn: NodeFunction, options?: FunctionOptions): this
  register(name: string, fn: NodeFunction, options: FunctionOptions = {}): this {
    if (typeof fn !== 'function')
      throw new UsageError('REMOTE_FUNCTION', `"${name}" is ${typeof fn}; it must be a function.`)
    if (this.#functions.has(name))
      throw new UsageError('REMOTE_FUNCTION', `"${name}" is registered already; unregister it first.`)
    checkName('function', name)
    if (name.startsWith('$')) throw new UsageError('REMOTE_FUNCTION', `"${name}": names with $ are the gateway's own.`)
    const concurrency = whole('concurrency', options.concurrency ?? CONCURRENCY, 1)
    const queueMax = whole('queueMax', options.queueMax ?? QUEUE_MAX, 0)
    this.#functions.set(name, { name, fn, options, concurrency, queueMax, running: 0, queue: [], averageMs: 0 })
    this.#sendOffer()
    return this
  }

  /** Offers every function of an object, as the default export of a file for `millrace node`. */
  registerAll(functions: Readonly<Record<string, unknown>>, options: FunctionOptions = {}): this {
    for (const [name, fn] of Object.entries(functions)) {
      if (typeof fn === 'function') this.register(name, fn as NodeFunction, options)
    }
    return this
  }

  /**
   * Offers the functions of a contract. Arguments and results are held against it, always.
   * @throws UsageError `REMOTE_FUNCTION` when a function of the contract is missing, or a name is taken
   */
  implement<S extends ContractSpec>(
    contract: Contract<S>,
    implementation: ImplementationOf<S>,
    options: ImplementOptions = {},
  ): this {
    for (const { name, kind, description, input, output, inputJson, outputJson } of contract.functions.values()) {
      const fn = implementation[name] as NodeFunction | undefined
      if (typeof fn !== 'function')
        throw new UsageError('REMOTE_FUNCTION', `the contract has a function "${name}"; the implementation has none.`)
      this.register(name, fn.bind(implementation), {
        ...options,
        ...{ kind, input },
        ...(description === undefined ? {} : { description }),
        ...(output === undefined ? {} : { output }),
        ...(inputJson === undefined ? {} : { inputJson }),
        ...(outputJson === undefined ? {} : { outputJson }),
      })
    }
    return this
  }

  /**
   * Offers the functions of hosts. Their calls are this node's: drained with them, and ended with them.
   * @throws UsageError `REMOTE_FUNCTION` for a name that is taken; then none of them is offered
   */
  attach(...hosts: readonly FunctionHost[]): void {
    const names = hosts.flatMap((host) => host.offers.map((offer) => offer.name))
    const taken = names.find((name) => this.#functions.has(name) || this.#hostOf(name) !== undefined)
    if (taken !== undefined) {
      throw new UsageError('REMOTE_FUNCTION', `"${taken}" is registered already; unregister it first.`)
    }
    const { session } = this.#connection
    for (const host of hosts) {
      this.#hosts.push(host)
      host.onIdle = () => this.#whenIdleNow()
      if (session !== undefined) host.link(session, this.#payloadBytesMax)
    }
    this.#sendOffer()
  }

  /** What a host of this node's functions needs to know of it. */
  get settings() {
    const { id, stacks = true, holdMs, log = () => {} } = this.#options
    return { id, stacks, holdMs, log, time: this.#time }
  }

  #hostOf(name: string): FunctionHost | undefined {
    return this.#hosts.find((host) => host.offers.some((offer) => offer.name === name))
  }

  /** Calls that run come to their end; new ones are not accepted. */
  unregister(name: string): void {
    this.#functions.delete(name)
    this.#sendOffer()
  }

  /** Connects, and keeps the link. @throws RemoteError `GATEWAY_UNREACHABLE`, or what the gateway refuses with */
  async start(): Promise<void> {
    await this.#connection.open()
  }

  /** Connects as soon as there is a gateway, and keeps the link. */
  async startPatiently(withinMs = Number.POSITIVE_INFINITY): Promise<void> {
    this.#connection.keepOpening()
    await this.#connection.ready(withinMs)
  }

  /** Takes no new calls; resolves when those that run have ended. */
  async drain(): Promise<void> {
    this.#isDraining = true
    this.#connection.session?.send(FRAME.DRAIN, 0)
    if (this.#isIdle) return
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  /** Ends every call, and the link. */
  async close(): Promise<void> {
    const session = this.#connection.session
    for (const call of [...this.#calls.values()]) {
      call.fail(new RemoteError('UNAVAILABLE', `node "${this.id}" stops.`, { node: this.id, retryable: true }))
    }
    await Promise.all(this.#hosts.map((host) => host.close()))
    await session?.drained()
    this.#connection.close()
    this.#cancelLoad()
  }

  get inFlight(): number {
    return this.#hosts.reduce((sum, host) => sum + host.inFlight, this.#calls.size)
  }

  /** Streams that wait for their consumers to come back. */
  get heldStreams(): number {
    return this.#held.size
  }

  get #isIdle(): boolean {
    return this.inFlight === 0 && [...this.#held.values()].every(({ call }) => call.isEnded)
  }

  /** What this node tells its gateway. */
  get offer(): Offer {
    const { tags, weight, load } = this.#options
    const held = [...this.#held.keys(), ...this.#hosts.flatMap((host) => host.held)]
    const own = [...this.#functions.values()].map(
      ({ name, fn, options, concurrency }): OfferedFunction => ({
        name,
        kind: options.kind ?? kindOf(fn),
        concurrency,
        ...(options.description === undefined ? {} : { description: options.description }),
        ...(options.version === undefined ? {} : { version: options.version }),
        ...(options.policy === undefined ? {} : { policy: options.policy }),
        ...(options.inputJson === undefined ? {} : { input: options.inputJson }),
        ...(options.outputJson === undefined ? {} : { output: options.outputJson }),
      }),
    )
    return {
      functions: [...own, ...this.#hosts.flatMap((host) => host.offers)],
      ...(tags === undefined ? {} : { tags }),
      ...(weight === undefined ? {} : { weight }),
      ...(held.length === 0 ? {} : { held }),
      ...(load === undefined ? {} : { load: load() }),
    }
  }

  #sendOffer(): void {
    this.#connection.session?.send(FRAME.OFFER, 0, encodeJson(this.offer))
  }

  #reportLoad(): void {
    this.#cancelLoad()
    if (this.#options.load === undefined) return
    this.#cancelLoad = this.#time.after(LOAD_MS, () => {
      this.#sendOffer()
      this.#reportLoad()
    })
  }

  #onFrame(frame: Frame): void {
    if (frame.type !== FRAME.OPEN && this.#hosts.some((host) => host.onFrame(frame))) return
    if (frame.type === FRAME.RELEASE) this.#giveUp(String(decodeJson(frame.body).id), RELEASED)
    else if (frame.type === FRAME.HOLD) this.#onHold(frame.call)
    // It may have ended while this was on its way.
    else if (frame.type !== FRAME.OPEN) this.#calls.get(frame.call)?.onFrame(frame)
    else this.#onOpen(frame)
  }

  #onOpen(frame: Frame): void {
    const session = this.#connection.session
    if (session === undefined) return
    if (this.#calls.has(frame.call)) throw new RemoteError('PROTOCOL_ERROR', `call ${frame.call} is open already.`)
    const { header, args } = splitOpen(frame.body)
    try {
      const host = this.#hostOf(header.fn)
      if (host !== undefined && (header.resume?.isAgain === true || !this.#isDraining)) {
        host.open(frame, header)
        return
      }
      if (header.resume?.isAgain === true) {
        this.#resume(session, frame.call, header)
        return
      }
      if (this.#isDraining) {
        throw new RemoteError('UNAVAILABLE', `node "${this.id}" takes no new calls.`, { retryable: true })
      }
      const registered = this.#functions.get(header.fn)
      if (registered === undefined) {
        throw new RemoteError('NOT_FOUND', `node "${this.id}" does not offer "${header.fn}" any more.`, {
          function: header.fn,
        })
      }
      if (registered.running >= registered.concurrency && registered.queue.length >= registered.queueMax) {
        throw exhausted(this.id, registered)
      }
      const call = new NodeCall({
        session,
        time: this.#time,
        call: frame.call,
        node: this.id,
        header,
        registered,
        withStacks: this.#options.stacks !== false,
        payloadBytesMax: this.#payloadBytesMax,
        onReady: (ready) => this.#enqueue(registered, ready),
        onRan: (ran, ranMs) => this.#ran(registered, ran, ranMs),
        onEnd: (ended) => this.#ended(ended),
      })
      this.#calls.set(frame.call, call)
      call.open(frame, args)
    } catch (thrown) {
      const error =
        thrown instanceof RemoteError ? thrown : new RemoteError('INTERNAL', messageOf(thrown), { cause: thrown })
      session.send(FRAME.ERROR, frame.call, encodeJson({ ...toPlainError(error, false), node: this.id }))
    }
  }

  /** N2. */
  #enqueue(registered: Registered, call: NodeCall): void {
    if (registered.running < registered.concurrency) {
      registered.running++
      call.run()
    } else {
      registered.queue.push(call)
      call.queue()
    }
  }

  #ran(registered: Registered, call: NodeCall, ranMs: number | undefined): void {
    if (ranMs === undefined) {
      const at = registered.queue.indexOf(call)
      if (at >= 0) registered.queue.splice(at, 1)
    } else {
      registered.running--
      registered.averageMs += 0.1 * (ranMs - registered.averageMs)
      const next = registered.queue.shift()
      if (next === undefined) return
      registered.running++
      next.runQueued()
    }
  }

  #ended(call: NodeCall): void {
    if (this.#calls.get(call.number) === call) {
      this.#calls.delete(call.number)
      // The consumer may not have heard the end.
      if (call.hold()) this.#hold(call)
    }
    this.#whenIdleNow()
  }

  #whenIdleNow(): void {
    if (this.#isIdle) for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  #onLost(error: RemoteError): void {
    for (const host of this.#hosts) host.link(undefined, 0)
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) {
      if (call.holdAfterLoss()) this.#hold(call)
      else call.abandon(error)
    }
    this.#whenIdleNow()
  }

  /** The gateway has lost the client of a call. */
  #onHold(number: number): void {
    const call = this.#calls.get(number)
    if (call === undefined) return
    this.#calls.delete(number)
    if (call.hold()) this.#hold(call)
    else call.abandon(new RemoteError('CANCELLED', 'the caller is gone.'))
  }

  #hold(call: NodeCall): void {
    const holdMs = this.#options.holdMs ?? HOLD_MS
    const { id } = call.header.resume as { readonly id: string }
    this.#giveUp(id, RELEASED)
    const [oldest] = this.#held.keys()
    if (this.#held.size >= HELD_STREAMS_MAX && oldest !== undefined) this.#giveUp(oldest, HELD_TOO_LONG)
    const cancelEnd = this.#time.after(holdMs, () => this.#giveUp(id, HELD_TOO_LONG))
    this.#held.set(id, { call, cancelEnd })
  }

  #resume(session: Session, number: number, header: OpenHeader): void {
    const { id, after } = header.resume as { readonly id: string; readonly after: number }
    const held = this.#held.get(id)
    if (held === undefined) {
      throw new RemoteError('STREAM_LOST', `node "${this.id}" does not keep this stream of "${header.fn}" any more.`, {
        data: { after },
      })
    }
    this.#held.delete(id)
    held.cancelEnd()
    this.#calls.set(number, held.call)
    try {
      held.call.resume(session, number, header)
    } catch (error) {
      this.#calls.delete(number)
      held.call.abandon(HELD_TOO_LONG)
      throw error
    }
  }

  /** Ends a stream that nobody came back for: its `finally` runs, and the gateway forgets it. */
  #giveUp(id: string, reason: RemoteError): void {
    const held = this.#held.get(id)
    if (held === undefined) return
    this.#held.delete(id)
    held.cancelEnd()
    held.call.abandon(reason)
    this.#connection.session?.send(FRAME.RELEASE, 0, encodeJson({ id }))
    this.#whenIdleNow()
  }
}

const RELEASED = new RemoteError('CANCELLED', 'the consumer has what it wanted.')
const HELD_TOO_LONG = new RemoteError('STREAM_LOST', 'the consumer did not come back in time.')

function exhausted(node: string, { name, concurrency, queueMax, averageMs, queue }: Registered): RemoteError {
  const retryAfterMs = Math.max(10, Math.ceil((averageMs * queue.length) / concurrency))
  return new RemoteError(
    'RESOURCE_EXHAUSTED',
    `node "${node}" runs ${concurrency} calls of "${name}" and ${queueMax} wait, as many as may; come again in ${retryAfterMs} ms.`,
    { node, function: name, retryable: true, data: { retryAfterMs, concurrency, queueMax } },
  )
}

function whole(name: string, value: number, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new UsageError('REMOTE_FUNCTION', `${name} is ${String(value)}; it must be a whole number of at least ${min}.`)
}
