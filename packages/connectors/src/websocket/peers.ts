/**
 * A server for WebSockets: lets clients in (path, token, origin), finds out which of them are gone without a word, and
 * closes. What is said to them and by them is the business of whoever owns it.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { type ListenContext, Listener, type ListenOptions } from '../http/listen.ts'
import { bearerOf, isToken } from '../http/token.ts'

export interface PeerOptions extends ListenOptions {
  /** Where clients connect. Default '/'. `GET /health` answers in any case. */
  readonly path?: string
  /**
   * Clients must show it: `Authorization: Bearer TOKEN`, or `?token=TOKEN` in the URL where they cannot set headers, as
   * browsers. Default: everybody may connect.
   */
  readonly token?: string
  /**
   * Web pages that may connect, as `'https://example.org'`. Default: pages of this server's own host and port; otherwise
   * every page a user of this machine looks at could. Clients that are no browsers are not asked.
   */
  readonly origins?: readonly string[]
}

export interface PeerSettings {
  readonly listen: ListenOptions
  readonly path: string
  readonly token: string | undefined
  readonly origins: readonly string[] | undefined
  readonly messageBytesMax: number
  readonly pingEveryMs: number
}

/** What connections get to take their last messages when the flow stops. */
const CLOSE_MS = 1000
/** 1012: service restart. Clients may come back. */
const STOPPED = 1012
/** What a client that sends pings and does not read may leave lying here before it is cut off. */
const UNREAD_BYTES_MAX = 1024 * 1024
const FRAGMENTS_MAX = 1024

export class Peers {
  readonly #settings: PeerSettings
  readonly #listener: Listener
  readonly #server: WebSocketServer
  readonly #onPeer: (peer: WebSocket) => void
  /** Peers that have said something, or answered a ping, since the last ping. */
  readonly #heard = new WeakSet<WebSocket>()
  #pings: NodeJS.Timeout | undefined

  constructor(settings: PeerSettings, ctx: ListenContext, onPeer: (peer: WebSocket) => void) {
    this.#settings = settings
    this.#onPeer = onPeer
    this.#listener = new Listener(settings.listen, 'ws', ctx)
    this.#server = new WebSocketServer({
      noServer: true,
      autoPong: false,
      maxPayload: settings.messageBytesMax,
      maxFragments: FRAGMENTS_MAX,
      // Compression costs memory per connection and lets a small message unpack to a large one.
      perMessageDeflate: false,
    })
  }

  get all(): ReadonlySet<WebSocket> {
    return this.#server.clients
  }

  /** @throws OperationalError `LISTEN_PORT_IN_USE`, `LISTEN_FAILED` */
  async open(): Promise<void> {
    const { server } = this.#listener
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    server.on('request', (request, response) => {
      const isHealth = pathOf(request) === '/health'
      const body = isHealth ? { status: 'ok' } : { error: { code: 'WEBSOCKET_ONLY', message: 'connect with ws://.' } }
      response.writeHead(isHealth ? 200 : 426, { 'content-type': 'application/json', connection: 'close' })
      response.end(`${JSON.stringify(body)}\n`)
    })
    await this.#listener.open()
    this.#pings = setInterval(() => this.#ping(), this.#settings.pingEveryMs)
  }

  async close(): Promise<void> {
    clearInterval(this.#pings)
    for (const peer of this.#server.clients) peer.close(STOPPED, 'the flow stops')
    await this.#listener.close(CLOSE_MS)
    this.#server.close()
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const failure = this.#refusal(request)
    if (failure !== undefined) {
      socket.end(`HTTP/1.1 ${failure}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    this.#server.handleUpgrade(request, socket, head, (peer) => {
      this.#listener.busy(request.socket)
      this.#heard.add(peer)
      peer.on('pong', () => this.#heard.add(peer))
      peer.on('message', () => this.#heard.add(peer))
      // Pongs that nobody reads would pile up here.
      peer.on('ping', (data) => {
        if (peer.bufferedAmount > UNREAD_BYTES_MAX) peer.terminate()
        else peer.pong(data)
      })
      // Frames that are none, texts that are no UTF-8, messages that are too large: ws closes the connection itself.
      peer.on('error', () => {})
      this.#onPeer(peer)
    })
  }

  #refusal(request: IncomingMessage): string | undefined {
    const { path, token, origins } = this.#settings
    if (pathOf(request) !== path) return '404 Not Found'
    if (token !== undefined && !isToken(tokenOf(request), token)) return '401 Unauthorized'
    const { origin, host } = request.headers
    if (origin === undefined) return undefined
    const isKnown = origins === undefined ? URL.parse(origin)?.host === host : origins.includes(origin)
    return isKnown ? undefined : '403 Forbidden'
  }

  /** Whoever has not answered since the last ping is gone. Those who are not listened to cannot answer. */
  #ping(): void {
    for (const peer of this.#server.clients) {
      if (!this.#heard.delete(peer) && !peer.isPaused) peer.terminate()
      else if (peer.readyState === peer.OPEN) peer.ping()
    }
  }

  /** Counts as a sign of life: the peer could not be heard until now. */
  hear(peer: WebSocket): void {
    this.#heard.add(peer)
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]
}

/** In the header, or in the URL for clients that cannot set one. */
function tokenOf(request: IncomingMessage): string {
  return bearerOf(request) ?? new URLSearchParams((request.url ?? '').split('?')[1] ?? '').get('token') ?? ''
}
