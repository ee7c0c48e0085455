/**
 * A gateway without a port: links come in, say who they are, and calls go from one to the other. It reads headers and
 * routes; it never decodes an argument or a result, and holds none back.
 */
import { randomBytes } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { UsageError } from 'millrace/connector'
import type { MetricFamily } from 'millrace/observe'
import type { Contract } from '../contract/contract.ts'
import { CLOSE, type Link } from '../link/link.ts'
import type { NatsAddress } from '../link/nats-address.ts'
import { decodeJson, encode, encodeJson } from '../protocol/codec.ts'
import { FRAME, type Frame } from '../protocol/frame.ts'
import {
  type Hello,
  type Offer,
  type PeerNode,
  PROTOCOL_VERSION,
  parseHello,
  parseOffer,
  parsePeerNodes,
  type Welcome,
} from '../protocol/messages.ts'
import { splitOpen } from '../protocol/open-body.ts'
import { RemoteError, toPlainError } from '../remote-error.ts'
import { Session } from '../session/session.ts'
import { realTime, type Time } from '../time.ts'
import { type Access, AccessList, ANYONE, type TokenRights } from './access.ts'
import { EdgeCheck } from './edge-check.ts'
import type { FunctionFigures } from './function-figures.ts'
import { gatewayMetrics } from './metrics.ts'
import { type NodeEntry, Registry } from './registry.ts'
import { type NodeParty, type Party, Router, type RouterStats } from './router.ts'

export interface GatewayOptions {
  /** Default 127.0.0.1. Another address needs `tokens`, or `allowAnyone`. */
  readonly host?: string
  /** Default 8080; 0 takes any free one. */
  readonly port?: number
  /** Certificate and key, and `ca` with `requestCert` for mutual TLS. */
  readonly tls?: TlsOptions
  /** Without tokens everybody who reaches the port may do everything. */
  readonly tokens?: readonly TokenRights[]
  /** True: listen beyond this machine without tokens. */
  readonly allowAnyone?: boolean
  /** Largest argument, item or result. Default 256 MiB. */
  readonly payloadBytesMax?: number
  /** A peer that is silent this long is asked. Default 2,000. */
  readonly pingMs?: number
  /** A peer that is silent this long is gone. Default 5,000. */
  readonly silentMs?: number
  /** Default 10,000. */
  readonly connectionsMax?: number
  /** Calls open at once per client. Default 10,000. */
  readonly callsPerClientMax?: number
  /** What a peer does not take, before it is cut off. Default 64 MiB: every call of it is within its window. */
  readonly bufferBytesMax?: number
  /**
   * Web pages whose scripts may connect, by their origin: 'https://app.example.org', or '*' for all of them. Default: none, as
   * any page in a browser on this machine can reach a port of it. Programs send no origin and are not concerned.
   */
  readonly origins?: readonly string[]
  /** Arguments of these functions are decoded and checked here; those that do not fit reach no node. */
  readonly contracts?: readonly Contract[]
  /** Serves nodes and clients over NATS too, together with the other gateways there, whose nodes it shares. */
  readonly nats?: NatsAddress & { readonly token?: string }
  readonly log?: (level: 'info' | 'warn' | 'error', message: string, data?: Record<string, unknown>) => void
  /** For tests and simulations. */
  readonly time?: Time
}

export interface NodeStatus {
  readonly id: string
  /** Name of the gateway it is connected to. */
  readonly gateway: string
  readonly peer: string
  readonly lease: number
  readonly upMs: number
  readonly inFlight: number
  readonly calls: number
  readonly failures: number
  readonly isDraining: boolean
  readonly functions: Offer['functions']
  readonly tags: NonNullable<Offer['tags']>
  readonly load: Offer['load'] | null
}

export interface GatewayStats extends Readonly<RouterStats> {
  /** By name. */
  readonly functions: Readonly<Record<string, FunctionFigures>>
  readonly inFlight: number
  readonly clients: number
  readonly nodes: number
  readonly refused: number
  /** Streams that wait at nodes for their consumers to come back. */
  readonly heldStreams: number
}

const HELLO_MS = 5_000
const MIB = 1024 * 1024

