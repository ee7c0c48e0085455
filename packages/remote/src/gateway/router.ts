/**
 * Calls under way: a route per call joins the client's number of it with the node's, and frames are passed on by their
 * headers. Bodies are opaque.
 *
 * Invariants:
 *  R1  A route ends once: by the node's END, RESULT or ERROR, by the client's CANCEL, by its deadline, or with a link.
 *  R2  A call that a node has STARTED is not placed on another, unless it is idempotent and nothing of its result has left.
 *  R3  A node that sends more than its consumer granted breaks the protocol: its call fails, the others do not wait.
 *  R4  Nothing waits here: what the consumer has not granted is still at the producer.
 */
import { encodeJson } from '../protocol/codec.ts'
import { creditBytesOf, FRAME, type Frame, hasMore, PIECE_BYTES } from '../protocol/frame.ts'
import type { OpenHeader } from '../protocol/messages.ts'
import { openBody } from '../protocol/open-body.ts'
import { RemoteError, toPlainError } from '../remote-error.ts'
import type { Session } from '../session/session.ts'
import type { Time } from '../time.ts'
import type { NodeEntry, Registry } from './registry.ts'

/** A client or a node, with its calls by the number they have on its link. */
export interface Party {
  readonly session: Session
  readonly calls: Map<number, Route>
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
  hasStarted: boolean
  /** Part of the result has gone to the client. */
  hasResult: boolean
  grantedItems: number
  grantedBytes: number
  cancelDeadline: () => void
}

export interface RouterStats {
  opened: number
  finished: number
  failed: number
  cancelled: number
  placedAgain: number
  items: number
  bytes: number
}

export class Router {
  readonly stats: RouterStats = { opened: 0, finished: 0, failed: 0, cancelled: 0, placedAgain: 0, items: 0, bytes: 0 }
  readonly #registry: Registry
  readonly #time: Time
  readonly #partyOf: (entry: NodeEntry) => NodeParty
  #open = 0

  constructor(registry: Registry, time: Time, partyOf: (entry: NodeEntry) => NodeParty) {
    this.#registry = registry
    this.#time = time
    this.#partyOf = partyOf
  }

  get inFlight(): number {
    return this.#open
  }

