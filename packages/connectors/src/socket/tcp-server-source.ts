/** A TCP server that takes records: many senders, one partition per port. */
import { type AddressInfo, createServer, isIPv6, type Server } from 'node:net'
import { type Duration, positiveDurationMs, type Source, type SourceContext, UsageError } from 'millrace/connector'
import { listenError } from '../http/listen.ts'
import { oneOf, wholeNumber } from '../http/options.ts'
import { json, type SocketFormat } from './format.ts'
import { SocketIntake } from './intake.ts'
import { isPowerOfTwo, type PortOptions, portPartitions } from './listen.ts'

export interface TcpServerSourceOptions<T> extends PortOptions {
  /** How records lie in the bytes. Default `json()`: a JSON value per line. */
  readonly format?: SocketFormat<T>
  /**
   * 'lines': after each commit every sender gets a line with the number of its records, counted from the beginning of the
   * connection, that are committed; one that is sent again after a broken connection is taken again. Default 'none'.
   */
  readonly ack?: 'lines' | 'none'
  /** Bytes that all connections of a port together hold back; beyond it nobody is read. Default 16 MiB. */
  readonly bufferBytes?: number
  /** Further connections are refused. Default 1000; each costs some KiB, and up to 64 KiB while its sender waits. */
  readonly maxConnections?: number
  /** A connection that sends nothing for this long is closed. Default '10m'; 'never' relies on keep-alive alone. */
  readonly idleTimeout?: Duration | 'never'
  /** Silence before the system asks whether the peer is still there; about 10 s later it counts as gone. Default '30s'. */
  readonly keepAlive?: Duration
}

const BUFFER_BYTES = 16 * 1024 * 1024

/**
 * Listens for connections that send records. A sender that is faster than the flow waits: its socket is not read while
 * the buffer is full. A record counts once its end has come; what a broken connection leaves unfinished is rejected
 * (`RECORD_TRUNCATED`). What was not acknowledged is lost with a crash, so a sender that must not lose asks for `ack`.
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `LISTEN_PORT_IN_USE`, `LISTEN_FAILED`
 * @example tcpServerSource({ port: 9000 }).describe() // => { host: '127.0.0.1', port: 9000, format: 'json', ack: 'none' }
 */
export function tcpServerSource<T>(options: TcpServerSourceOptions<T>): Source<T> {
  const { port, host = '127.0.0.1', format = json<T>(), ack = 'none', idleTimeout = '10m', onListening } = options
  const partitions = portPartitions(host, port)
  oneOf('ack', ack, ['none', 'lines'])
  const bufferBytes = checkBuffer(options.bufferBytes, format)
  const maxConnections = wholeNumber('maxConnections', options.maxConnections ?? 1000, 1, 1_000_000)
  const idleMs = idleTimeout === 'never' ? undefined : positiveDurationMs(idleTimeout, 'idleTimeout')
  const keepAliveMs = positiveDurationMs(options.keepAlive ?? '30s', 'keepAlive')
  return {
    kind: 'socket.tcpServer',
    bounded: false,
    replayable: false,
    onError: 'skip',
    describe: () => ({ host, port, format: format.name, ack }),
    partitions: () => [...partitions.keys()],
    async open(partition, position, ctx) {
      const server = createServer({
        // The last acknowledgement follows the end of what the sender sends.
        allowHalfOpen: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveMs,
        noDelay: true,
        // Node then holds one chunk of a connection that waits, and no more.
        highWaterMark: 1,
      })
      const settings = { partition, format, bufferBytes, isAcknowledging: ack === 'lines', idleMs }
      const intake = new SocketIntake<T>(settings, position, ctx, () => closeServer(server))
      server.maxConnections = maxConnections
      server.on('connection', (socket) => void intake.add(socket))
      let refused = 0
      server.on('drop', () => {
        refused++
        ctx.gauge('refused_connections', refused)
        if (!isPowerOfTwo(refused)) return
        ctx.log('warn', `refused ${refused} connections so far: ${maxConnections} are open (maxConnections)`, {
          refused,
        })
      })
      const address = await listen(server, host, partitions.get(partition) as number, ctx)
      onListening?.(address)
      return intake
    },
  }
}

/** @throws OperationalError `LISTEN_PORT_IN_USE`, `LISTEN_FAILED` */
export async function listen(server: Server, host: string, port: number, ctx: Pick<SourceContext, 'step' | 'log'>) {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, host, port, ctx.step)))
    server.listen({ host, port, backlog: 1024 }, resolve)
  })
  // Out of file descriptors, for one: those who are connected stay.
  server.on('error', (error) => ctx.log('warn', `a connection cannot be accepted: ${error.message}`))
  const { address, port: bound } = server.address() as AddressInfo
  const url = `tcp://${isIPv6(address) ? `[${address}]` : address}:${bound}`
  ctx.log('info', `listening at ${url}`, { url, host: address, port: bound })
  return { host: address, port: bound }
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (server.listening) server.close(() => resolve())
    else resolve()
  })
}

/** @throws UsageError `LIVE_OPTION` */
export function checkBuffer(bufferBytes: number | undefined, format: SocketFormat<never>): number {
  const bytes = wholeNumber('bufferBytes', bufferBytes ?? BUFFER_BYTES, 1, 2 ** 31)
  if (bytes >= format.maxRecordBytes) return bytes
  throw new UsageError(
    'LIVE_OPTION',
    `bufferBytes is ${bytes}, less than the longest record (${format.maxRecordBytes} bytes), which could then never end. Raise it, or lower the format's limit.`,
  )
}
