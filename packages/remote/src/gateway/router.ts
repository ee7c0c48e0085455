/**
 * Calls under way: a route per call joins the client's number of it with the node's, and frames are passed on by their
 * headers. Bodies are opaque.
 *
 * Invariants:
 *  R1  A route ends once: by the node's END, RESULT or ERROR, by the client's CANCEL, by its deadline, or with a link.
 *  R2  A call goes to another node only while it has certainly not begun (QUEUED, and not STARTED), or when it is idempotent
 *      and nothing of its result has left.
 *  R3  Who sends more than its receiver granted breaks the protocol: of a node the call fails, of a client the link, which is
 *      its own; nobody else waits. The same for a body above the limit, of which the call fails.
 *  R4  Nothing waits here: what the consumer has not granted is still at the producer. A client that sends faster than a
 *      node takes is not read for a while.
 *  R5  A stream that may be resumed is, when its client is lost, at one place: on a route, or held by a node.
 */
import { decodeJson, encodeJson } from '../protocol/codec.ts'
import { ARGS_CREDIT_BYTES, creditBytesOf, FRAME, type Frame, hasMore, PIECE_BYTES } from '../protocol/frame.ts'
import type { OpenHeader } from '../protocol/messages.ts'
import { openBody } from '../protocol/open-body.ts'
import { RemoteError, toPlainError } from '../remote-error.ts'
import { tooLarge } from '../session/outlet.ts'
import type { Session } from '../session/session.ts'
import type { Time } from '../time.ts'
import { Flow } from './flow.ts'
import { FigureBook } from './function-figures.ts'
import { HeldStreams } from './held-streams.ts'
import type { NodeEntry, Registry } from './registry.ts'

/** A client or a node, with its calls by the number they have on its link. */
export interface Party {
  readonly session: Session
  readonly calls: Map<number, Route>
  /** Of a client: whose its streams are. Another gateway speaks for its own clients, and has none. */
  readonly owner?: string
}

export interface NodeParty extends Party {
  readonly entry: NodeEntry
  /** Of the link: nodes behind another gateway share one. */
  readonly numbers: { last: number }
}

interface Route {
  readonly client: Party
  readonly clientCall: number
  readonly header: OpenHeader
  node: NodeParty
  nodeCall: number
  readonly openedAtMs: number
  /** When the deadline strikes, on this clock. */
  readonly deadlineAtMs: number | undefined
  /** Kept until the node has started, where placing the call again is possible. */
  args: Uint8Array | undefined
  isQueued: boolean
  hasStarted: boolean
  /** Part of the result has gone to the client. */
  hasResult: boolean
  /** The result, as granted by the client. */
  readonly down: Flow
  /** The arguments, and the streams among them, as granted by the node. */
  readonly up: Flow[]
  /** Name under which its stream is kept. */
  readonly streamId: string | undefined
  isOver: boolean
  cancelDeadline: () => void
}

/** How a route ended: `held`, its client was lost and its stream waits at the node. */
type Outcome = 'finished' | 'failed' | 'cancelled' | 'held'

/** Arguments that are kept for placing calls again, in all; calls beyond it fail with their node. */
const ARGS_KEPT_BYTES_MAX = 64 * 1024 * 1024

/** A client is not read while this much of what it and others sent waits for a node, until a quarter of it does. */
const NODE_BUFFER_BYTES = 16 * 1024 * 1024

/** Opened = finished + failed + cancelled + held + in flight. */
export interface RouterStats {
  opened: number
  finished: number
  failed: number
  cancelled: number
  held: number
  resumed: number
  placedAgain: number
  items: number
  bytes: number
}

