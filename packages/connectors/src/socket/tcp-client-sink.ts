/**
 * A TCP client that sends rows to a server, and connects again when the connection is lost.
 *
 * Invariants:
 *  K1  With `ack: 'lines'` rows are kept until the server has acknowledged them, at most `unacknowledgedBytes` and a
 *      batch; a new connection begins with all that are kept. `flush` resolves when none is left.
 *  K2  Without it a batch is kept until the system has taken it, and sent again whole on a new connection.
 *  K3  Nothing waits longer than `giveUpAfter` for a connection or for an acknowledgement to move.
 */
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import {
  type Batch,
  type Duration,
  OperationalError,
  positiveDurationMs,
  type Sink,
  type SinkContext,
  type SinkWriter,
} from 'millrace/connector'
import { type Backoff, pause } from '../http/backoff.ts'
import { oneOf, wholeNumber } from '../http/options.ts'
import { encodeRow, json, type SocketFormat } from './format.ts'
import { isPowerOfTwo } from './listen.ts'
import { backoffOf, type ReconnectOptions } from './reconnect.ts'
import { dialOnce, unreachable } from './tcp-client-source.ts'

export interface TcpClientSinkOptions<T> {
  readonly host?: string
  readonly port: number
  /** How rows become bytes. Default `json()`: a JSON value per line. */
  readonly format?: SocketFormat<T>
  /** Pauses between attempts. Default from 100 ms, doubling, to 10 s, spread by half. */
  readonly reconnect?: ReconnectOptions
  /** Fails the flow after this long without a connection, or without an acknowledgement. Default '30s'. */
  readonly giveUpAfter?: Duration
  /**
   * 'lines': the server answers with the number of records it has for good, as `tcpServerSource({ ack: 'lines' })`
   * does, and a commit waits for that. Default 'none': what the system has taken counts as sent.
   */
  readonly ack?: 'lines' | 'none'
  /** With acks: bytes kept until they are acknowledged; beyond it the flow waits. Default 16 MiB. */
  readonly unacknowledgedBytes?: number
}

/**
 * Sends rows to a server. While there is no connection the flow waits. At least once with `ack: 'lines'`; without it,
 * what the system had taken and not delivered when a connection broke is lost, which no sender can see.
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `SOCKET_UNREACHABLE`, `SOCKET_UNACKNOWLEDGED`, `SOCKET_ANSWER`, `RECORD_ENCODE`
 * @example tcpClientSink({ port: 9000 }).guarantee // => 'at-least-once'
 */
export function tcpClientSink<T>(options: TcpClientSinkOptions<T>): Sink<T> {
  const { port, host = '127.0.0.1', format = json<T>(), ack = 'none', reconnect = {} } = options
  wholeNumber('port', port, 1, 65_535)
  oneOf('ack', ack, ['none', 'lines'])
  backoffOf(reconnect)
  const settings = {
    host,
    port,
    format,
    reconnect,
    isAcknowledged: ack === 'lines',
    giveUpMs: positiveDurationMs(options.giveUpAfter ?? '30s', 'giveUpAfter'),
    keptBytesMax: wholeNumber('unacknowledgedBytes', options.unacknowledgedBytes ?? 16 * 1024 * 1024, 1, 2 ** 31),
  }
  return {
    kind: 'socket.tcpClient',
    guarantee: 'at-least-once',
    takesChanges: format.takesChanges ?? false,
    describe: () => ({ host, port, format: format.name, ack }),
    open: (ctx) => new TcpClientWriter<T>(settings, ctx),
  }
}

interface Settings<T> {
  readonly host: string
  readonly port: number
  readonly format: SocketFormat<T>
  readonly reconnect: ReconnectOptions
  readonly isAcknowledged: boolean
  readonly giveUpMs: number
  readonly keptBytesMax: number
}

interface Parcel {
  readonly bytes: Buffer
  readonly records: number
}

/** The system has this long to take the end of a connection. */
const END_MS = 1000
/** An answer is a number and a line break. */
const ANSWER_BYTES_MAX = 64

class TcpClientWriter<T> implements SinkWriter<T> {
  readonly #settings: Settings<T>
  readonly #ctx: SinkContext
  readonly #backoff: Backoff
  readonly #closed = new AbortController()
  #socket: Socket | undefined
  #connecting: Promise<Socket> | undefined
  /** Sent, or to be sent, and not acknowledged. */
  #kept: Parcel[] = []
  #keptBytes = 0
  /** Records of this connection whose parcels were let go. */
  #released = 0
  #answer = ''
  #failure: unknown
  #moved: (() => void) | undefined

