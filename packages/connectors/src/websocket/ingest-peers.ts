/**
 * The reader behind `webSocketIngest`: messages become records, and are acknowledged when a commit holds them.
 *
 * Invariants:
 *  W1  An acknowledgement is sent only after a commit holds every record of the message.
 *  W2  While the buffer is full nobody is listened to, so it is exceeded by what one connection sent in one piece.
 *  W3  Connections that were not listened to are listened to again in the order in which they were stopped.
 */
import { messageOf, type Position, type SourceBatch, type SourceContext, type SourceReader } from 'millrace/connector'
import type { RawData, WebSocket } from 'ws'
import type { StandardSchema } from '../file/standard-schema.ts'
import { Intake, type IntakeLimits, type Parcel } from '../http/intake.ts'
import { decodeBody, type Problem } from '../http/json-rows.ts'
import { type PeerSettings, Peers } from './peers.ts'

export interface IngestSettings<T> {
  readonly peers: PeerSettings
  readonly schema: StandardSchema<T> | undefined
  readonly onBad: 'refuse' | 'skip'
  readonly ackId: ((row: T) => string | number | undefined) | undefined
  readonly badPerMinuteMax: number
  readonly buffer: IntakeLimits
}

export const PARTITION = 'websocket'

/** Connections that are listened to again at a time, before the buffer is looked at. */
const RESUMED_AT_ONCE = 64
/** What a client that does not read its acknowledgements may leave lying here before it is cut off. */
const OUTGOING_BYTES_MAX = 1024 * 1024
/** 1008: policy violation. */
const TOO_MANY_BAD = 1008
const PROBLEMS_MAX = 5

interface Peer {
  readonly socket: WebSocket
  /** Identities of what is committed and was not told yet. */
  acks: (string | number)[]
  bad: number
  badSince: number
}

export class IngestPeers<T> implements SourceReader<T> {
  readonly #settings: IngestSettings<T>
  readonly #ctx: SourceContext
  readonly #intake: Intake<T>
  readonly #peers: Peers
  readonly #flowing = new Set<Peer>()
  /** Not listened to, the first stopped first. */
  readonly #paused = new Set<Peer>()
  /** Those that the present commit has something for. */
  readonly #toTell = new Set<Peer>()
  #bad = 0
  #isClosed = false

  constructor(settings: IngestSettings<T>, position: Position | undefined, ctx: SourceContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#intake = new Intake(settings.buffer, PARTITION, position, ctx)
    this.#intake.onRoom = () => this.#resume()
    this.#peers = new Peers(settings.peers, ctx, (socket) => this.#join(socket))
  }

  open(): Promise<void> {
    return this.#peers.open()
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    return this.#intake.read(maxRows)
  }

  committed(position: Position): void {
    this.#intake.committed(position)
    for (const peer of this.#toTell) {
      this.#say(peer, { ack: peer.acks })
      peer.acks = []
    }
    this.#toTell.clear()
  }

  lag(): number {
    return this.#intake.lag()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#intake.close()
    // A paused connection does not see the other side's goodbye.
    for (const peer of this.#paused) peer.socket.resume()
    await this.#peers.close()
  }

  #join(socket: WebSocket): void {
    const peer: Peer = { socket, acks: [], bad: 0, badSince: performance.now() }
    this.#flowing.add(peer)
    socket.on('message', (data) => {
      try {
        this.#take(peer, data)
      } catch (thrown) {
        this.#intake.fail(thrown)
      }
    })
    socket.on('close', () => {
      this.#flowing.delete(peer)
      this.#paused.delete(peer)
      this.#toTell.delete(peer)
    })
    if (this.#intake.isFull) this.#pause()
  }

  #take(peer: Peer, data: RawData): void {
    if (this.#isClosed) return
    const bytes = data as Buffer
    const { entries, problems } = decodeBody(bytes, 'json', this.#settings.schema)
    if (problems.length > 0) {
      this.#complain(peer, problems)
      if (this.#settings.onBad === 'refuse') return
    }
    if (entries.length === 0) return
    let isCommitted: (() => void) | undefined
    try {
      isCommitted = this.#acknowledgement(peer, entries)
    } catch (thrown) {
      const message = `ackId failed: ${messageOf(thrown)}. Nothing of the message was taken.`
      this.#complain(peer, [{ line: 1, code: 'ACK_ID', message }])
      return
    }
    this.#intake.add({ entries, bytes: bytes.length, isCommitted })
    if (this.#intake.isFull) this.#pause()
  }

  #acknowledgement(peer: Peer, entries: Parcel<T>['entries']): (() => void) | undefined {
    const { ackId } = this.#settings
    if (ackId === undefined) return undefined
    const ids: (string | number)[] = []
    for (const entry of entries) {
      const id = 'row' in entry ? ackId(entry.row) : undefined
      if (id !== undefined) ids.push(id)
    }
    if (ids.length === 0) return undefined
    return () => {
      for (const id of ids) peer.acks.push(id)
      if (peer.socket.readyState === peer.socket.OPEN) this.#toTell.add(peer)
    }
  }

  /** Tells the client what is wrong, and ends it when it goes on like that. */
  #complain(peer: Peer, problems: readonly Problem[]): void {
    const now = performance.now()
    if (now - peer.badSince > 60_000) {
      peer.badSince = now
      peer.bad = 0
    }
    peer.bad++
    this.#ctx.gauge('bad_messages', ++this.#bad)
    if (peer.bad > this.#settings.badPerMinuteMax) {
      peer.socket.close(TOO_MANY_BAD, 'too many messages that cannot be used')
      this.#flowing.delete(peer)
      peer.socket.removeAllListeners('message')
      return
    }
    if (this.#settings.onBad === 'refuse' || problems[0].code === 'ACK_ID')
      this.#say(peer, { error: { code: 'RECORDS_REFUSED', problems: problems.slice(0, PROBLEMS_MAX) } })
  }

  #say({ socket }: Peer, message: unknown): void {
    if (socket.readyState !== socket.OPEN) return
    if (socket.bufferedAmount > OUTGOING_BYTES_MAX) socket.terminate()
    else socket.send(JSON.stringify(message))
  }

  #pause(): void {
    for (const peer of this.#flowing) {
      peer.socket.pause()
      this.#paused.add(peer)
    }
    this.#flowing.clear()
    this.#ctx.gauge('paused_connections', this.#paused.size)
  }

  #resume(): void {
    let n = 0
    for (const peer of this.#paused) {
      if (this.#intake.isFull || n++ === RESUMED_AT_ONCE) break
      this.#paused.delete(peer)
      this.#flowing.add(peer)
      this.#peers.hear(peer.socket)
      peer.socket.resume()
    }
    this.#ctx.gauge('paused_connections', this.#paused.size)
    if (this.#paused.size > 0 && !this.#intake.isFull) setImmediate(() => this.#resume())
  }
}