export class Router {
  readonly stats: RouterStats = {
    ...{ opened: 0, finished: 0, failed: 0, cancelled: 0, held: 0, resumed: 0, placedAgain: 0, items: 0, bytes: 0 },
  }
  readonly figures = new FigureBook()
  readonly #registry: Registry
  readonly #time: Time
  readonly #payloadBytesMax: number
  readonly #partyOf: (entry: NodeEntry) => NodeParty
  readonly #held: HeldStreams
  /** Routes of streams that may be resumed. */
  readonly #streams = new Map<string, Route>()
  #open = 0
  #keptBytes = 0

  constructor(registry: Registry, time: Time, payloadBytesMax: number, partyOf: (entry: NodeEntry) => NodeParty) {
    this.#registry = registry
    this.#time = time
    this.#payloadBytesMax = payloadBytesMax
    this.#partyOf = partyOf
    this.#held = new HeldStreams(() => time.now())
  }

  get inFlight(): number {
    return this.#open
  }

  /** Streams that wait at nodes for their consumers. */
  get heldStreams(): number {
    return this.#held.size
  }

  /** Places a new call, or joins one again with its stream. @throws RemoteError when no node can take it */
  open(client: Party, frame: Frame, asked: OpenHeader, args: Uint8Array, isLocal = false): void {
    const header = owned(asked, client.owner)
    const isAgain = header.resume?.isAgain === true
    const node = isAgain ? this.#holder(header) : this.#partyOf(this.#registry.pick(header, undefined, isLocal))
    const { deadlineMs, credit, streams = [] } = header
    const now = this.#time.now()
    const mayPlaceAgain = !isAgain && !hasMore(frame) && streams.length === 0 && args.length <= PIECE_BYTES
    const isKept = mayPlaceAgain && this.#keptBytes + args.length <= ARGS_KEPT_BYTES_MAX
    const route: Route = {
      client,
      clientCall: frame.call,
      header,
      node,
      nodeCall: 0,
      openedAtMs: now,
      deadlineAtMs: deadlineMs === undefined ? undefined : now + deadlineMs,
      args: isKept ? args.slice() : undefined,
      isQueued: false,
      hasStarted: isAgain,
      hasResult: isAgain,
      down: new Flow(credit.items, credit.bytes),
      up: [new Flow(0, ARGS_CREDIT_BYTES), ...streams.map(() => new Flow(0, 0))],
      streamId: header.mode === 'stream' && streams.length === 0 ? header.resume?.id : undefined,
      isOver: false,
      cancelDeadline: () => {},
    }
    route.up[0].measure({ ...frame, body: args })
    const body = this.#opening(route, args)
    if (isKept) this.#keptBytes += args.length
    client.calls.set(frame.call, route)
    if (route.streamId !== undefined) {
      this.#held.forget(route.streamId)
      this.#streams.set(route.streamId, route)
    }
    if (deadlineMs !== undefined) {
      route.cancelDeadline = this.#time.after(Math.max(0, deadlineMs), () => this.#fail(route, late(route, deadlineMs)))
    }
    this.stats.opened++
    this.figures.opened(header.fn)
    if (isAgain) this.stats.resumed++
    this.#open++
    this.#assign(route, body, frame.flags)
  }

