/** A link over the WebSocket of browsers, which Node, Deno and Bun have too. */
import { CLOSE, type Link, type LinkEvents, SUBPROTOCOL } from '../link/link.ts'
import { RemoteError } from '../remote-error.ts'

/** What is used of a WebSocket; the types of browsers are not at hand everywhere. */
interface BrowserSocket {
  binaryType: string
  readonly bufferedAmount: number
  readonly readyState: number
  onopen: (() => void) | null
  onmessage: ((event: { readonly data: unknown }) => void) | null
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null
  send(data: Uint8Array): void
  close(code?: number, reason?: string): void
}

const OPEN = 1

class BrowserLink implements Link {
  readonly peer: string
  readonly #socket: BrowserSocket
  /** What came while the link was paused, or before `start`: at most what the credit of its calls allows. */
  #held: Uint8Array[] = []
  #isPaused = true
  #events: LinkEvents | undefined
  #isClosed = false

  constructor(socket: BrowserSocket, peer: string) {
    this.#socket = socket
    this.peer = peer
    socket.onmessage = ({ data }) => this.#onMessage(data)
    socket.onclose = ({ code, reason }) => this.#closed(code, reason)
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  start(events: LinkEvents): void {
    this.#events = events
    if (this.#earlyClose !== undefined) events.onClose(this.#earlyClose)
    else this.resume()
  }

  send(message: Uint8Array): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(message)
  }

  /** A browser's socket cannot be told to wait: what arrives is held here. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    while (this.#held.length > 0 && !this.#isPaused && !this.#isClosed) {
      this.#events?.onMessage(this.#held.shift() as Uint8Array)
    }
  }

  close(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#held = []
    // Browsers take 1000 and the private range.
    this.#socket.close(code === CLOSE.normal || code >= 3000 ? code : CLOSE.normal, reason.slice(0, 120))
  }

  /** There is no harder way; what comes meanwhile is not delivered. */
  destroy(): void {
    this.close(CLOSE.normal, '')
  }

  #onMessage(data: unknown): void {
    if (this.#isClosed) return
    if (!(data instanceof ArrayBuffer)) {
      this.close(CLOSE.protocolError, 'a text message')
      return
    }
    const message = new Uint8Array(data)
    if (this.#isPaused || this.#events === undefined) this.#held.push(message)
    else this.#events.onMessage(message)
  }

  #earlyClose: { readonly code: number; readonly reason: string } | undefined

  #closed(code: number, reason: string): void {
    this.#isClosed = true
    this.#held = []
    if (this.#events === undefined) this.#earlyClose = { code, reason }
    else this.#events.onClose({ code, reason })
  }
}

const CONNECT_MS = 5_000

/**
 * Opens a link to a gateway.
 * @throws RemoteError `GATEWAY_UNREACHABLE`; a browser does not say why
 */
export function connectBrowser(url: string): Promise<Link> {
  return new Promise((resolve, reject) => {
    const unreachable = (why: string, cause?: unknown): void =>
      reject(
        new RemoteError(
          'GATEWAY_UNREACHABLE',
          `there is no gateway at ${url}: ${why}. Is it running there, does its option \`origins\` have the origin of this page?`,
          { retryable: true, data: { url }, cause },
        ),
      )
    const { WebSocket } = globalThis as unknown as {
      readonly WebSocket?: new (url: string, protocol: string) => BrowserSocket
    }
    if (WebSocket === undefined) {
      unreachable('this environment has no WebSocket')
      return
    }
    let socket: BrowserSocket
    try {
      socket = new WebSocket(url, SUBPROTOCOL)
    } catch (cause) {
      unreachable('this is no address of a gateway', cause)
      return
    }
    socket.binaryType = 'arraybuffer'
    const timer = setTimeout(() => {
      socket.close()
      unreachable(`no answer within ${CONNECT_MS} ms`)
    }, CONNECT_MS)
    socket.onclose = () => {
      clearTimeout(timer)
      unreachable('it does not answer, or refuses this page')
    }
    socket.onopen = () => {
      clearTimeout(timer)
      resolve(new BrowserLink(socket, url))
    }
  })
}
