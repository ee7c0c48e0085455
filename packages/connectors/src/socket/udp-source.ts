/**
 * Records out of UDP datagrams.
 *
 * UDP holds nobody back, so what does not fit is dropped and counted.
 *
 * Invariants:
 *  U1  Datagrams wait undecoded, at most `bufferBytes` and `bufferDatagrams` of them.
 *  U2  received = given + rejected + lost, in records, exactly. A datagram the system dropped counts as one record.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Position, Source, SourceBatch, SourceContext, SourceReader } from 'millrace/connector'
import type { Decoded, RecordDecoder } from '../file/decoder.ts'
import { listenError } from '../http/listen.ts'
import { oneOf, wholeNumber } from '../http/options.ts'
import { json, type SocketFormat } from './format.ts'
import { kernelDrops } from './kernel-drops.ts'
import { type PortOptions, portPartitions } from './listen.ts'

export interface UdpSourceOptions<T> extends PortOptions {
  /** How records lie in a datagram, which may hold several. Default `json()`: a JSON value per line. */
  readonly format?: SocketFormat<T>
  /** Bytes that wait for the flow. Default 16 MiB. */
  readonly bufferBytes?: number
  /** Datagrams that wait for the flow. Default 10,000. */
  readonly bufferDatagrams?: number
  /** What goes when the buffer is full. Default 'drop-oldest': what is new matters more. */
  readonly whenFull?: 'drop-oldest' | 'drop-newest'
  /** Asks the system for a receive buffer of this size, for bursts. It may give less, which is logged. */
  readonly receiveBufferBytes?: number
  /** Multicast groups to join, on `multicastInterface` or the system's choice. Listen at '0.0.0.0' or '::' then. */
  readonly multicast?: readonly string[]
  readonly multicastInterface?: string
}

/**
 * Receives datagrams. What the flow is too slow for is dropped and counted as `dropped` of the source; so is what the
 * system drops, where it tells (Linux).
 * @throws UsageError `LIVE_OPTION`
 * @throws OperationalError while running: `LISTEN_PORT_IN_USE`, `LISTEN_FAILED`
 * @example udpSource({ port: 5140 }).describe() // => { host: '127.0.0.1', port: 5140, format: 'json', whenFull: 'drop-oldest' }
 */
export function udpSource<T>(options: UdpSourceOptions<T>): Source<T> {
  const { port, host = '127.0.0.1', format = json<T>(), whenFull = 'drop-oldest' } = options
  const partitions = portPartitions(host, port)
  oneOf('whenFull', whenFull, ['drop-oldest', 'drop-newest'])
  const settings: Settings<T> = {
    host,
    format,
    whenFull,
    bufferBytes: wholeNumber('bufferBytes', options.bufferBytes ?? 16 * 1024 * 1024, 1, 2 ** 31),
    bufferDatagrams: wholeNumber('bufferDatagrams', options.bufferDatagrams ?? 10_000, 1, 10_000_000),
    receiveBufferBytes: wholeNumber('receiveBufferBytes', options.receiveBufferBytes ?? 0, 0, 2 ** 30),
    multicast: options.multicast ?? [],
    multicastInterface: options.multicastInterface,
  }
  return {
    kind: 'socket.udp',
    bounded: false,
    replayable: false,
    onError: 'skip',
    describe: () => ({ host, port, format: format.name, whenFull }),
    partitions: () => [...partitions.keys()],
    async open(partition, position, ctx) {
      const reader = new UdpReader<T>(settings, partition, position, ctx)
      const address = await reader.bind(partitions.get(partition) as number)
      options.onListening?.(address)
      return reader
    },
  }
}

interface Settings<T> {
  readonly host: string
  readonly format: SocketFormat<T>
  readonly whenFull: 'drop-oldest' | 'drop-newest'
  readonly bufferBytes: number
  readonly bufferDatagrams: number
  readonly receiveBufferBytes: number
  readonly multicast: readonly string[]
  readonly multicastInterface: string | undefined
}