  /** A frame of a client for one of its calls. @throws RemoteError `PROTOCOL_ERROR` */
  fromClient(client: Party, frame: Frame): void {
    if (frame.type === FRAME.RELEASE) {
      this.#release(client, frame)
      return
    }
    const route = client.calls.get(frame.call)
    // It may have ended while this was on its way.
    if (route === undefined) return
    const { session } = route.node
    switch (frame.type) {
      case FRAME.CANCEL:
        session.send(FRAME.CANCEL, route.nodeCall)
        this.#end(route, 'cancelled')
        return
      case FRAME.HOLD:
        // Of another gateway, for a client of its own.
        this.#hold(route)
        return
      case FRAME.CREDIT: {
        const bytes = creditBytesOf(frame)
        if (frame.stream !== 0) throw unexpected(frame, 'client')
        route.down.grant(frame.count, bytes)
        break
      }
      case FRAME.PART:
      case FRAME.ITEMS: {
        const flow = route.up[frame.stream]
        if (flow === undefined || (frame.type === FRAME.ITEMS && frame.stream === 0)) throw unexpected(frame, 'client')
        if (!flow.spend(frame)) {
          throw new RemoteError('PROTOCOL_ERROR', `the client sent more for "${route.header.fn}" than was granted.`)
        }
        const bytes = flow.measure(frame)
        if (bytes > this.#payloadBytesMax) {
          this.#fail(route, tooLarge(bytes, this.#payloadBytesMax))
          return
        }
        break
      }
      case FRAME.END:
      case FRAME.ERROR:
        if (frame.stream === 0 || route.up[frame.stream] === undefined) throw unexpected(frame, 'client')
        break
      default:
        throw unexpected(frame, 'client')
    }
    pass(frame, session, route.nodeCall)
    if (frame.body.length > 0) throttle(client.session, session)
  }

  /** A frame of a node for one of its calls. @throws RemoteError `PROTOCOL_ERROR` */
  fromNode(node: Party, frame: Frame): void {
    const route = node.calls.get(frame.call)
    if (route === undefined) return
    const isStream = route.header.mode === 'stream'
    let isLast = false
    switch (frame.type) {
      case FRAME.QUEUED:
        route.isQueued = true
        return
      case FRAME.STARTED:
        route.hasStarted = true
        if (route.header.idempotent !== true) this.#dropArgs(route)
        if (route.isQueued) node.session.send(FRAME.STARTED, frame.call)
        route.isQueued = false
        return
      case FRAME.CREDIT: {
        const bytes = creditBytesOf(frame)
        const flow = route.up[frame.stream]
        if (flow === undefined) throw unexpected(frame, 'node')
        flow.grant(frame.count, bytes)
        break
      }
      case FRAME.ITEMS:
      case FRAME.PART:
      case FRAME.RESULT:
        if (frame.stream !== 0 || (frame.type === FRAME.ITEMS) !== isStream) {
          if (frame.type !== FRAME.PART || frame.stream !== 0) throw unexpected(frame, 'node')
        }
        if (!this.#mayPass(route, frame)) return
        isLast = !isStream && !hasMore(frame)
        break
      case FRAME.END:
        if (!isStream || frame.stream !== 0) throw unexpected(frame, 'node')
        isLast = true
        break
      case FRAME.ERROR:
        isLast = true
        break
      default:
        throw unexpected(frame, 'node')
    }
    pass(frame, route.client.session, route.clientCall)
    if (!isLast) return
    // Until its consumer has said that it heard the end, the node keeps what it may not have heard.
    if (route.streamId !== undefined) this.#held.hold(route.streamId, route.node)
    this.#end(route, frame.type === FRAME.ERROR ? 'failed' : 'finished')
  }

  /** A node is here, with streams that wait for their consumers. */
  nodeCame(node: NodeParty, held: readonly string[]): void {
    this.#held.nodeCame(node, held)
  }

  /** A node keeps a stream no more. */
  released(node: NodeParty, frame: Frame): void {
    this.#held.forget(String(decodeJson(frame.body).id), node)
  }

  /** The client has gone: its calls are cancelled, its streams that may be resumed are held. */
  clientLost(client: Party): void {
    for (const route of [...client.calls.values()]) {
      if (route.streamId !== undefined) this.#hold(route)
      else {
        route.node.session.send(FRAME.CANCEL, route.nodeCall)
        this.#end(route, 'cancelled')
      }
    }
  }

  /** The node has gone: its calls fail at once, or go to another where that is safe. */
  nodeLost(node: NodeParty, why: string): void {
    const routes = [...node.calls.values()]
    this.#held.nodeWent(
      node,
      routes.flatMap((route) => route.streamId ?? []),
    )
    for (const route of routes) {
      const hasNotBegun = route.isQueued && !route.hasStarted
      const isSafe = hasNotBegun || (route.header.idempotent === true && !route.hasResult)
      if (isSafe && route.args !== undefined && route.header.node === undefined) this.#placeAgain(route, why)
      else this.#fail(route, nodeLost(route, hasNotBegun, why))
    }
  }

