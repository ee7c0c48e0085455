/**
 * A link: messages in order, both ways, between two processes. WebSocket, NATS and memory are links, and all of them pass
 * `transportContract`.
 *
 * Invariants:
 *  L1  Messages arrive whole, in order, each once, or the link closes.
 *  L2  `onClose` is called once, whoever closed; nothing is delivered after it.
 *  L3  Nothing is delivered before `start`.
 */
export interface Link {
  /** Who is at the other end, for logs and lists: an address. */
  readonly peer: string
  /** Bytes given to `send` that have not left this process. */
  readonly bufferedBytes: number
  start(events: LinkEvents): void
  /** The link owns the message from here on. Ignored when the link is closed. */
  send(message: Uint8Array): void
  /** Stops and resumes delivery; what arrives meanwhile is held back at the sender as far as the transport can. */
  pause(): void
  resume(): void
  /** Says why, where the transport can, and closes. Idempotent. */
  close(code: number, reason: string): void
  /** Closes without a word: what is under way may be lost. */
  destroy(): void
}

export interface LinkEvents {
  onMessage(message: Uint8Array): void
  onClose(reason: LinkClosed): void
}

export interface LinkClosed {
  readonly code: number
  readonly reason: string
}

/** Of WebSocket; both ends must name it: something else that speaks WebSocket on this port is not taken for a peer. */
export const SUBPROTOCOL = 'millrace.remote.1'

/** Why a link was closed: codes of WebSocket's private range. */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 4000,
  unauthenticated: 4001,
  fenced: 4002,
  slowConsumer: 4003,
  silent: 4004,
} as const
