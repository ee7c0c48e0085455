/** The writer behind `webSocketBroadcast` in the worker that has the server: every row goes to every subscriber. */
import {
  type Batch,
  markedRow,
  messageOf,
  OperationalError,
  type SinkContext,
  type SinkWriter,
  UsageError,
} from 'millrace/connector'
import { Outbox, type OutboxLimits, type SlowPolicy } from './outbox.ts'
import { type PeerSettings, Peers } from './peers.ts'

export interface BroadcastSettings<T> {
  readonly peers: PeerSettings
  readonly format: (row: T) => string
  readonly slow: SlowPolicy
  readonly outbox: OutboxLimits
}

/** Encodes the rows of a batch. @throws OperationalError `RECORD_ENCODE` */
export function encodeRows<T>(batch: Batch<T>, format: (row: T) => string, step: string): Buffer[] {
  const messages: Buffer[] = []
  for (let i = 0; i < batch.length; i++) {
    try {
      messages.push(Buffer.from(format(markedRow(batch, i))))
    } catch (thrown) {
      if (thrown instanceof UsageError) throw thrown
      throw new OperationalError(
        'RECORD_ENCODE',
        `a row cannot be written as a message: ${messageOf(thrown)}. Map such rows to plain values before the sink.`,
        { step, cause: thrown },
      )
    }
  }
  return messages
}

export class BroadcastWriter<T> implements SinkWriter<T> {
  readonly #settings: BroadcastSettings<T>
  readonly #ctx: SinkContext
  readonly #peers: Peers
  readonly #boxes = new Set<Outbox>()

  constructor(settings: BroadcastSettings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#peers = new Peers(settings.peers, ctx, (socket) => {
      const box = new Outbox(socket, settings.slow, settings.outbox, (count) => ctx.lost(count))
      this.#boxes.add(box)
      socket.once('close', () => this.#boxes.delete(box))
      // Subscribers have nothing to say; what they send is read, so that pongs behind it are, and forgotten.
      socket.on('message', () => {})
    })
  }

  /** @throws OperationalError `LISTEN_PORT_IN_USE`, `LISTEN_FAILED` */
  open(): Promise<void> {
    return this.#peers.open()
  }

  write(batch: Batch<T>): Promise<void> | undefined {
    return this.send(encodeRows(batch, this.#settings.format, this.#ctx.step))
  }

  /** A promise, when a subscriber must be waited for. */
  send(messages: readonly Buffer[]): Promise<void> | undefined {
    const full: Promise<void>[] = []
    let bytes = 0
    for (const box of this.#boxes) {
      for (const message of messages) box.put(message)
      bytes += box.bytes
      const room = this.#settings.slow === 'block' ? box.room() : undefined
      if (room !== undefined) full.push(room)
    }
    this.#ctx.gauge('buffered_bytes', bytes)
    return full.length === 0 ? undefined : Promise.all(full).then(() => {})
  }

  /** Waits for subscribers only where they may hold the flow back. */
  async flush(): Promise<void> {
    if (this.#settings.slow === 'block') await Promise.all([...this.#boxes].map((box) => box.empty()))
  }

  close(): Promise<void> {
    return this.#peers.close()
  }
}