  #placeAgain(route: Route, why: string): void {
    const args = route.args as Uint8Array
    const lost = route.node
    const error = nodeLost(route, route.isQueued && !route.hasStarted, why)
    lost.calls.delete(route.nodeCall)
    this.#registry.finished(lost.entry, route.header.fn, undefined, true)
    try {
      route.node = this.#partyOf(this.#registry.pick(route.header, lost.entry))
    } catch {
      this.#forget(route, 'failed')
      this.#tell(route, error)
      return
    }
    route.hasStarted = false
    route.isQueued = false
    this.stats.placedAgain++
    this.#assign(route, this.#opening(route, args), 0)
  }

  #assign(route: Route, body: Uint8Array, flags: number): void {
    const { node } = route
    route.nodeCall = newCall(node)
    node.calls.set(route.nodeCall, route)
    node.entry.inFlight++
    node.entry.calls++
    node.session.send(FRAME.OPEN, route.nodeCall, body, 0, 0, flags)
    throttle(route.client.session, node.session)
  }

  /** @throws RemoteError `INVALID_ARGUMENT` for options that are too long */
  #opening({ node, header, down, deadlineAtMs }: Route, args: Uint8Array): Uint8Array {
    const { where: _where, node: _node, key: _key, policy: _policy, ...rest } = header
    const left = deadlineAtMs === undefined ? {} : { deadlineMs: Math.max(0, deadlineAtMs - this.#time.now()) }
    // Another gateway is told which of its nodes was picked.
    const pinned = node.entry.gateway === undefined ? {} : { node: node.entry.id }
    return openBody({ ...rest, ...pinned, ...left, credit: down.credit }, args)
  }

  /** R3. */
  #mayPass(route: Route, frame: Frame): boolean {
    const { fn, mode } = route.header
    if (!route.hasResult && mode === 'stream') this.figures.took(fn, this.#time.now() - route.openedAtMs)
    route.hasResult = true
    this.stats.items += frame.count
    this.stats.bytes += frame.body.length
    this.figures.passed(fn, frame.count, frame.body.length)
    if (frame.type !== FRAME.RESULT && !route.down.spend(frame)) {
      const { id } = route.node.entry
      const error = `node "${id}" sent more of "${route.header.fn}" than was granted.`
      this.#fail(route, new RemoteError('PROTOCOL_ERROR', error, { node: id }))
      return false
    }
    const bytes = route.down.measure(frame)
    if (bytes <= this.#payloadBytesMax) return true
    this.#fail(route, tooLarge(bytes, this.#payloadBytesMax))
    return false
  }

  /** R5. */
  #hold(route: Route): void {
    if (route.streamId !== undefined) this.#held.hold(route.streamId, route.node)
    route.node.session.send(FRAME.HOLD, route.nodeCall)
    this.#end(route, 'held')
  }

  /** The node that has the stream. @throws RemoteError `STREAM_LOST` */
  #holder({ fn, resume }: OpenHeader): NodeParty {
    const id = resume?.id as string
    const live = this.#streams.get(id)
    if (live !== undefined) {
      // Its consumer comes on another link before we know that the first is gone.
      this.#hold(live)
      this.#tell(live, new RemoteError('STREAM_LOST', `the stream of "${fn}" goes on with another consumer.`))
    }
    const holder = this.#held.holderOf(id)
    if (holder === undefined) throw this.#held.lost(id, fn)
    return holder
  }

  /** The consumer has heard the end, or wants no more. */
  #release(client: Party, frame: Frame): void {
    const id = ownedId(String(decodeJson(frame.body).id), client.owner)
    const holder = this.#held.holderOf(id)
    if (holder === undefined) return
    this.#held.forget(id)
    holder.session.send(FRAME.RELEASE, 0, encodeJson({ id }))
  }

  #fail(route: Route, error: RemoteError): void {
    route.node.session.send(FRAME.CANCEL, route.nodeCall)
    this.#end(route, 'failed')
    this.#tell(route, error)
  }

  #tell(route: Route, error: unknown): void {
    route.client.session.send(FRAME.ERROR, route.clientCall, encodeJson(toPlainError(error)))
  }

  #end(route: Route, outcome: Outcome): void {
    route.node.calls.delete(route.nodeCall)
    const isTimed = route.header.mode === 'call' && outcome === 'finished'
    const ms = isTimed ? this.#time.now() - route.openedAtMs : undefined
    if (ms !== undefined) this.figures.took(route.header.fn, ms)
    this.#registry.finished(route.node.entry, route.header.fn, ms, outcome === 'failed')
    this.#forget(route, outcome)
  }

  /** R1. */
  #forget(route: Route, outcome: Outcome): void {
    if (route.isOver) throw new RemoteError('INTERNAL', `the route of "${route.header.fn}" ended twice.`)
    route.isOver = true
    route.cancelDeadline()
    this.#dropArgs(route)
    route.client.calls.delete(route.clientCall)
    if (route.streamId !== undefined && this.#streams.get(route.streamId) === route)
      this.#streams.delete(route.streamId)
    this.#open--
    this.stats[outcome]++
    this.figures.ended(route.header.fn, outcome === 'failed')
  }

  #dropArgs(route: Route): void {
    this.#keptBytes -= route.args?.length ?? 0
    route.args = undefined
  }
}

