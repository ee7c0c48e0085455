/** Rows to everybody who has connected: the sink `webSocketBroadcast`. */
import type { Duration, Sink } from 'millrace/connector'
import { jsonText } from '../file/json-lines-encoder.ts'
import { oneOf, wholeNumber } from '../http/options.ts'
import { type BroadcastSettings, BroadcastWriter } from './broadcast-writer.ts'
import type { SlowPolicy } from './outbox.ts'
import type { PeerOptions } from './peers.ts'
import { PassingWriter, SharedWriter } from './share.ts'
import { peerSettings } from './websocket-ingest.ts'

export interface WebSocketBroadcastOptions<T> extends PeerOptions {
  /** The message of a row. Default: JSON, with bigint as decimal text. */
  readonly format?: (row: T) => string
  /** True: `format` shows the member `$weight: -1` of rows that are taken back. Default: such rows are refused. JSON shows it. */
  readonly takesChanges?: boolean
  /**
   * What to do when a subscriber's buffer is full. 'block': the flow waits, and with it everybody. 'drop-oldest',
   * 'drop-newest': that subscriber misses messages. 'disconnect': it is cut off (1013) and misses what waited for it.
   * Every message missed is counted. There is no default: somebody pays, and the program says who.
   */
  readonly slow: SlowPolicy
  /** Messages that wait for one subscriber. Default 1024: one batch. */
  readonly bufferMessages?: number
  /** Bytes that wait for one subscriber. Default 1 MiB. */
  readonly bufferBytes?: number
  /** A subscriber that does not answer a ping until the next one is closed. Default '20s'. */
  readonly pingEvery?: Duration
}

/**
 * Serves rows to WebSocket clients: each gets every row that comes after it has connected. At-least-once for those who
 * stay and keep up: after a crash the rows behind the last commit are sent again. With `slow: 'block'` a commit waits
 * until the rows have left this process. Rows without a subscriber go nowhere.
 *
 * With several workers one of them has the server; the rows of the others pass through it.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `LISTEN_PORT_IN_USE`, `LISTEN_FAILED`, `RECORD_ENCODE`
 * @example webSocketBroadcast({ port: 8082, slow: 'drop-oldest' }).guarantee // => 'at-least-once'
 */
export function webSocketBroadcast<T>(options: WebSocketBroadcastOptions<T>): Sink<T> {
  const { host = '127.0.0.1', port, format = jsonText, takesChanges = options.format === undefined } = options
  const settings: BroadcastSettings<T> = {
    // Subscribers have nothing to say.
    peers: peerSettings(options, 4096, options.pingEvery),
    format,
    slow: oneOf('slow', options.slow, ['block', 'drop-oldest', 'drop-newest', 'disconnect']),
    outbox: {
      messages: wholeNumber('bufferMessages', options.bufferMessages ?? 1024, 1, 10_000_000),
      bytes: wholeNumber('bufferBytes', options.bufferBytes ?? 1024 * 1024, 1, 1024 ** 3),
    },
  }
  return {
    kind: 'websocket.broadcast',
    guarantee: 'at-least-once',
    takesChanges,
    describe: () => ({ host, port, path: settings.peers.path, slow: settings.slow }),
    async open(ctx) {
      const { index, count } = ctx.instance
      const writer =
        count === 1
          ? new BroadcastWriter<T>(settings, ctx)
          : index === 0
            ? new SharedWriter<T>(settings, ctx)
            : new PassingWriter<T>(settings, ctx)
      await writer.open()
      return writer
    },
  }
}