/** The gateway without its port. */
export class GatewayCore {
  readonly #time: Time
  readonly #access: AccessList
  readonly #edge: EdgeCheck
  readonly #options: Required<
    Pick<
      GatewayOptions,
      'payloadBytesMax' | 'pingMs' | 'silentMs' | 'connectionsMax' | 'callsPerClientMax' | 'bufferBytesMax'
    >
  >
  readonly #log: NonNullable<GatewayOptions['log']>
  readonly #registry: Registry
  readonly #router: Router
  readonly #sessions = new Set<Session>()
  readonly #parties = new Map<NodeEntry, NodeParty>()
  /** By the name of the session, for links that prove from another thread that a node lives. */
  readonly #secrets = new Map<string, { readonly secret: string; readonly session: Session }>()
  /** Of this gateway among others; new at each start. */
  readonly name = randomBytes(6).toString('hex')
  #clients = 0
  #lease = 0
  #sessionsMade = 0
  #refused = 0
  /** Of links that are closed. */
  readonly #past = { bytesReceived: 0, bytesSent: 0, cut: { slow: 0, silent: 0, protocol: 0 } }

  constructor(options: GatewayOptions) {
    this.#time = options.time ?? realTime
    this.#access = new AccessList(options.tokens ?? [])
    this.#edge = new EdgeCheck(options.contracts ?? [])
    this.#log = options.log ?? (() => {})
    this.#options = {
      payloadBytesMax: limit('payloadBytesMax', options.payloadBytesMax ?? 256 * MIB, 1024, 1024 * MIB),
      pingMs: limit('pingMs', options.pingMs ?? 2_000, 10, 60_000),
      silentMs: limit('silentMs', options.silentMs ?? 5_000, 20, 600_000),
      connectionsMax: limit('connectionsMax', options.connectionsMax ?? 10_000, 1, 1_000_000),
      callsPerClientMax: limit('callsPerClientMax', options.callsPerClientMax ?? 10_000, 1, 1_000_000),
      bufferBytesMax: limit('bufferBytesMax', options.bufferBytesMax ?? 64 * MIB, MIB, 4096 * MIB),
    }
    this.#registry = new Registry(() => this.#time.random())
    this.#router = new Router(
      this.#registry,
      this.#time,
      this.#options.payloadBytesMax,
      (entry) => this.#parties.get(entry) as NodeParty,
    )
  }

  get connectionsMax(): number {
    return this.#options.connectionsMax
  }

  get nodes(): NodeStatus[] {
    const now = this.#time.now()
    return this.#registry.nodes.map(
      ({ id, gateway, peer, lease, connectedAtMs, inFlight, calls, failures, isDraining, offer }) => ({
        ...{ id, gateway: gateway ?? this.name, peer, lease, inFlight, calls, failures, isDraining },
        upMs: Math.round(now - connectedAtMs),
        functions: offer.functions,
        tags: offer.tags ?? {},
        load: offer.load ?? null,
      }),
    )
  }

  /** The nodes that are connected here, for other gateways. */
  get ownNodes(): PeerNode[] {
    return this.#registry.nodes
      .filter((node) => node.gateway === undefined)
      .map(({ id, offer, isDraining }) => ({ id, offer, isDraining }))
  }

  /** Called when what `ownNodes` gives has changed. */
  onNodesChanged = (): void => {}

  get stats(): GatewayStats {
    return {
      ...this.#router.stats,
      functions: this.#router.figures.all,
      inFlight: this.#router.inFlight,
      clients: this.#clients,
      nodes: this.#registry.nodes.length,
      refused: this.#refused,
      heldStreams: this.#router.heldStreams,
    }
  }

  /** For Prometheus and consoles. */
  get metrics(): readonly MetricFamily[] {
    const sessions = [...this.#sessions]
    const sum = (of: (session: Session) => number): number => sessions.reduce((total, each) => total + of(each), 0)
    const most = (of: (session: Session) => number): number =>
      sessions.reduce((max, each) => Math.max(max, of(each)), 0)
    return gatewayMetrics(this.stats, {
      connections: sessions.length,
      bytesReceived: this.#past.bytesReceived + sum(({ bytesReceived }) => bytesReceived),
      bytesSent: this.#past.bytesSent + sum(({ bytesSent }) => bytesSent),
      bufferedBytesMax: most(({ bufferedBytes }) => bufferedBytes),
      bufferedBytesMost: most(({ bufferedBytesMost }) => bufferedBytesMost),
      cut: this.#past.cut,
    })
  }

  close(): void {
    for (const session of [...this.#sessions]) session.close(CLOSE.goingAway, 'the gateway stops')
  }

  accept(link: Link): void {
    if (this.#sessions.size >= this.#options.connectionsMax) {
      this.#refused++
      link.start({ onMessage() {}, onClose() {} })
      link.close(CLOSE.goingAway, 'the gateway has as many connections as it may')
      return
    }
    const { pingMs, silentMs, bufferBytesMax } = this.#options
    let onFrame = (frame: Frame): void => {
      if (frame.type !== FRAME.HELLO) throw new RemoteError('PROTOCOL_ERROR', 'the first frame is not HELLO.')
      cancelHello()
      onFrame = this.#hello(session, frame, (handler) => {
        onClose = handler
      })
    }
    let onClose = (): void => {}
    const session = new Session({
      link,
      time: this.#time,
      pingMs,
      silentMs,
      bufferBytesMax,
      onFrame: (frame) => onFrame(frame),
      onClose: ({ code, reason }) => {
        cancelHello()
        this.#sessions.delete(session)
        this.#past.bytesReceived += session.bytesReceived
        this.#past.bytesSent += session.bytesSent
        if (code === CLOSE.slowConsumer) this.#past.cut.slow++
        if (code === CLOSE.silent) this.#past.cut.silent++
        if (code === CLOSE.protocolError) this.#past.cut.protocol++
        if (code !== CLOSE.normal) this.#log('info', `${session.peer} is gone: ${reason || `code ${code}`}`)
        onClose()
      },
    })
    const cancelHello = this.#time.after(HELLO_MS, () => {
      session.fail(new RemoteError('UNAVAILABLE', `no HELLO came within ${HELLO_MS} ms.`, { retryable: true }))
    })
    this.#sessions.add(session)
    session.start()
  }

  /** Answers a HELLO; what follows on the link is for the handler it returns. */
  #hello(session: Session, frame: Frame, whenClosed: (handler: () => void) => void): (frame: Frame) => void {
    try {
      const hello = parseHello(decodeJson(frame.body))
      if (hello.role === 'alive') return this.#alive(session, hello)
      const access = this.#access.check(hello.token, hello.role)
      const name = `${this.name}-${++this.#sessionsMade}`
      const secret = randomBytes(16).toString('hex')
      const handler =
        hello.role === 'node'
          ? this.#node(session, hello, access, name, secret, whenClosed)
          : hello.role === 'peer'
            ? this.#peer(session, hello, whenClosed)
            : this.#client(session, access, whenClosed)
      const { payloadBytesMax, pingMs, silentMs } = this.#options
      const welcome: Welcome = {
        version: PROTOCOL_VERSION,
        gateway: this.name,
        session: name,
        secret,
        ...{ payloadBytesMax, pingMs, silentMs },
      }
      session.send(FRAME.WELCOME, 0, encodeJson(welcome))
      return handler
    } catch (thrown) {
      if (!(thrown instanceof RemoteError)) throw thrown
      this.#refused++
      this.#log('warn', `${session.peer} was refused: ${thrown.message}`, { code: thrown.code })
      session.fail(thrown, CLOSE.unauthenticated)
      return () => {}
    }
  }

  /** Calls that another gateway sends for nodes that are connected here. */
  callsOf(session: Session): { onFrame(frame: Frame): void; close(): void } {
    const party: Party = { session, calls: new Map() }
    return {
      onFrame: (frame) => {
        if (frame.type === FRAME.OPEN) this.#open(party, ANYONE, frame, true)
        else this.#router.fromClient(party, frame)
      },
      close: () => this.#router.clientLost(party),
    }
  }

  /** Another gateway offers its nodes. */
  #peer(session: Session, hello: Hello, whenClosed: (handler: () => void) => void): (frame: Frame) => void {
    if (hello.id === undefined || hello.id === '')
      throw new RemoteError('INVALID_ARGUMENT', 'a gateway without a name.')
    const gateway = hello.id
    const link = { session, calls: new Map(), numbers: { last: 0 } }
    const entries = new Map<string, NodeEntry>()
    const update = (nodes: readonly PeerNode[]): void => {
      for (const [id, entry] of entries) {
        if (nodes.some((node) => node.id === id)) continue
        entries.delete(id)
        this.#registry.remove(entry)
        this.#parties.delete(entry)
      }
      for (const { id, offer, isDraining } of nodes) {
        const known = entries.get(id)
        if (known === undefined) {
          const entry = this.#newEntry(id, session, offer, gateway)
          const node = { ...link, entry }
          entries.set(id, entry)
          this.#parties.set(entry, node)
          this.#registry.add(entry)
          this.#router.nodeCame(node, offer.held ?? [])
          entry.isDraining = isDraining
        } else {
          known.isDraining = isDraining
          this.#registry.setOffer(known, offer)
        }
      }
    }
    update(hello.nodes ?? [])
    this.#log('info', `gateway ${gateway} offers ${entries.size} nodes`)
    whenClosed(() => {
      const parties = [...entries.values()].map((entry) => this.#parties.get(entry) as NodeParty)
      for (const entry of entries.values()) this.#registry.remove(entry)
      // They share their calls.
      if (parties.length > 0) this.#router.nodeLost(parties[0], `the link to gateway ${gateway} closed`)
      for (const entry of entries.values()) this.#parties.delete(entry)
    })
    return (frame) => {
      if (frame.call !== 0) this.#router.fromNode(link, frame)
      else if (frame.type === FRAME.OFFER) update(parsePeerNodes(decodeJson(frame.body).nodes))
      else if (frame.type === FRAME.ERROR) session.close()
      else throw new RemoteError('PROTOCOL_ERROR', `a gateway may not send a frame of type ${frame.type} for the link.`)
    }
  }

  #newEntry(id: string, session: Session, offer: Offer, gateway: string | undefined): NodeEntry {
    return {
      ...{ id, gateway, offer, peer: session.peer },
      lease: ++this.#lease,
      connectedAtMs: this.#time.now(),
      isDraining: false,
      inFlight: 0,
      calls: 0,
      failures: 0,
      latencyMs: new Map(),
    }
  }

  #client(session: Session, access: Access, whenClosed: (handler: () => void) => void): (frame: Frame) => void {
    const client: Party = { session, calls: new Map(), owner: access.name }
    this.#clients++
    whenClosed(() => {
      this.#clients--
      this.#router.clientLost(client)
    })
    return (frame) => {
      if (frame.type === FRAME.OPEN) this.#open(client, access, frame)
      else if (frame.call !== 0 || frame.type === FRAME.RELEASE) this.#router.fromClient(client, frame)
      else if (frame.type === FRAME.ERROR) session.close()
      else throw new RemoteError('PROTOCOL_ERROR', `a client may not send a frame of type ${frame.type} for the link.`)
    }
  }

  #open(client: Party, access: Access, frame: Frame, isLocal = false): void {
    if (frame.call === 0 || client.calls.has(frame.call)) {
      throw new RemoteError('PROTOCOL_ERROR', `call ${frame.call} is open already.`)
    }
    const { header, args } = splitOpen(frame.body)
    try {
      if (client.calls.size >= this.#options.callsPerClientMax) {
        throw new RemoteError(
          'RESOURCE_EXHAUSTED',
          `this client has ${client.calls.size} calls open, as many as one may; wait for some to end.`,
          { retryable: true, data: { retryAfterMs: 100, callsMax: this.#options.callsPerClientMax } },
        )
      }
      if (header.fn.startsWith('$')) {
        this.#own(client.session, frame.call, header.fn)
        return
      }
      if (!access.mayCall(header.fn)) {
        throw new RemoteError('PERMISSION_DENIED', `the token "${access.name}" may not call "${header.fn}".`, {
          function: header.fn,
        })
      }
      // Another gateway has checked what it sends.
      if (!isLocal) this.#edge.check(frame, header, args)
      this.#router.open(client, frame, header, args, isLocal)
    } catch (thrown) {
      if (!(thrown instanceof RemoteError) || thrown.code === 'PROTOCOL_ERROR') throw thrown
      client.session.send(FRAME.ERROR, frame.call, encodeJson(toPlainError(thrown)))
    }
  }

  /** Functions of the gateway itself. */
  #own(session: Session, call: number, fn: string): void {
    const value =
      fn === '$nodes'
        ? this.nodes
        : fn === '$functions'
          ? this.#registry.functions
          : fn === '$stats'
            ? this.stats
            : undefined
    if (value === undefined)
      throw new RemoteError('NOT_FOUND', `the gateway has no function "${fn}"; it has $nodes, $functions, $stats.`)
    session.send(FRAME.RESULT, call, encode(JSON.parse(JSON.stringify(value))))
  }

  #node(
    session: Session,
    hello: Hello,
    access: Access,
    name: string,
    secret: string,
    whenClosed: (handler: () => void) => void,
  ): (frame: Frame) => void {
    if (hello.id === undefined || hello.id === '') throw new RemoteError('INVALID_ARGUMENT', 'a node without an id.')
    const offer = checkOffer(hello.offer ?? { functions: [] }, access)
    const before = this.#registry.node(hello.id)
    if (before !== undefined) this.#fence(before, session)
    const entry = this.#newEntry(hello.id, session, offer, undefined)
    const node: NodeParty = { session, calls: new Map(), entry, numbers: { last: 0 } }
    this.#parties.set(entry, node)
    this.#registry.add(entry)
    this.#router.nodeCame(node, offer.held ?? [])
    this.#secrets.set(name, { secret, session })
    this.#log('info', `node "${entry.id}" offers ${offer.functions.map((fn) => fn.name).join(', ') || 'nothing yet'}`)
    this.onNodesChanged()
    whenClosed(() => {
      this.#secrets.delete(name)
      this.#registry.remove(entry)
      this.#router.nodeLost(node, 'its connection closed')
      this.#parties.delete(entry)
      this.onNodesChanged()
    })
    return (frame) => {
      if (frame.call !== 0) this.#router.fromNode(node, frame)
      else if (frame.type === FRAME.OFFER) {
        this.#registry.setOffer(entry, checkOffer(parseOffer(decodeJson(frame.body)), access))
        this.onNodesChanged()
      } else if (frame.type === FRAME.DRAIN) {
        entry.isDraining = true
        this.onNodesChanged()
      } else if (frame.type === FRAME.RELEASE) this.#router.released(node, frame)
      else if (frame.type === FRAME.ERROR) session.close()
      else throw new RemoteError('PROTOCOL_ERROR', `a node may not send a frame of type ${frame.type} for the link.`)
    }
  }

  /** The newer registration of an id wins. */
  #fence(before: NodeEntry, winner: Session): void {
    const party = this.#parties.get(before)
    this.#log('warn', `node "${before.id}" at ${before.peer} is fenced: another one registered from ${winner.peer}`)
    party?.session.fail(
      new RemoteError(
        'FENCED',
        `another node registered as "${before.id}" from ${winner.peer}; this one is out. Give each node an id of its own.`,
      ),
      CLOSE.fenced,
    )
  }

  #alive(session: Session, hello: Hello): (frame: Frame) => void {
    const known = this.#secrets.get(hello.session ?? '')
    if (known === undefined || known.secret !== hello.secret) {
      throw new RemoteError('UNAUTHENTICATED', 'there is no node with this session.')
    }
    known.session.heardElsewhereAtMs = () => session.heardAtMs
    session.send(FRAME.WELCOME, 0, encodeJson({}))
    return () => {}
  }
}

function checkOffer(offer: Offer, access: Access): Offer {
  const refused = offer.functions.find((fn) => !access.mayRegister(fn.name))
  if (refused === undefined) return offer
  throw new RemoteError('PERMISSION_DENIED', `the token "${access.name}" may not register "${refused.name}".`, {
    function: refused.name,
  })
}

function limit(name: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new UsageError('REMOTE_OPTION', `${name} is ${String(value)}; it must be a whole number from ${min} to ${max}.`)
}
