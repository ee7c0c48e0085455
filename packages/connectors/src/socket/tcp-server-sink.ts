/**
 * A TCP server that sends every row to every reader that is connected.
 *
 * Invariants:
 *  B1  A reader's rows wait in its own buffer, at most `bufferRows`: a slow one costs the others nothing but under 'block'.
 *  B2  For each reader: offered = sent + lost + waiting, exactly; what waits when it goes is lost. Lost ones are counted.
 *  B3  Under 'block' the flow waits for the slowest reader, and a reader that takes nothing for `stalledAfter` is closed.
 */
import { createServer, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import {
  type Batch,
  type Duration,
  positiveDurationMs,
  type Sink,
  type SinkContext,
  type SinkWriter,
} from 'millrace/connector'
import { pause } from '../http/backoff.ts'
import { oneOf, wholeNumber } from '../http/options.ts'
import { encodeRow, json, type SocketFormat } from './format.ts'
import { isPowerOfTwo, type PortOptions } from './listen.ts'
import { closeServer, listen } from './tcp-server-source.ts'

export interface TcpServerSinkOptions<T> extends Omit<PortOptions, 'port'> {
  /** 0 takes a free one: it is in the log and given to `onListening`. */
  readonly port: number
  /** How rows become bytes. Default `json()`: a JSON value per line. */
  readonly format?: SocketFormat<T>
  /** Rows that wait for a reader. Default 1000. */
  readonly bufferRows?: number
  /** What happens to a reader whose buffer is full. Default 'drop-oldest': a late reader sees what is new. */
  readonly whenFull?: 'block' | 'drop-oldest' | 'drop-newest' | 'disconnect'
  /** Under 'block': a reader that takes nothing for this long is closed. Default '30s'. */
  readonly stalledAfter?: Duration
  /** Further readers are refused. Default 1000. */
  readonly maxConnections?: number
}

/**
 * Listens, and sends each row to all readers that are connected at that moment; a reader gets nothing from before. Rows
 * a reader did not get are counted, not kept. One worker listens and sends, however many there are.
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `LISTEN_PORT_IN_USE`, `LISTEN_FAILED`, `RECORD_ENCODE`
 * @example tcpServerSink({ port: 9001 }).describe() // => { host: '127.0.0.1', port: 9001, format: 'json', whenFull: 'drop-oldest' }
 */
export function tcpServerSink<T>(options: TcpServerSinkOptions<T>): Sink<T> {
  const { port, host = '127.0.0.1', format = json<T>(), whenFull = 'drop-oldest', onListening } = options
  wholeNumber('port', port, 0, 65_535)
  oneOf('whenFull', whenFull, ['block', 'drop-oldest', 'drop-newest', 'disconnect'])
  const bufferRows = wholeNumber('bufferRows', options.bufferRows ?? 1000, 1, 1_000_000)
  const maxConnections = wholeNumber('maxConnections', options.maxConnections ?? 1000, 1, 1_000_000)
  const stalledMs = positiveDurationMs(options.stalledAfter ?? '30s', 'stalledAfter')
  return {
    kind: 'socket.tcpServer',
    guarantee: 'at-least-once',
    takesChanges: format.takesChanges ?? false,
    isSingle: true,
    describe: () => ({ host, port, format: format.name, whenFull }),
    async open(ctx) {
      const server = createServer({ keepAlive: true, keepAliveInitialDelay: 30_000, noDelay: true })
      const writer = new Broadcaster<T>({ format, bufferRows, whenFull, stalledMs }, ctx, () => closeServer(server))
      server.maxConnections = maxConnections
      server.on('connection', (socket) => writer.add(socket))
      let refused = 0
      server.on('drop', () => {
        ctx.gauge('refused_connections', ++refused)
        if (isPowerOfTwo(refused)) {
          ctx.log('warn', `refused ${refused} readers so far: ${maxConnections} are connected (maxConnections)`, {
            refused,
          })
        }
      })
      const address = await listen(server, host, port, ctx)
      onListening?.(address)
      return writer
    },
  }
}

interface Settings<T> {
  readonly format: SocketFormat<T>
  readonly bufferRows: number
  readonly whenFull: NonNullable<TcpServerSinkOptions<T>['whenFull']>
  readonly stalledMs: number
}

/** Rows are handed to the system in pieces of about this size. */
const PIECE_BYTES = 64 * 1024
/** Readers have this long to take what waits for them when the sink closes. */
const END_MS = 1000

interface Reader {
  readonly socket: Socket
  readonly peer: string
  /** Rows from `head` on wait. O(1) at both ends: it is cut when half of it is gone. */
  rows: Buffer[]
  head: number
  isSending: boolean
  lastTakenMs: number
}

class Broadcaster<T> implements SinkWriter<T> {
  readonly #settings: Settings<T>
  readonly #ctx: SinkContext
  readonly #stop: () => Promise<void>
  readonly #readers = new Set<Reader>()
  #moved: (() => void) | undefined
  #isClosed = false

  constructor(settings: Settings<T>, ctx: SinkContext, stop: () => Promise<void>) {
    this.#settings = settings
    this.#ctx = ctx
    this.#stop = stop
  }

  add(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`
    const reader = { socket, peer, rows: [], head: 0, isSending: false, lastTakenMs: performance.now() }
    this.#readers.add(reader)
    this.#ctx.gauge('connections', this.#readers.size)
    socket.on('error', () => {})
    socket.on('close', () => this.#drop(reader))
    // What readers say is read and dropped, so that their end is seen.
    socket.resume()
  }

  async write(batch: Batch<T>): Promise<void> {
    const { format, bufferRows, whenFull } = this.#settings
    if (this.#readers.size === 0) return
    const rows = Array.from({ length: batch.length }, (_, i) => encodeRow(format, batch, i, this.#ctx.step))
    if (whenFull !== 'block') {
      for (const reader of this.#readers) this.#offer(reader, rows)
      return
    }
    for (let from = 0; from < rows.length; ) {
      const room = Math.min(bufferRows, ...[...this.#readers].map((reader) => bufferRows - waiting(reader)))
      if (room > 0) {
        const part = rows.slice(from, from + room)
        for (const reader of this.#readers) this.#offer(reader, part)
        from += part.length
      } else if (!(await this.#untilMoved())) return
    }
  }

  /** Under 'block', when every reader's rows are with the system. */
  async flush(): Promise<void> {
    if (this.#settings.whenFull !== 'block') return
    while ([...this.#readers].some((reader) => waiting(reader) > 0)) if (!(await this.#untilMoved())) return
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    await this.#finish()
    this.#isClosed = true
    for (const { socket } of this.#readers) socket.destroy()
    await this.#stop()
  }

  /** Readers get a moment to take what waits for them, and the end. */
  async #finish(): Promise<void> {
    const over = AbortSignal.timeout(END_MS)
    while (!over.aborted && [...this.#readers].some((r) => waiting(r) > 0 || r.isSending)) await pause(5, over)
    const last = new AbortController()
    const ended = [...this.#readers].map(({ socket }) => new Promise<void>((resolve) => socket.end(() => resolve())))
    await Promise.race([Promise.all(ended), pause(END_MS, last.signal)])
    last.abort()
  }

  #offer(reader: Reader, rows: readonly Buffer[]): void {
    const { bufferRows, whenFull } = this.#settings
    const excess = waiting(reader) + rows.length - bufferRows
    if (excess <= 0 || whenFull === 'block') {
      reader.rows.push(...rows)
    } else if (whenFull === 'drop-newest') {
      reader.rows.push(...rows.slice(0, rows.length - Math.min(excess, rows.length)))
      this.#ctx.lost(Math.min(excess, rows.length))
    } else if (whenFull === 'drop-oldest') {
      reader.rows.push(...rows)
      reader.head += excess
      this.#ctx.lost(excess)
    } else {
      this.#ctx.log('warn', `closed the reader ${reader.peer}: ${bufferRows} rows wait for it (bufferRows)`)
      this.#ctx.lost(rows.length)
      this.#drop(reader)
      return
    }
    if (reader.head > reader.rows.length / 2) {
      reader.rows = reader.rows.slice(reader.head)
      reader.head = 0
    }
    this.#send(reader)
  }

  #send(reader: Reader): void {
    if (reader.isSending || waiting(reader) === 0) return
    const piece: Buffer[] = []
    for (let bytes = 0; bytes < PIECE_BYTES && reader.head < reader.rows.length; ) {
      const row = reader.rows[reader.head++]
      piece.push(row)
      bytes += row.length
    }
    reader.isSending = true
    reader.socket.write(Buffer.concat(piece), (error) => {
      reader.isSending = false
      reader.lastTakenMs = performance.now()
      // A connection that broke had not taken them.
      if (error) this.#ctx.lost(piece.length)
      else this.#send(reader)
      this.#move()
    })
  }

  /** The reader is gone, or is made to go. */
  #drop(reader: Reader): void {
    if (!this.#readers.delete(reader)) return
    this.#ctx.gauge('connections', this.#readers.size)
    this.#ctx.lost(waiting(reader))
    reader.rows = []
    reader.head = 0
    reader.socket.destroy()
    this.#move()
  }

  /** Waits until a reader has taken something. False when the flow stops. */
  async #untilMoved(): Promise<boolean> {
    const { stalledMs } = this.#settings
    const over = new AbortController()
    await Promise.race([
      new Promise<void>((resolve) => (this.#moved = resolve)),
      pause(Math.min(stalledMs, 1000), AbortSignal.any([over.signal, this.#ctx.signal])),
    ])
    over.abort()
    const latest = performance.now() - stalledMs
    for (const reader of this.#readers) {
      if (!reader.isSending || reader.lastTakenMs > latest) continue
      this.#ctx.log('warn', `closed the reader ${reader.peer}: it took nothing for ${stalledMs} ms (stalledAfter)`)
      this.#drop(reader)
    }
    return !this.#ctx.signal.aborted
  }

  #move(): void {
    const moved = this.#moved
    this.#moved = undefined
    moved?.()
  }
}

function waiting(reader: Reader): number {
  return reader.rows.length - reader.head
}
