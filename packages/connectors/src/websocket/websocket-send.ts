/** Rows to a WebSocket server: the sink `webSocketSend`. */
import type { Batch, Duration, OperationalError, Sink, SinkContext, SinkWriter } from 'millrace/connector'
import { positiveDurationMs } from 'millrace/connector'
import { jsonText } from '../file/json-lines-encoder.ts'
import { shownUrl, wholeNumber } from '../http/options.ts'
import { encodeRows } from './broadcast-writer.ts'
import { Connection, type ConnectionSettings, type ConnectOptions } from './connection.ts'
import { connectionSettings } from './websocket-subscribe.ts'

export interface WebSocketSendOptions<T> extends ConnectOptions {
  /** The message of a row. Default: JSON, with bigint as decimal text. */
  readonly format?: (row: T) => string
  /** True: `format` shows the member `$weight: -1` of rows that are taken back. Default: such rows are refused. JSON shows it. */
  readonly takesChanges?: boolean
  /**
   * Messages that are kept until the server has confirmed them, to be sent again after a reconnect. When there are so many,
   * the flow waits. Default 4096.
   */
  readonly maxUnconfirmed?: number
  /** A server that confirms nothing for this long counts as gone. Default '10s'. */
  readonly timeout?: Duration
  /** So many failures in a row end the run (it restarts where it may). Default 20: about seven minutes. */
  readonly failuresMax?: number
}

/**
 * Sends rows to a WebSocket server. A pong confirms what was sent before its ping: the server has received it. A commit waits
 * for that; after a lost connection what was not confirmed is sent again: at-least-once, as far as the server's own memory.
 * A slow server holds the flow back.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `WEBSOCKET_REFUSED`, `WEBSOCKET_UNREACHABLE`, `RECORD_ENCODE`
 * @example webSocketSend({ url: 'ws://localhost:9001' }).guarantee // => 'at-least-once'
 */
export function webSocketSend<T>(options: WebSocketSendOptions<T>): Sink<T> {
  const { format = jsonText, takesChanges = options.format === undefined } = options
  const timeout = options.timeout ?? '10s'
  positiveDurationMs(timeout, 'timeout')
  const settings: SendSettings<T> = {
    connection: connectionSettings(options, undefined, timeout, options.failuresMax),
    format,
    unconfirmedMax: wholeNumber('maxUnconfirmed', options.maxUnconfirmed ?? 4096, 1, 10_000_000),
  }
  return {
    kind: 'websocket.send',
    guarantee: 'at-least-once',
    takesChanges,
    describe: () => ({ url: shownUrl(settings.connection.url) }),
    open: (ctx) => new SendWriter<T>(settings, ctx),
  }
}

interface SendSettings<T> {
  readonly connection: ConnectionSettings
  readonly format: (row: T) => string
  readonly unconfirmedMax: number
}

/** Bytes that lie in the socket before the flow waits. */
const SOCKET_BYTES_MAX = 256 * 1024

/**
 * Invariants:
 *  N1  `#unconfirmed` holds, in order, every message that no pong has confirmed. Those before `#sent` were sent on the
 *      present connection.
 *  N2  `flush` resolves when it is empty.
 */
class SendWriter<T> implements SinkWriter<T> {
  readonly #settings: SendSettings<T>
  readonly #ctx: SinkContext
  readonly #connection: Connection
  #unconfirmed: Buffer[] = []
  #sent = 0
  /** Messages sent before the ping that is under way; undefined when none is. */
  #asked: number | undefined
  #failure: OperationalError | undefined
  #waiting: (() => void)[] = []
  #isClosed = false

  constructor(settings: SendSettings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#connection = new Connection(settings.connection, {
      onOpen: (socket) => {
        this.#sent = 0
        this.#asked = undefined
        socket.on('pong', (data) => {
          if (data.length > 0) this.#confirm()
        })
        this.#send()
      },
      onMessage: () => {},
      onLost: (times) => ctx.gauge('reconnects', times),
      onFailure: (error) => {
        this.#failure = error
        this.#wake()
      },
      log: (level, message) => ctx.log(level, message),
    })
  }

  async write(batch: Batch<T>): Promise<void> {
    for (const message of encodeRows(batch, this.#settings.format, this.#ctx.step)) this.#unconfirmed.push(message)
    this.#send()
    await this.#until(() => this.#unconfirmed.length <= this.#settings.unconfirmedMax && this.#isSent)
  }

  flush(): Promise<void> {
    return this.#until(() => this.#unconfirmed.length === 0)
  }

  close(): void {
    this.#isClosed = true
    this.#connection.close()
    this.#wake()
  }

  get #isSent(): boolean {
    return this.#sent === this.#unconfirmed.length
  }

  async #until(test: () => boolean): Promise<void> {
    while (!test() && !this.#isClosed) {
      if (this.#failure !== undefined) throw this.#failure
      this.#ask()
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #send(): void {
    const { socket } = this.#connection
    if (socket === undefined) return
    while (!this.#isSent && socket.bufferedAmount < SOCKET_BYTES_MAX) {
      socket.send(this.#unconfirmed[this.#sent++], { binary: false }, () => {
        if (!this.#isSent) this.#send()
      })
    }
    this.#ask()
    this.#wake()
  }

  /** One ping at a time: its pong confirms everything sent before it. */
  #ask(): void {
    const { socket } = this.#connection
    if (socket === undefined || this.#asked !== undefined || this.#sent === 0) return
    this.#asked = this.#sent
    socket.ping('confirm')
  }

  #confirm(): void {
    const confirmed = this.#asked ?? 0
    this.#asked = undefined
    this.#unconfirmed.splice(0, confirmed)
    this.#sent -= confirmed
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
