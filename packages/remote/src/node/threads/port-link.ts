/**
 * A link between two threads of a process: messages over a port. Links follow each other on one port; `close` ends one,
 * and what comes for it afterwards is dropped by whoever closed it (L2).
 */
import type { Link, LinkEvents } from '../../link/link.ts'

/** The half of a port that a link uses: a `Worker`, or `parentPort`. */
export interface ThreadPort {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void
}

export class PortLink implements Link {
  readonly peer: string
  /** Credit bounds what is under way; the port itself does not tell. */
  readonly bufferedBytes = 0
  readonly #port: ThreadPort
  #events: LinkEvents | undefined
  #isClosed = false

  constructor(port: ThreadPort, peer: string) {
    this.#port = port
    this.peer = peer
  }

  start(events: LinkEvents): void {
    this.#events = events
  }

  send(message: Uint8Array): void {
    if (this.#isClosed) return
    const { buffer } = message
    this.#port.postMessage(message, buffer instanceof ArrayBuffer ? [buffer] : [])
  }

  /** A thread's messages cannot be held back; credit does that. */
  pause(): void {}
  resume(): void {}

  close(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#port.postMessage({ type: 'close', code, reason }, [])
    this.closed(code, reason)
  }

  destroy(): void {
    this.close(1006, 'destroyed')
  }

  /** For the owner of the port: a message of this link has come. */
  deliver(message: Uint8Array): void {
    if (!this.#isClosed) this.#events?.onMessage(message)
  }

  /** For the owner of the port: the other side has closed, or is gone. */
  closed(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#events?.onClose({ code, reason })
  }
}
