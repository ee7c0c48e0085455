/** Rows that a WebSocket server sends: the source `webSocketSubscribe`. */
import {
  type Duration,
  type Position,
  positiveDurationMs,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'
import { checkSchema, type StandardSchema } from '../file/standard-schema.ts'
import { checkPosition, Intake, type IntakeLimits, type IntakePosition } from '../http/intake.ts'
import { decodeBody } from '../http/json-rows.ts'
import { checkUrl, shownUrl, wholeNumber } from '../http/options.ts'
import { Connection, type ConnectionSettings, type ConnectOptions } from './connection.ts'

export interface WebSocketSubscribeOptions<T> extends ConnectOptions {
  /** Messages to send when the connection is open: what to subscribe to. Gets the cursor of the last row that was read. */
  readonly onOpen?: (cursor: Position | undefined) => readonly string[]
  /** What `onOpen` needs to ask for the rows after this one: an id, a time. It is kept with the position. */
  readonly cursor?: (row: T) => Position
  /** A Standard Schema (zod, valibot, arktype, ...) that every row must fit; others go to the source's `onError`. */
  readonly schema?: StandardSchema<T>
  /** Largest message; a larger one ends the connection. Default 1 MiB. */
  readonly maxMessageBytes?: number
  /** Records that wait for the flow. When there are so many, the connection is not read. Default 16,384. */
  readonly bufferRecords?: number
  /** Bytes of messages that wait for the flow. Default 32 MiB. */
  readonly bufferBytes?: number
  /** A server that does not answer a ping until the next one counts as gone. Default '20s'. */
  readonly pingEvery?: Duration
  /** So many failures in a row end the run (it restarts where it may). Default 20: about seven minutes. */
  readonly failuresMax?: number
}

const PARTITION = 'websocket'

/**
 * Connects to a WebSocket server and reads what it sends: a message is JSON, one object is a record, an array several. A lost
 * connection is made again after a growing pause. What the server sends meanwhile is missed, unless `onOpen` asks for it
 * with the cursor: each gap is logged, and counted in `gaps`. When the flow is behind, the connection is not read: TCP holds
 * the server back. Not replayable.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `WEBSOCKET_REFUSED`, `WEBSOCKET_UNREACHABLE`, `LIVE_POSITION`
 * @example webSocketSubscribe({ url: 'ws://localhost:9001' }).replayable // => false
 */
export function webSocketSubscribe<T>(options: WebSocketSubscribeOptions<T>): Source<T> {
  const { schema, cursor, onOpen = () => [] } = options
  if (schema !== undefined) checkSchema(schema)
  const settings: SubscribeSettings<T> = {
    connection: connectionSettings(options, options.maxMessageBytes, options.pingEvery, options.failuresMax),
    onOpen,
    cursor,
    schema,
    buffer: {
      records: wholeNumber('bufferRecords', options.bufferRecords ?? 16_384, 1, 10_000_000),
      bytes: wholeNumber('bufferBytes', options.bufferBytes ?? 32 * 1024 * 1024, 1, 4 * 1024 ** 3),
    },
  }
  return {
    kind: 'websocket.subscribe',
    replayable: false,
    onError: 'skip',
    describe: () => ({ url: shownUrl(settings.connection.url) }),
    partitions: () => [PARTITION],
    open: (_partition, position, ctx) => new SubscribeReader<T>(settings, position, ctx),
  }
}

/** @throws UsageError `LIVE_OPTION`, `DURATION` */
export function connectionSettings(
  connect: ConnectOptions,
  maxMessageBytes = 1024 * 1024,
  pingEvery: Duration = '20s',
  failuresMax = 20,
): ConnectionSettings {
  return {
    url: checkUrl(connect.url, ['ws', 'wss']),
    connect,
    messageBytesMax: wholeNumber('maxMessageBytes', maxMessageBytes, 1, 256 * 1024 * 1024),
    pingEveryMs: positiveDurationMs(pingEvery, 'pingEvery'),
    failuresMax: wholeNumber('failuresMax', failuresMax, 1, 1_000_000),
  }
}

interface SubscribeSettings<T> {
  readonly connection: ConnectionSettings
  readonly onOpen: (cursor: Position | undefined) => readonly string[]
  readonly cursor: ((row: T) => Position) | undefined
  readonly schema: StandardSchema<T> | undefined
  readonly buffer: IntakeLimits
}

class SubscribeReader<T> implements SourceReader<T> {
  readonly #settings: SubscribeSettings<T>
  readonly #intake: Intake<T>
  readonly #connection: Connection
  /** Of the last row that went to the flow. */
  #cursor: Position | undefined
  /** Of the last row that was received. */
  #newest: Position | undefined

  constructor(settings: SubscribeSettings<T>, position: Position | undefined, ctx: SourceContext) {
    this.#settings = settings
    this.#cursor = checkPosition<IntakePosition>(position, ctx.step).memo
    this.#intake = new Intake(settings.buffer, PARTITION, position, ctx)
    this.#intake.memo = () => this.#cursor
    this.#intake.onRoom = () => this.#connection.socket?.resume()
    this.#connection = new Connection(settings.connection, {
      onOpen: (socket) => {
        // What was received and not read is still going to be: ask for what follows that.
        this.#guard(() => {
          for (const message of settings.onOpen(this.#newest ?? this.#cursor)) socket.send(message)
        })
        if (this.#intake.isFull) socket.pause()
      },
      onMessage: (bytes) => this.#guard(() => this.#take(bytes)),
      onLost: (times) => ctx.gauge('gaps', times),
      onFailure: (error) => this.#intake.fail(error),
      log: (level, message) => ctx.log(level, message),
    })
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    return this.#intake.read(maxRows)
  }

  lag(): number {
    return this.#intake.lag()
  }

  close(): void {
    this.#intake.close()
    this.#connection.close()
  }

  /** What functions of the user throw here ends the flow by the next read, not the process. */
  #guard(body: () => void): void {
    try {
      body()
    } catch (thrown) {
      this.#intake.fail(thrown)
    }
  }

  #take(bytes: Buffer): void {
    const { schema, cursor } = this.#settings
    const { entries } = decodeBody(bytes, 'json', schema)
    if (entries.length === 0) return
    const cursors = cursor === undefined ? undefined : entries.map((e) => ('row' in e ? cursor(e.row) : undefined))
    this.#newest = cursors?.findLast((at) => at !== undefined) ?? this.#newest
    this.#intake.add({
      entries,
      bytes: bytes.length,
      isTaken: (count) => {
        this.#cursor = cursors?.slice(0, count).findLast((at) => at !== undefined) ?? this.#cursor
      },
    })
    if (this.#intake.isFull) this.#connection.socket?.pause()
  }
}
