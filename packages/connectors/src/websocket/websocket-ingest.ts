/** Records that come as messages from clients: the source `webSocketIngest`. */
import { type Duration, positiveDurationMs, type Source } from 'millrace/connector'
import { checkSchema, type StandardSchema } from '../file/standard-schema.ts'
import { checkListen } from '../http/listen.ts'
import { checkDoor, oneOf, wholeNumber } from '../http/options.ts'
import { IngestPeers, type IngestSettings, PARTITION } from './ingest-peers.ts'
import type { PeerOptions, PeerSettings } from './peers.ts'

export interface WebSocketIngestOptions<T> extends PeerOptions {
  /**
   * Identity of a record, which the client chose. Once a commit holds the record, its connection gets `{"ack":[...]}`
   * with the identities that the commit covers. Default: nothing is acknowledged.
   */
  readonly ackId?: (row: T) => string | number | undefined
  /**
   * A message with a record that cannot be used. 'refuse' (default): nothing of it enters, the client gets
   * `{"error":{...}}`. 'skip': the others enter, it goes to the source's `onError`, which is 'skip' here unless the flow
   * says otherwise.
   */
  readonly onBad?: 'refuse' | 'skip'
  /** A Standard Schema (zod, valibot, arktype, ...) that every record must fit. Without one every JSON object is taken. */
  readonly schema?: StandardSchema<T>
  /** Largest message; a larger one closes the connection (1009). Default 256 KiB. */
  readonly maxMessageBytes?: number
  /** Messages a minute that cannot be used, of one connection; one more closes it (1008). Default 60. */
  readonly maxBadPerMinute?: number
  /** Records that wait for the flow. When there are so many, no connection is read. Default 16,384: four batches of the largest kind. */
  readonly bufferRecords?: number
  /** Bytes of messages that wait for the flow. Default 32 MiB. */
  readonly bufferBytes?: number
  /** A connection that does not answer a ping until the next one is closed. Default '20s'. */
  readonly pingEvery?: Duration
}

/**
 * Listens for WebSockets. A message is JSON: one object is a record, an array several. When the flow is behind, connections
 * are not read: TCP holds their senders back. With `ackId` a client learns what is committed, and loses nothing when it
 * sends the rest again after a reconnect: at-least-once. What was sent and not committed cannot be read again: not
 * replayable.
 *
 * One partition: with several workers, one of them listens.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `LISTEN_PORT_IN_USE`, `LISTEN_FAILED`, `LIVE_POSITION`
 * @example webSocketIngest({ port: 8081 }).replayable // => false
 */
export function webSocketIngest<T>(options: WebSocketIngestOptions<T>): Source<T> {
  const { host = '127.0.0.1', port, schema, ackId } = options
  if (schema !== undefined) checkSchema(schema)
  const settings: IngestSettings<T> = {
    peers: peerSettings(options, options.maxMessageBytes ?? 256 * 1024, options.pingEvery),
    schema,
    ackId,
    onBad: oneOf('onBad', options.onBad ?? 'refuse', ['refuse', 'skip']),
    badPerMinuteMax: wholeNumber('maxBadPerMinute', options.maxBadPerMinute ?? 60, 0, 1_000_000),
    buffer: {
      records: wholeNumber('bufferRecords', options.bufferRecords ?? 16_384, 1, 10_000_000),
      bytes: wholeNumber('bufferBytes', options.bufferBytes ?? 32 * 1024 * 1024, 1, 4 * 1024 ** 3),
    },
  }
  return {
    kind: 'websocket.ingest',
    replayable: false,
    onError: 'skip',
    describe: () => ({
      host,
      port,
      path: settings.peers.path,
      acknowledges: ackId !== undefined,
      onBad: settings.onBad,
    }),
    partitions: () => [PARTITION],
    async open(_partition, position, ctx) {
      const reader = new IngestPeers<T>(settings, position, ctx)
      await reader.open()
      return reader
    },
  }
}

/** @throws UsageError `LIVE_OPTION`, `DURATION` */
export function peerSettings(
  options: PeerOptions,
  maxMessageBytes: number,
  pingEvery: Duration | undefined,
): PeerSettings {
  checkListen(options)
  const { path = '/', token, origins } = options
  checkDoor(path, token)
  return {
    listen: options,
    path,
    token,
    origins,
    messageBytesMax: wholeNumber('maxMessageBytes', maxMessageBytes, 1, 256 * 1024 * 1024),
    pingEveryMs: positiveDurationMs(pingEvery ?? '20s', 'pingEvery'),
  }
}