  /** Places a new call. @throws RemoteError when no node can take it */
  open(client: Party, frame: Frame, header: OpenHeader, args: Uint8Array, isLocal = false): void {
    const entry = this.#registry.pick(header, undefined, isLocal)
    const { deadlineMs, credit } = header
    const now = this.#time.now()
    const isWhole = !hasMore(frame) && (header.streams ?? []).length === 0
    const route: Route = {
      client,
      clientCall: frame.call,
      header,
      node: this.#partyOf(entry),
      nodeCall: 0,
      openedAtMs: now,
      deadlineAtMs: deadlineMs === undefined ? undefined : now + deadlineMs,
      args: isWhole && args.length <= PIECE_BYTES ? args.slice() : undefined,
      hasStarted: false,
      hasResult: false,
      grantedItems: credit.items,
      grantedBytes: credit.bytes,
      cancelDeadline: () => {},
    }
    client.calls.set(frame.call, route)
    if (deadlineMs !== undefined) {
      route.cancelDeadline = this.#time.after(Math.max(0, deadlineMs), () => {
        const error = new RemoteError(
          'DEADLINE_EXCEEDED',
          `"${header.fn}" did not end within its ${Math.round(deadlineMs)} ms.`,
          {
            function: header.fn,
            node: route.node.entry.id,
          },
        )
        this.#fail(route, error)
      })
    }
    this.stats.opened++
    this.#open++
    this.#assign(route, args, frame.flags)
  }

  /** A frame of a client for one of its calls. */
  fromClient(client: Party, frame: Frame): void {
    const route = client.calls.get(frame.call)
    // It may have ended while this was on its way.
    if (route === undefined) return
    switch (frame.type) {
      case FRAME.CANCEL:
        this.stats.cancelled++
        route.node.session.send(FRAME.CANCEL, route.nodeCall)
        this.#end(route, false)
        return
      case FRAME.CREDIT:
        if (frame.stream === 0) {
          route.grantedItems += frame.count
          route.grantedBytes += creditBytesOf(frame)
        }
        break
      case FRAME.PART:
      case FRAME.ITEMS:
      case FRAME.END:
      case FRAME.ERROR:
        route.args = undefined
        break
      default:
        throw unexpected(frame, 'client')
    }
    pass(frame, route.node.session, route.nodeCall)
  }

  /** A frame of a node for one of its calls. */
  fromNode(node: Party, frame: Frame): void {
    const route = node.calls.get(frame.call)
    if (route === undefined) return
    switch (frame.type) {
      case FRAME.STARTED:
        route.hasStarted = true
        if (route.header.idempotent !== true) route.args = undefined
        return
      case FRAME.CREDIT:
        break
      case FRAME.ITEMS:
      case FRAME.PART:
        route.hasResult = true
        if (frame.stream === 0 && !this.#spend(route, frame)) return
        break
      case FRAME.RESULT:
      case FRAME.ERROR:
        route.hasResult = true
        break
      case FRAME.END:
        break
      default:
        throw unexpected(frame, 'node')
    }
    pass(frame, route.client.session, route.clientCall)
    const isLast =
      (frame.stream === 0 && frame.type === FRAME.END) ||
      ((frame.type === FRAME.RESULT || frame.type === FRAME.ERROR) && !hasMore(frame)) ||
      (frame.type === FRAME.PART && !hasMore(frame) && route.header.mode === 'call' && frame.stream === 0)
    if (isLast) this.#end(route, frame.type === FRAME.ERROR)
  }

  /** The client has gone: its calls are cancelled. */
  clientLost(client: Party): void {
    for (const route of [...client.calls.values()]) {
      this.stats.cancelled++
      route.node.session.send(FRAME.CANCEL, route.nodeCall)
      this.#end(route, false)
    }
  }

  /** The node has gone: its calls fail at once, or go to another where that is safe. */
  nodeLost(node: NodeParty, why: string): void {
    for (const route of [...node.calls.values()]) {
      const isSafe = !route.hasResult && (!route.hasStarted || route.header.idempotent === true)
      if (isSafe && route.args !== undefined && route.header.node === undefined) this.#placeAgain(route)
      else this.#fail(route, nodeLost(route, route.node.entry.id, why))
    }
  }

  #placeAgain(route: Route): void {
    const args = route.args as Uint8Array
    const lost = route.node
    lost.calls.delete(route.nodeCall)
    this.#registry.finished(lost.entry, route.header.fn, undefined, true)
    try {
      route.node = this.#partyOf(this.#registry.pick(route.header, lost.entry))
    } catch (thrown) {
      this.#forget(route)
      this.#tell(route, thrown)
      return
    }
    route.hasStarted = false
    this.stats.placedAgain++
    this.#assign(route, args, 0)
  }

  #assign(route: Route, args: Uint8Array, flags: number): void {
    const { node, header } = route
    route.nodeCall = newCall(node)
    node.calls.set(route.nodeCall, route)
    node.entry.inFlight++
    node.entry.calls++
    const { where: _where, node: _node, key: _key, policy: _policy, ...rest } = header
    const left =
      route.deadlineAtMs === undefined ? {} : { deadlineMs: Math.max(0, route.deadlineAtMs - this.#time.now()) }
    // Another gateway is told which of its nodes was picked.
    const pinned = node.entry.gateway === undefined ? {} : { node: node.entry.id }
    node.session.send(FRAME.OPEN, route.nodeCall, openBody({ ...rest, ...pinned, ...left }, args), 0, 0, flags)
  }

  /** R3. */
  #spend(route: Route, frame: Frame): boolean {
    this.stats.items += frame.count
    this.stats.bytes += frame.body.length
    const hadBytes = route.grantedBytes > 0
    route.grantedItems -= frame.count
    route.grantedBytes -= frame.body.length
    if (route.grantedItems >= 0 && hadBytes) return true
    const id = route.node.entry.id
    this.#fail(
      route,
      new RemoteError('PROTOCOL_ERROR', `node "${id}" sent more of "${route.header.fn}" than was granted.`, {
        node: id,
      }),
    )
    return false
  }

  #fail(route: Route, error: RemoteError): void {
    route.node.session.send(FRAME.CANCEL, route.nodeCall)
    this.#end(route, true)
    this.#tell(route, error)
  }

  #tell(route: Route, error: unknown): void {
    this.stats.failed++
    route.client.session.send(FRAME.ERROR, route.clientCall, encodeJson(toPlainError(error)))
  }

  #end(route: Route, isFailure: boolean): void {
    route.node.calls.delete(route.nodeCall)
    const ms = route.header.mode === 'call' ? this.#time.now() - route.openedAtMs : undefined
    this.#registry.finished(route.node.entry, route.header.fn, ms, isFailure)
    this.#forget(route)
    if (!isFailure) this.stats.finished++
  }

  #forget(route: Route): void {
    route.cancelDeadline()
    route.client.calls.delete(route.clientCall)
    this.#open--
  }
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

function nodeLost({ header }: Route, id: string, why: string): RemoteError {
  return new RemoteError(
    'NODE_LOST',
    `node "${id}" was lost while it ran "${header.fn}": ${why}. ${header.idempotent === true ? 'It may be called again.' : 'Whether it came to its end is not known.'}`,
    { node: id, function: header.fn, retryable: header.idempotent === true },
  )
}

function unexpected(frame: Frame, role: string): RemoteError {
  return new RemoteError('PROTOCOL_ERROR', `a ${role} may not send a frame of type ${frame.type} for a call.`)
}
