/**
 * A connection to a WebSocket server that is made again whenever it is lost, after a growing pause.
 *
 * Invariants:
 *  C1  At most one connection at a time; `onOpen` and `onLost` take turns.
 *  C2  After `close` nothing is called any more.
 */
import { messageOf, OperationalError } from 'millrace/connector'
import { WebSocket } from 'ws'
import { Backoff } from '../http/backoff.ts'
import { type ClientOptions, clientHeaders } from '../http/call.ts'
import { shownUrl } from '../http/options.ts'

export interface ConnectOptions extends ClientOptions {
  readonly url: string | URL
  /** Subprotocols to offer. */
  readonly protocols?: readonly string[]
}

export interface ConnectionSettings {
  readonly url: URL
  readonly connect: ConnectOptions
  readonly messageBytesMax: number
  readonly pingEveryMs: number
  readonly failuresMax: number
}

export interface ConnectionEvents {
  onOpen(socket: WebSocket): void
  onMessage(bytes: Buffer): void
  /** The connection was lost `times` times so far. */
  onLost(times: number): void
  /** It failed too often, or in a way that no other attempt would change. */
  onFailure(error: OperationalError): void
  log(level: 'info' | 'warn', message: string): void
}

const PAUSE_MS_MAX = 30_000
const HANDSHAKE_MS_MAX = 10_000

export class Connection {
  readonly #settings: ConnectionSettings
  readonly #events: ConnectionEvents
  readonly #backoff = new Backoff(PAUSE_MS_MAX)
  readonly #shown: string
  #socket: WebSocket | undefined
  #timer: NodeJS.Timeout | undefined
  #ping: NodeJS.Timeout | undefined
  #isHeard = false
  #lost = 0
  #isClosed = false

  constructor(settings: ConnectionSettings, events: ConnectionEvents) {
    this.#settings = settings
    this.#events = events
    this.#shown = shownUrl(settings.url)
    this.#connect()
  }

  /** The open connection. */
  get socket(): WebSocket | undefined {
    return this.#socket?.readyState === WebSocket.OPEN ? this.#socket : undefined
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    clearInterval(this.#ping)
    const socket = this.#socket
    if (socket === undefined) return
    // A paused connection does not see the other side's goodbye.
    socket.resume()
    socket.close()
    setTimeout(() => socket.terminate(), 1000).unref()
  }

  #connect(): void {
    const { url, connect, messageBytesMax } = this.#settings
    let failure: unknown = new Error('the server closed the connection')
    let isOpen = false
    const socket = new WebSocket(url, [...(connect.protocols ?? [])], {
      headers: clientHeaders(connect),
      maxPayload: messageBytesMax,
      handshakeTimeout: HANDSHAKE_MS_MAX,
      perMessageDeflate: false,
      followRedirects: false,
    })
    this.#socket = socket
    socket.on('open', () => {
      isOpen = true
      this.#isHeard = true
      this.#ping = setInterval(() => this.#checkLife(socket), this.#settings.pingEveryMs)
      if (!this.#isClosed) this.#events.onOpen(socket)
    })
    socket.on('pong', () => {
      this.#isHeard = true
    })
    socket.on('message', (data) => {
      this.#isHeard = true
      this.#backoff.reset()
      if (!this.#isClosed) this.#events.onMessage(data as Buffer)
    })
    socket.on('error', (error) => {
      failure = error
    })
    socket.on('close', () => {
      clearInterval(this.#ping)
      if (this.#isClosed) return
      if (isOpen) this.#events.onLost(++this.#lost)
      this.#again(failure)
    })
  }

  #again(failure: unknown): void {
    const pauseMs = this.#backoff.next()
    const { failures } = this.#backoff
    const error = connectError(failure, this.#shown, failures)
    if (!error.retryable || failures > this.#settings.failuresMax) {
      this.#events.onFailure(error)
      return
    }
    if (failures === 1)
      this.#events.log('warn', `${this.#shown}: ${messageOf(failure)}. Connecting again, less and less often.`)
    this.#timer = setTimeout(() => this.#connect(), pauseMs)
  }

  /** Half-open connections say nothing, for ever. One that is not read cannot answer. */
  #checkLife(socket: WebSocket): void {
    if (!this.#isHeard && !socket.isPaused) {
      socket.terminate()
      return
    }
    this.#isHeard = false
    socket.ping()
  }
}

function connectError(failure: unknown, shown: string, attempts: number): OperationalError {
  const message = messageOf(failure)
  // 'Unexpected server response: 401': what ws says of an answer that is no upgrade.
  const status = Number(/server response: (\d+)/.exec(message)?.[1] ?? 0)
  const isFinal = status >= 400 && status < 500 && status !== 408 && status !== 429
  const remedy = isFinal
    ? 'Asking again would not change that: look at the address, the token and the protocols.'
    : 'Look at the address, and whether the service runs.'
  return new OperationalError(
    isFinal ? 'WEBSOCKET_REFUSED' : 'WEBSOCKET_UNREACHABLE',
    `${shown} cannot be connected to (attempt ${attempts}): ${message}. ${remedy}`,
    { data: { url: shown, attempts, ...(status === 0 ? {} : { status }) }, cause: failure, retryable: !isFinal },
  )
}