/** R4. */
function throttle(client: Session, node: Session): void {
  if (node.bufferedBytes <= NODE_BUFFER_BYTES || client.isPaused) return
  client.pause()
  node.whenBuffered(NODE_BUFFER_BYTES / 4, () => client.resume())
}

/** Streams are known by the name of the token that opened them too, so that no other token can take them. */
function owned(header: OpenHeader, owner: string | undefined): OpenHeader {
  const { resume } = header
  return resume === undefined ? header : { ...header, resume: { ...resume, id: ownedId(resume.id, owner) } }
}

function ownedId(id: string, owner: string | undefined): string {
  return owner === undefined ? id : `${owner} ${id}`
}

function pass(frame: Frame, session: Session, call: number): void {
  session.send(frame.type, call, frame.body, frame.stream, frame.count, frame.flags)
}

function newCall(node: NodeParty): number {
  do {
    node.numbers.last = node.numbers.last === 0xffff_ffff ? 1 : node.numbers.last + 1
  } while (node.calls.has(node.numbers.last))
  return node.numbers.last
}

function nodeLost({ header, node }: Route, hasNotBegun: boolean, why: string): RemoteError {
  const { id } = node.entry
  const isRetryable = hasNotBegun || header.idempotent === true
  const state = hasNotBegun ? `before it ran "${header.fn}"` : `while it had "${header.fn}"`
  const advice = isRetryable ? 'It may be called again.' : 'Whether it came to its end is not known.'
  return new RemoteError('NODE_LOST', `node "${id}" was lost ${state}: ${why}. ${advice}`, {
    node: id,
    function: header.fn,
    retryable: isRetryable,
  })
}

function late({ header, node }: Route, deadlineMs: number): RemoteError {
  return new RemoteError('DEADLINE_EXCEEDED', `"${header.fn}" did not end within its ${Math.round(deadlineMs)} ms.`, {
    function: header.fn,
    node: node.entry.id,
  })
}

function unexpected(frame: Frame, role: string): RemoteError {
  return new RemoteError('PROTOCOL_ERROR', `a ${role} may not send a frame of type ${frame.type} for a call.`)
}
