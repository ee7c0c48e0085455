/** An HTTP server at an address: how it is bound, how many connections it keeps, and how it ends. */
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { messageOf, OperationalError, type SourceContext, UsageError } from 'millrace/connector'
import { wholeNumber } from './options.ts'

export interface ListenOptions {
  /** 0 takes any free port; which one is in the log and in `onListening`. */
  readonly port: number
  /** Address to listen at. Default '127.0.0.1': only this machine. '0.0.0.0' is everybody; use `token` and `tls` then. */
  readonly host?: string
  /** Certificate and key, and whatever else node:https takes. Default: plain HTTP. */
  readonly tls?: TlsOptions
  /**
   * Connections kept at once. One more takes the place of the connection that has been idle for longest, or whose body is
   * coming too slowly; when there is none, it is closed. Default 10,000: about 200 MB when all of them are busy.
   */
  readonly maxConnections?: number
  /** Called with the address when the server listens, in the thread that runs the source. */
  readonly onListening?: (address: ListenAddress) => void
}

export interface ListenAddress {
  readonly url: string
  readonly host: string
  readonly port: number
}

export type ListenContext = Pick<SourceContext, 'step' | 'log' | 'gauge'>

/** A client has this long for the head of a request. Whoever needs longer holds a connection and gives nothing. */
const HEAD_TIMEOUT_MS = 10_000
/** An unused connection is kept this long for the client's next request. */
const KEEP_ALIVE_MS = 30_000
const HEAD_BYTES_MAX = 16 * 1024
export const DEFAULT_CONNECTIONS = 10_000

export class Listener {
  readonly server: Server
  readonly #options: ListenOptions
  readonly #scheme: string
  readonly #ctx: ListenContext
  /** By the client's address: below TLS a connection has another socket than its requests. */
  readonly #all = new Map<string, Socket>()
  /** Those without a request, the longest idle first. */
  readonly #idle = new Set<string>()
  readonly #maxConnections: number
  #isWarned = false
  /** Gives up a busy connection for a new one, where the owner has one that deserves it. */
  giveUp: () => Socket | undefined = () => undefined

  constructor(options: ListenOptions, scheme: 'http' | 'ws', ctx: ListenContext) {
    this.#options = options
    this.#scheme = options.tls === undefined ? scheme : `${scheme}s`
    this.#ctx = ctx
    this.#maxConnections = options.maxConnections ?? DEFAULT_CONNECTIONS
    const settings = {
      maxHeaderSize: HEAD_BYTES_MAX,
      headersTimeout: HEAD_TIMEOUT_MS,
      // Bodies have a timeout of their own, which does not run while this side does not read.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
      noDelay: true,
    }
    this.server =
      options.tls === undefined
        ? createServer(settings)
        : createTlsServer({ ...settings, handshakeTimeout: HEAD_TIMEOUT_MS, ...options.tls })
    this.server.on('connection', (socket: Socket) => this.#keep(socket))
    this.server.on('tlsClientError', (_error, socket) => socket.destroy())
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
      else socket.end(`HTTP/1.1 ${headFailure(error.code)}\r\nConnection: close\r\n\r\n`)
    })
  }

  /** @throws OperationalError `LISTEN_PORT_IN_USE`, `LISTEN_FAILED` */
  async open(): Promise<ListenAddress> {
    const { port, host = '127.0.0.1' } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) =>
        reject(listenError(error, host, port, this.#ctx.step)),
      )
      this.server.listen({ port, host, backlog: 1024 }, resolve)
    })
    this.server.on('error', (error) =>
      this.#ctx.log('warn', `the server cannot accept a connection: ${messageOf(error)}`),
    )
    const bound = this.server.address() as AddressInfo
    const shown = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
    const address = { url: `${this.#scheme}://${shown}:${bound.port}`, host: bound.address, port: bound.port }
    this.#ctx.log('info', `listening at ${address.url}`, { ...address })
    this.#options.onListening?.(address)
    return address
  }

  /** The connection has a request or is a WebSocket: it is not given up for another one. */
  busy(socket: Socket): void {
    this.#idle.delete(addressOf(socket))
  }

  idle(socket: Socket): void {
    const address = addressOf(socket)
    if (this.#all.has(address)) this.#idle.add(address)
  }

  get isFull(): boolean {
    return this.#all.size >= this.#maxConnections
  }

  /** Stops accepting; connections get `graceMs` to take their answers. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    this.server.closeIdleConnections()
    const timer = setTimeout(() => {
      for (const socket of this.#all.values()) socket.destroy()
    }, graceMs)
    if (this.server.listening || this.#all.size > 0) await closed
    clearTimeout(timer)
  }

  #keep(socket: Socket): void {
    if (this.isFull && !this.#makeRoom()) {
      socket.destroy()
      return
    }
    const address = addressOf(socket)
    this.#all.set(address, socket)
    this.#idle.add(address)
    this.#ctx.gauge('connections', this.#all.size)
    socket.once('close', () => this.#forget(address, socket))
    // Without a listener an error of a connection would end the process.
    socket.on('error', () => socket.destroy())
  }

  /** True when a connection was closed for a new one. */
  #makeRoom(): boolean {
    const [longestIdle] = this.#idle
    const given = longestIdle === undefined ? this.giveUp() : undefined
    const address = given === undefined ? longestIdle : addressOf(given)
    const socket = address === undefined ? undefined : this.#all.get(address)
    this.#warn(socket === undefined)
    if (address === undefined || socket === undefined) return false
    this.#forget(address, socket)
    socket.destroy()
    return true
  }

  #forget(address: string, socket: Socket): void {
    // The client may have come again from the same address.
    if (this.#all.get(address) !== socket) return
    this.#all.delete(address)
    this.#idle.delete(address)
    this.#ctx.gauge('connections', this.#all.size)
  }

  #warn(isRefused: boolean): void {
    if (this.#isWarned) return
    this.#isWarned = true
    const what = isRefused
      ? 'none is idle, so further ones are closed'
      : 'the longest idle ones are closed for new ones'
    this.#ctx.log('warn', `there are ${this.#maxConnections} connections, the most allowed (maxConnections): ${what}`)
  }
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

function headFailure(code: string | undefined): string {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout'
  return '400 Bad Request'
}

export function listenError(error: NodeJS.ErrnoException, host: string, port: number, step: string): OperationalError {
  const details = { step, data: { host, port }, cause: error, retryable: true }
  if (error.code === 'EADDRINUSE') {
    return new OperationalError(
      'LISTEN_PORT_IN_USE',
      `port ${port} at ${host} is taken by another program, or by another run of this flow. Nothing was read. End it (lsof -i :${port} names it), or give the source another port; 0 takes a free one.`,
      details,
    )
  }
  return new OperationalError(
    'LISTEN_FAILED',
    `"${step}" cannot listen at ${host}:${port}: ${messageOf(error)}. Nothing was read. Give it an address of this machine and a port it may use (below 1024 only the administrator may).`,
    { ...details, retryable: false },
  )
}

/** @throws UsageError `LIVE_OPTION` */
export function checkListen(options: ListenOptions): void {
  if (!Number.isInteger(options.port) || options.port < 0 || options.port > 65_535)
    throw new UsageError('LIVE_OPTION', `port is ${options.port}; it must be a whole number from 0 to 65535.`)
  wholeNumber('maxConnections', options.maxConnections ?? DEFAULT_CONNECTIONS, 1, 1_000_000)
}
