/** Records that come with POST: the source `httpIngest`. */
import { type Duration, positiveDurationMs, type Source } from 'millrace/connector'
import { checkSchema, type StandardSchema } from '../file/standard-schema.ts'
import { IngestServer, type IngestSettings, PARTITION } from './ingest-server.ts'
import { checkListen, type ListenOptions } from './listen.ts'
import { checkDoor, oneOf, wholeNumber } from './options.ts'

export interface HttpIngestOptions<T> extends ListenOptions {
  /** Where records are posted. Default '/'. `GET /health` answers in any case. */
  readonly path?: string
  /**
   * When the sender gets its answer. 'commit' (default): 200 once a commit holds the records. 'accept': 202 at once; a
   * crash loses what was not committed yet.
   */
  readonly ack?: 'commit' | 'accept'
  /**
   * A record that cannot be used. 'refuse' (default): 400, nothing of the request enters, the answer says which record and
   * why. 'skip': the others enter, it goes to the source's `onError`, which is 'skip' here unless the flow says otherwise.
   */
  readonly onBad?: 'refuse' | 'skip'
  /** A Standard Schema (zod, valibot, arktype, ...) that every record must fit. Without one every JSON object is taken. */
  readonly schema?: StandardSchema<T>
  /** Senders must show it: `Authorization: Bearer TOKEN`. Default: everybody may send. */
  readonly token?: string
  /** Largest body, unpacked; a larger one gets 413. Default 1 MiB: some thousand records, decoded within 10 ms. */
  readonly maxBodyBytes?: number
  /** How long a body may take, not counting the time in which the flow does not read; then 408. Default '30s'. */
  readonly bodyTimeout?: Duration
  /** Records that wait for the flow. When there are so many, bodies are read no further. Default 16,384: four batches of the largest kind. */
  readonly bufferRecords?: number
  /** Bytes of bodies that wait for the flow or are half received. Default 32 MiB. */
  readonly bufferBytes?: number
  /** Requests that wait for room in the buffer, unread. Further ones get 503 with Retry-After. Default 1024. */
  readonly maxWaiting?: number
  /**
   * How many idempotency keys are remembered: a request whose `Idempotency-Key` is among them enters once, however often
   * it is sent. They are part of every commit, 25 bytes each. At most 10,000. Default 0: keys are not looked at.
   */
  readonly rememberKeys?: number
}

/**
 * Listens for records: POST of JSON (one object, an array) or NDJSON, plain or gzip. It answers 200 when a commit holds the
 * records, so a client that sends again whatever was not answered with 200 loses nothing. Without `rememberKeys` such a
 * retry may enter twice: at-least-once. What was sent and not committed cannot be read again: not replayable.
 *
 * One partition: with several workers, one of them listens.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `LISTEN_PORT_IN_USE`, `LISTEN_FAILED`, `LIVE_POSITION`
 * @example httpIngest({ port: 8080 }).replayable // => false
 */
export function httpIngest<T>(options: HttpIngestOptions<T>): Source<T> {
  const settings = settingsOf(options)
  const { path, ack, onBad, keysMax } = settings
  const { host = '127.0.0.1', port } = options
  return {
    kind: 'http.ingest',
    replayable: false,
    onError: 'skip',
    describe: () => ({ host, port, path, ack, onBad, ...(keysMax > 0 ? { rememberKeys: keysMax } : {}) }),
    partitions: () => [PARTITION],
    async open(_partition, position, ctx) {
      const server = new IngestServer<T>(settings, position, ctx)
      await server.open()
      return server
    },
  }
}

function settingsOf<T>(options: HttpIngestOptions<T>): IngestSettings<T> {
  checkListen(options)
  const { path = '/', schema, token } = options
  checkDoor(path, token)
  if (schema !== undefined) checkSchema(schema)
  const bodyBytesMax = wholeNumber('maxBodyBytes', options.maxBodyBytes ?? 1024 * 1024, 1, 256 * 1024 * 1024)
  return {
    listen: options,
    path,
    schema,
    token,
    bodyBytesMax,
    ack: oneOf('ack', options.ack ?? 'commit', ['commit', 'accept']),
    onBad: oneOf('onBad', options.onBad ?? 'refuse', ['refuse', 'skip']),
    bodyTimeoutMs: positiveDurationMs(options.bodyTimeout ?? '30s', 'bodyTimeout'),
    buffer: {
      records: wholeNumber('bufferRecords', options.bufferRecords ?? 16_384, 1, 10_000_000),
      bytes: wholeNumber('bufferBytes', options.bufferBytes ?? 32 * 1024 * 1024, 1, 4 * 1024 ** 3),
    },
    waitingMax: wholeNumber('maxWaiting', options.maxWaiting ?? 1024, 0, 100_000),
    keysMax: wholeNumber('rememberKeys', options.rememberKeys ?? 0, 0, 10_000),
  }
}