interface Datagram {
  readonly bytes: Buffer
  readonly from: string
}

const WAIT_MS = 500
const NEWLINE = Buffer.from('\n')

class UdpReader<T> implements SourceReader<T> {
  readonly #settings: Settings<T>
  readonly #partition: string
  readonly #ctx: SourceContext
  readonly #socket: Socket
  readonly #isIpv6: boolean
  #port = 0
  /** From `#head` on. O(1) at both ends: it is cut when half of it is gone. */
  #waiting: Datagram[] = []
  #head = 0
  #waitingBytes = 0
  #current: Datagram | undefined
  #offset = 0
  #decoder: RecordDecoder<T>
  /** Datagrams read, over all runs. */
  #datagrams: number
  #systemDrops: number | undefined
  #wake: (() => void) | undefined
  #tick: Promise<void> | undefined
  #isClosed = false

  constructor(settings: Settings<T>, partition: string, position: Position | undefined, ctx: SourceContext) {
    this.#settings = settings
    this.#partition = partition
    this.#ctx = ctx
    this.#datagrams = typeof position === 'number' ? position : 0
    this.#isIpv6 = isIPv6(settings.host)
    const { receiveBufferBytes } = settings
    this.#socket = createSocket({
      type: this.#isIpv6 ? 'udp6' : 'udp4',
      reuseAddr: settings.multicast.length > 0,
      ...(receiveBufferBytes === 0 ? {} : { recvBufferSize: receiveBufferBytes }),
    })
    this.#decoder = this.#newDecoder()
  }

  /** @throws OperationalError `LISTEN_PORT_IN_USE`, `LISTEN_FAILED` */
  async bind(port: number): Promise<{ host: string; port: number }> {
    const { host, multicast, multicastInterface, receiveBufferBytes } = this.#settings
    const socket = this.#socket
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject)
        socket.bind({ address: host, port }, resolve)
      })
      for (const group of multicast) socket.addMembership(group, multicastInterface)
    } catch (thrown) {
      await this.close()
      throw listenError(thrown as NodeJS.ErrnoException, host, port, this.#ctx.step)
    }
    socket.removeAllListeners('error')
    socket.on('error', (error) => this.#ctx.log('warn', `the socket reports: ${error.message}`))
    socket.on('message', (bytes, from) => this.#receive(bytes, from))
    const bound = socket.address()
    this.#port = bound.port
    this.#systemDrops = await kernelDrops(this.#port, this.#isIpv6)
    const url = `udp://${this.#isIpv6 ? `[${bound.address}]` : bound.address}:${bound.port}`
    this.#ctx.log('info', `listening at ${url}`, { url, host: bound.address, port: bound.port })
    if (this.#systemDrops === undefined) {
      this.#ctx.log('info', 'this system does not tell which datagrams it drops; only those dropped here are counted')
    }
    // Linux reserves twice what was asked for.
    const given = socket.getRecvBufferSize()
    if (given < receiveBufferBytes) {
      this.#ctx.log(
        'warn',
        `the system gave a receive buffer of ${given} of ${receiveBufferBytes} bytes; net.core.rmem_max limits it`,
      )
    }
    return { host: bound.address, port: bound.port }
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    return this.#hasSome ? this.#batch(maxRows) : this.#wait(maxRows)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ring()
    await new Promise<void>((resolve) => this.#socket.close(resolve))
  }

  get #hasSome(): boolean {
    return this.#current !== undefined || this.#head < this.#waiting.length
  }

  #receive(bytes: Buffer, { address, port }: RemoteInfo): void {
    if (this.#isClosed) return
    const { bufferBytes, bufferDatagrams, whenFull, format } = this.#settings
    const isFull = (): boolean =>
      this.#waiting.length - this.#head >= bufferDatagrams || this.#waitingBytes + bytes.length > bufferBytes
    if (isFull() && whenFull === 'drop-newest') {
      this.#ctx.lost(format.count(bytes))
      return
    }
    while (isFull() && this.#head < this.#waiting.length) this.#ctx.lost(format.count(this.#shift().bytes))
    if (isFull()) {
      this.#ctx.lost(format.count(bytes))
      return
    }
    this.#waiting.push({ bytes, from: `${address}:${port}` })
    this.#waitingBytes += bytes.length
    this.#ring()
  }

  #shift(): Datagram {
    const datagram = this.#waiting[this.#head++]
    this.#waitingBytes -= datagram.bytes.length
    if (this.#head > 1024 && this.#head > this.#waiting.length / 2) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
    return datagram
  }

  async #wait(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(async () => {
      await this.#countSystemDrops()
      this.#tick = undefined
    })
    await Promise.race([this.#tick, new Promise<void>((resolve) => (this.#wake = resolve))])
    return this.#isClosed ? 'end' : this.#batch(maxRows)
  }

  #batch(maxRows: number): SourceBatch<T> {
    // While the flow is busy nobody waits, and the system drops all the more.
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(async () => {
      await this.#countSystemDrops()
      this.#tick = undefined
    })
    const out: Decoded<T> = { rows: [], at: [] }
    const places: string[] = []
    while (out.rows.length < maxRows && this.#hasSome) {
      this.#current ??= this.#open(this.#shift())
      const { bytes, from } = this.#current
      this.#offset = this.#decoder.decode(this.#offset, maxRows, false, out)
      while (places.length < out.rows.length) places.push(`${this.#datagrams + 1} of ${from}`)
      if (out.rows.length < maxRows || this.#offset >= bytes.length) this.#finish(this.#current)
    }
    this.#ctx.gauge('buffer_bytes', this.#waitingBytes)
    return { rows: out.rows, next: this.#datagrams, caughtUp: !this.#hasSome, at: (i) => places[i] }
  }

  #open(datagram: Datagram): Datagram {
    // The end of a datagram ends a line, too.
    const { format } = this.#settings
    const isOpenLine = format.isLines && datagram.bytes.at(-1) !== NEWLINE[0]
    const whole = isOpenLine ? { ...datagram, bytes: Buffer.concat([datagram.bytes, NEWLINE]) } : datagram
    this.#offset = 0
    this.#decoder.load(whole.bytes)
    return whole
  }

  #finish({ bytes, from }: Datagram): void {
    this.#datagrams++
    this.#current = undefined
    if (this.#offset >= bytes.length && this.#decoder.skipped === 0) return
    this.#decoder = this.#newDecoder()
    const raw = bytes.toString('utf8', this.#offset, this.#offset + 4096)
    const at = `${this.#datagrams} of ${from}`
    const message = 'the datagram ends inside this record.'
    this.#ctx.reject({ code: 'RECORD_TRUNCATED', message, partition: this.#partition, at, raw })
  }

  #newDecoder(): RecordDecoder<T> {
    return this.#settings.format.decoder((code, message, _at, raw) => {
      const at = `${this.#datagrams + 1} of ${this.#current?.from}`
      this.#ctx.reject({ code, message, partition: this.#partition, at, raw })
    })
  }

  async #countSystemDrops(): Promise<void> {
    if (this.#systemDrops === undefined || this.#isClosed) return
    const drops = await kernelDrops(this.#port, this.#isIpv6)
    const more = drops === undefined ? 0 : drops - this.#systemDrops
    if (more <= 0 || this.#isClosed) return
    this.#systemDrops = drops
    this.#ctx.lost(more)
    this.#ctx.gauge('system_dropped_datagrams', drops as number)
    this.#ctx.log('warn', `the system dropped ${more} datagrams before they could be read; raise receiveBufferBytes`, {
      more,
    })
  }

  #ring(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