  constructor(settings: Settings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#backoff = backoffOf(settings.reconnect)
    ctx.signal.addEventListener('abort', () => this.#move(), { once: true })
  }

  async write(batch: Batch<T>): Promise<void> {
    if (batch.length === 0) return
    const { format, isAcknowledged, keptBytesMax } = this.#settings
    const rows = Array.from({ length: batch.length }, (_, i) => encodeRow(format, batch, i, this.#ctx.step))
    const parcel = { bytes: Buffer.concat(rows), records: batch.length }
    if (!isAcknowledged) {
      while (!(await send(await this.#connected(), parcel.bytes)));
      return
    }
    // Connected first: a new connection sends everything that is kept, and would send this parcel twice.
    const socket = await this.#connected()
    this.#kept.push(parcel)
    this.#keptBytes += parcel.bytes.length
    await send(socket, parcel.bytes)
    await this.#until(() => this.#keptBytes <= keptBytesMax)
  }

  async flush(): Promise<void> {
    if (this.#settings.isAcknowledged) await this.#until(() => this.#kept.length === 0)
  }

  async close(): Promise<void> {
    const socket = this.#socket
    this.#socket = undefined
    this.#closed.abort()
    if (socket === undefined || socket.destroyed) return
    const over = new AbortController()
    await Promise.race([
      new Promise<void>((resolve) => socket.once('close', resolve).end(() => resolve())),
      pause(END_MS, over.signal),
    ])
    over.abort()
    socket.destroy()
  }

  /** Waits for acknowledgements, over connections. @throws OperationalError when they do not come */
  async #until(isDone: () => boolean): Promise<void> {
    const { host, port, giveUpMs } = this.#settings
    for (let since = performance.now(), left = this.#kept.length; !isDone(); ) {
      if (this.#failure !== undefined) throw this.#failure
      this.#ctx.signal.throwIfAborted()
      await this.#connected()
      if (isDone()) return
      const remaining = since + giveUpMs - performance.now()
      if (remaining <= 0) {
        throw new OperationalError(
          'SOCKET_UNACKNOWLEDGED',
          `"${this.#ctx.step}" has sent ${this.#kept.reduce((n, p) => n + p.records, 0)} records to ${host}:${port} that were not acknowledged for ${giveUpMs} ms. They are sent again after a restart. Does the server answer with the number of records it has? If not, leave ack out.`,
          { step: this.#ctx.step, data: { host, port }, retryable: true },
        )
      }
      const over = new AbortController()
      await Promise.race([
        new Promise<void>((resolve) => (this.#moved = resolve)),
        pause(remaining, AbortSignal.any([over.signal, this.#ctx.signal])),
      ])
      over.abort()
      if (this.#kept.length < left) {
        left = this.#kept.length
        since = performance.now()
      }
    }
  }

  #connected(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed && this.#socket.writable)
      return Promise.resolve(this.#socket)
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(): Promise<Socket> {
    const { host, port, giveUpMs } = this.#settings
    const since = performance.now()
    for (;;) {
      this.#ctx.signal.throwIfAborted()
      try {
        const socket = await dialOnce(host, port, AbortSignal.any([this.#closed.signal, this.#ctx.signal]))
        this.#backoff.reset()
        this.#use(socket)
        const kept = this.#kept.map((parcel) => parcel.bytes)
        if (kept.length === 0 || (await send(socket, Buffer.concat(kept)))) return socket
      } catch (thrown) {
        const pauseMs = this.#backoff.next()
        if (performance.now() - since + pauseMs > giveUpMs)
          throw unreachable(host, port, giveUpMs, this.#ctx.step, thrown)
        if (isPowerOfTwo(this.#backoff.failures)) {
          const why = thrown instanceof Error ? thrown.message : String(thrown)
          this.#ctx.log('warn', `no connection to ${host}:${port}, attempt ${this.#backoff.failures}: ${why}`)
        }
        await pause(pauseMs, this.#ctx.signal)
      }
    }
  }

  #use(socket: Socket): void {
    this.#socket = socket
    this.#released = 0
    this.#answer = ''
    socket.on('error', () => {})
    socket.on('close', () => this.#move())
    // Without acks what the server says is read and dropped, so that it never waits for us.
    socket.on('data', (chunk) => {
      if (this.#settings.isAcknowledged && socket === this.#socket) this.#answered(String(chunk))
    })
    socket.on('end', () => socket.destroy())
  }

  #answered(text: string): void {
    const lines = (this.#answer + text).split('\n')
    this.#answer = lines.pop() as string
    for (const line of lines) this.#release(line)
    if (this.#answer.length > ANSWER_BYTES_MAX) this.#release(this.#answer)
    this.#move()
  }

  #release(line: string): void {
    const acknowledged = /^\d+\r?$/.test(line) ? Number.parseInt(line, 10) : Number.NaN
    const sent = this.#released + this.#kept.reduce((n, parcel) => n + parcel.records, 0)
    if (!(acknowledged <= sent)) {
      const { host, port } = this.#settings
      this.#failure = new OperationalError(
        'SOCKET_ANSWER',
        `${host}:${port} answered ${JSON.stringify(line.slice(0, ANSWER_BYTES_MAX))} where the number of records it has (at most ${sent}) was due. Nothing further is sent. The server must answer as tcpServerSource({ ack: 'lines' }) does; if it does not, leave ack out.`,
        { step: this.#ctx.step, data: { host, port } },
      )
      return
    }
    let count = 0
    for (const { bytes, records } of this.#kept) {
      if (this.#released + records > acknowledged) break
      this.#released += records
      this.#keptBytes -= bytes.length
      count++
    }
    this.#kept = this.#kept.slice(count)
  }

  #move(): void {
    const moved = this.#moved
    this.#moved = undefined
    moved?.()
  }
}

/** True when the system has taken the bytes; false when the connection broke before. */
function send(socket: Socket, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = (): void => resolve(false)
    socket.once('close', gone)
    socket.write(bytes, (error) => {
      socket.off('close', gone)
      resolve(error === undefined || error === null)
    })
    if (socket.destroyed) gone()
  })
}
