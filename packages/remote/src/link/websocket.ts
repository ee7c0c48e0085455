/** Links over WebSocket, by `ws`: what a gateway accepts and what nodes and clients open. */
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { FRAME_BYTES_MAX } from '../protocol/frame.ts'
import { RemoteError } from '../remote-error.ts'
import { type Link, type LinkEvents, SUBPROTOCOL } from './link.ts'

/** Frames of one message; a longer one closes the link before it is read. */
export const MESSAGE_BYTES_MAX = 2 * FRAME_BYTES_MAX

const CONNECT_MS = 5_000

/** A peer that does not answer a close is not waited for longer. (An option that the types of `ws` do not know yet.) */
const CLOSING = { closeTimeout: 1_000 }

class WebSocketLink implements Link {
  readonly peer: string
  readonly #socket: WebSocket
  #isClosed = false

  constructor(socket: WebSocket, peer: string) {
    this.#socket = socket
    this.peer = peer
    // Without a listener an error would end the process; 'close' follows every error.
    socket.on('error', () => {})
    // Nothing is delivered before `start`.
    socket.pause()
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  start(events: LinkEvents): void {
    const socket = this.#socket
    socket.on('message', (data: RawData, isBinary: boolean) => {
      if (this.#isClosed) return
      if (isBinary) events.onMessage(bytesOf(data as Buffer))
      else this.close(4000, 'a text message')
    })
    const closed = (code: number, reason: string): void => {
      this.#isClosed = true
      events.onClose({ code, reason })
    }
    if (socket.readyState === WebSocket.CLOSED) closed(1006, 'closed before it was used')
    else socket.once('close', (code, reason) => closed(code, String(reason)))
    socket.resume()
  }

  send(message: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message, BINARY)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(code: number, reason: string): void {
    this.#isClosed = true
    this.#socket.resume()
    this.#socket.close(code, reason.slice(0, 120))
  }

  destroy(): void {
    this.#isClosed = true
    this.#socket.terminate()
  }
}

/** Views of a Buffer would be Buffers, in the hands of users too. */
function bytesOf(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length)
}

const BINARY = { binary: true, compress: false }

export interface WebSocketConnectOptions {
  /** Certificates and keys, for `wss://`. */
  readonly tls?: SecureContextOptions & { readonly rejectUnauthorized?: boolean; readonly servername?: string }
}

/**
 * Opens a link to a gateway.
 * @param url `ws://host:port` or `wss://host:port`
 * @throws RemoteError `GATEWAY_UNREACHABLE` with the address and what to check
 */
export function connectWebSocket(url: string, { tls }: WebSocketConnectOptions = {}): Promise<Link> {
  return new Promise((resolve, reject) => {
    const unreachable = (why: string, cause?: unknown): void =>
      reject(
        new RemoteError(
          'GATEWAY_UNREACHABLE',
          `there is no gateway at ${url}: ${why}. Is \`millrace gateway\` running there, is the port its own, does a firewall stand between?`,
          { retryable: true, data: { url }, cause },
        ),
      )
    let socket: WebSocket
    try {
      socket = new WebSocket(url, SUBPROTOCOL, {
        perMessageDeflate: false,
        maxPayload: MESSAGE_BYTES_MAX,
        handshakeTimeout: CONNECT_MS,
        ...CLOSING,
        skipUTF8Validation: true,
        ...(isUnseen(url) ? { generateMask: zero } : {}),
        ...tls,
      })
    } catch (cause) {
      unreachable(`this is no address of a gateway (${String(cause)})`, cause)
      return
    }
    socket.binaryType = 'nodebuffer'
    const onError = (error: Error): void =>
      unreachable(error.message || (error as { code?: string }).code || 'no answer', error)
    socket.once('error', onError)
    socket.once('open', () => {
      socket.off('error', onError)
      resolve(new WebSocketLink(socket, url))
    })
  })
}

/**
 * WebSocket clients mask what they send so that no proxy on the way takes it for something else. Where there can be none, on
 * this machine and in TLS, the mask is zero: masking took a tenth of the time of large payloads at each end.
 */
export function isUnseen(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol === 'wss:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

function zero(mask: Buffer): void {
  mask.fill(0)
}

export interface WebSocketAccept {
  /** Ends the acceptor; links that are open stay open. */
  close(): void
}

/**
 * Takes links on an HTTP server that listens already, at any path. A browser says which page connects: it is refused with
 * 403 unless `origins` has it.
 */
export function acceptWebSockets(
  server: HttpServer,
  onLink: (link: Link) => void,
  origins: readonly string[] = [],
): WebSocketAccept {
  const acceptor = new WebSocketServer({
    noServer: true,
    ...CLOSING,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    skipUTF8Validation: true,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
    if (!offered.includes(SUBPROTOCOL)) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const { origin } = request.headers
    if (origin !== undefined && !origins.includes('*') && !origins.includes(origin)) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    acceptor.handleUpgrade(request, socket, head, (accepted) => {
      accepted.binaryType = 'nodebuffer'
      const { remoteAddress = 'unknown', remotePort = 0 } = request.socket
      onLink(new WebSocketLink(accepted, `${remoteAddress}:${remotePort}`))
    })
  }
  server.on('upgrade', onUpgrade)
  return {
    close() {
      server.off('upgrade', onUpgrade)
      acceptor.close()
    },
  }
}
