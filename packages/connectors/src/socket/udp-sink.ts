/** Rows as UDP datagrams: one each, or packed. */
import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import {
  type Batch,
  messageOf,
  OperationalError,
  type Sink,
  type SinkContext,
  type SinkWriter,
} from 'millrace/connector'
import { wholeNumber } from '../http/options.ts'
import { encodeRow, json, type SocketFormat } from './format.ts'
import { isPowerOfTwo } from './listen.ts'

export interface UdpSinkOptions<T> {
  readonly host?: string
  readonly port: number
  /** How rows become bytes. Default `json()`: a JSON value per line. */
  readonly format?: SocketFormat<T>
  /**
   * Packs rows that follow each other into datagrams of at most this size. Default 0: a datagram per row. 1400 fits
   * Ethernet without fragments.
   */
  readonly packBytes?: number
}

/** The system takes this many at a time; the flow waits for them. */
const SENDS_MAX = 64
const DATAGRAM_BYTES_MAX = 65_507

/**
 * Sends rows as datagrams. Nobody answers: what is lost on the way is not known. Datagrams that the system refuses (too
 * large, no route) are counted as lost deliveries and logged.
 * @throws UsageError `LIVE_OPTION`
 * @throws OperationalError while running: `SOCKET_UNREACHABLE` when the host has no address, `RECORD_ENCODE`
 * @example udpSink({ port: 8125, packBytes: 1400 }).describe() // => { host: '127.0.0.1', port: 8125, format: 'json' }
 */
export function udpSink<T>(options: UdpSinkOptions<T>): Sink<T> {
  const { port, host = '127.0.0.1', format = json<T>() } = options
  wholeNumber('port', port, 1, 65_535)
  const packBytes = wholeNumber('packBytes', options.packBytes ?? 0, 0, DATAGRAM_BYTES_MAX)
  return {
    kind: 'socket.udp',
    guarantee: 'at-least-once',
    takesChanges: format.takesChanges ?? false,
    describe: () => ({ host, port, format: format.name }),
    async open(ctx) {
      const { address, family } = await lookup(host).catch((thrown: unknown) => {
        throw new OperationalError(
          'SOCKET_UNREACHABLE',
          `"${ctx.step}" cannot send to ${host}:${port}: ${messageOf(thrown)}. Check the name, or give an address.`,
          { step: ctx.step, data: { host, port }, cause: thrown },
        )
      })
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
      return new UdpWriter<T>(socket, { address, port, packBytes, format }, ctx)
    },
  }
}

interface Target<T> {
  readonly address: string
  readonly port: number
  readonly packBytes: number
  readonly format: SocketFormat<T>
}

class UdpWriter<T> implements SinkWriter<T> {
  readonly #socket: Socket
  readonly #to: Target<T>
  readonly #ctx: SinkContext
  #refused = 0
  #isClosed = false

  constructor(socket: Socket, to: Target<T>, ctx: SinkContext) {
    this.#socket = socket
    this.#to = to
    this.#ctx = ctx
    socket.on('error', (error) => ctx.log('warn', `the socket reports: ${error.message}`))
  }

  async write(batch: Batch<T>): Promise<void> {
    const { packBytes, format } = this.#to
    let sends: Promise<void>[] = []
    let packed: Buffer[] = []
    let bytes = 0
    const send = async (): Promise<void> => {
      if (packed.length === 0) return
      sends.push(this.#send(packed))
      packed = []
      bytes = 0
      if (sends.length < SENDS_MAX) return
      await Promise.all(sends)
      sends = []
    }
    for (let i = 0; i < batch.length; i++) {
      const row = encodeRow(format, batch, i, this.#ctx.step)
      if (bytes + row.length > packBytes) await send()
      packed.push(row)
      bytes += row.length
    }
    await send()
    await Promise.all(sends)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await new Promise<void>((resolve) => this.#socket.close(resolve))
  }

  #send(rows: readonly Buffer[]): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.send([...rows], this.#to.port, this.#to.address, (error) => {
        if (error !== null) this.#lost(rows.length, error)
        resolve()
      })
    })
  }

  #lost(rows: number, error: Error): void {
    this.#ctx.lost(rows)
    if (isPowerOfTwo(++this.#refused)) {
      this.#ctx.log('warn', `the system refused ${this.#refused} datagrams so far, the last one: ${error.message}`)
    }
  }
}
