/** A TCP client that takes records from a server, and connects again when the connection is lost. */
import { connect, type Socket } from 'node:net'
import {
  type Duration,
  OperationalError,
  positiveDurationMs,
  type Source,
  type SourceContext,
} from 'millrace/connector'
import type { Backoff } from '../http/backoff.ts'
import { oneOf, wholeNumber } from '../http/options.ts'
import { json, type SocketFormat } from './format.ts'
import { SocketIntake } from './intake.ts'
import { isPowerOfTwo } from './listen.ts'
import { backoffOf, type ReconnectOptions } from './reconnect.ts'
import { checkBuffer } from './tcp-server-source.ts'

export interface TcpClientSourceOptions<T> {
  readonly host?: string
  readonly port: number
  /** How records lie in the bytes. Default `json()`: a JSON value per line. */
  readonly format?: SocketFormat<T>
  /** Sent first on every connection: what the server wants to hear before it sends. */
  readonly greeting?: string
  /** What the end of a connection in order means. Default 'reconnect'; 'end' ends the source. */
  readonly onEnd?: 'reconnect' | 'end'
  /** Pauses between attempts. Default from 100 ms, doubling, to 10 s, spread by half. */
  readonly reconnect?: ReconnectOptions
  /** Fails the flow when there was no connection for this long. Default 'never': a live source waits for its server. */
  readonly giveUpAfter?: Duration | 'never'
  /** Tells the server after each commit how many of its records are committed. Default 'none'. */
  readonly ack?: 'lines' | 'none'
  /** Bytes held back; beyond it the socket is not read. Default 16 MiB. */
  readonly bufferBytes?: number
  /** A connection on which nothing comes for this long is closed and made again. Default 'never'. */
  readonly idleTimeout?: Duration | 'never'
}

/** A connection that is not made within this time is given up. */
const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 30_000

/**
 * Connects to a server and takes the records it sends. While there is no connection the source waits, and says so in the
 * log; what the server sends meanwhile is the server's to keep.
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `SOCKET_UNREACHABLE` when `giveUpAfter` has passed without a connection
 * @example tcpClientSource({ port: 9000 }).describe() // => { host: '127.0.0.1', port: 9000, format: 'json', ack: 'none' }
 */
export function tcpClientSource<T>(options: TcpClientSourceOptions<T>): Source<T> {
  const { port, host = '127.0.0.1', format = json<T>(), ack = 'none', onEnd = 'reconnect' } = options
  const { greeting, giveUpAfter = 'never', idleTimeout = 'never' } = options
  wholeNumber('port', port, 1, 65_535)
  oneOf('ack', ack, ['none', 'lines'])
  oneOf('onEnd', onEnd, ['reconnect', 'end'])
  const giveUpMs = giveUpAfter === 'never' ? Number.POSITIVE_INFINITY : positiveDurationMs(giveUpAfter, 'giveUpAfter')
  const idleMs = idleTimeout === 'never' ? undefined : positiveDurationMs(idleTimeout, 'idleTimeout')
  const bufferBytes = checkBuffer(options.bufferBytes, format)
  const reconnect = options.reconnect ?? {}
  backoffOf(reconnect)
  return {
    kind: 'socket.tcpClient',
    bounded: onEnd === 'end',
    replayable: false,
    onError: 'skip',
    describe: () => ({ host, port, format: format.name, ack }),
    partitions: () => [`${host}:${port}`],
    open(partition, position, ctx) {
      const stopped = new AbortController()
      const settings = { partition, format, bufferBytes, isAcknowledging: ack === 'lines', idleMs }
      const intake = new SocketIntake<T>(settings, position, ctx, async () => stopped.abort())
      const dialing = { host, port, greeting, backoff: backoffOf(reconnect), giveUpMs, endsInOrder: onEnd === 'end' }
      dial(intake, dialing, stopped.signal, ctx).catch((error) => intake.fail(error))
      return intake
    },
  }
}

interface Dialing {
  readonly host: string
  readonly port: number
  readonly greeting: string | undefined
  readonly backoff: Backoff
  readonly giveUpMs: number
  readonly endsInOrder: boolean
}

/** Keeps the intake connected until it is stopped. */
async function dial<T>(intake: SocketIntake<T>, to: Dialing, stopped: AbortSignal, ctx: SourceContext): Promise<void> {
  const { host, port, backoff } = to
  let lastConnectedMs = ctx.now()
  while (!stopped.aborted && !ctx.signal.aborted) {
    let failure: unknown
    try {
      const socket = await dialOnce(host, port, stopped)
      if (to.greeting !== undefined) socket.write(to.greeting)
      // A server that takes connections and closes them at once is no success.
      socket.once('data', () => backoff.reset())
      ctx.log('info', `connected to ${host}:${port}`)
      const isInOrder = await intake.add(socket)
      lastConnectedMs = ctx.now()
      if (stopped.aborted) return
      if (isInOrder && to.endsInOrder) return intake.end()
      failure = new Error(isInOrder ? 'the server ended the connection' : 'the connection broke')
    } catch (thrown) {
      failure = thrown
    }
    if (stopped.aborted) return
    const pauseMs = backoff.next()
    if (ctx.now() + pauseMs - lastConnectedMs > to.giveUpMs)
      throw unreachable(host, port, to.giveUpMs, ctx.step, failure)
    if (isPowerOfTwo(backoff.failures)) {
      const why = failure instanceof Error ? failure.message : String(failure)
      ctx.log('warn', `no connection to ${host}:${port}, attempt ${backoff.failures}: ${why}`)
    }
    await ctx.wait(pauseMs)
  }
}

/** Connects, unless `stopped` says otherwise meanwhile. @throws what the connection failed with */
export function dialOnce(host: string, port: number, stopped: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const options = { host, port, allowHalfOpen: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
    // As for the sockets of a server: Node then holds one chunk of a connection that waits.
    const socket = connect({ ...options, noDelay: true, highWaterMark: 1 } as typeof options)
    const fail = (error: Error): void => {
      stopped.removeEventListener('abort', stop)
      socket.destroy()
      reject(error)
    }
    const stop = (): void => fail(new Error('the flow stops'))
    if (stopped.aborted) return stop()
    stopped.addEventListener('abort', stop)
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => fail(new Error(`no answer within ${CONNECT_TIMEOUT_MS} ms`)))
    socket.once('error', fail)
    socket.once('connect', () => {
      stopped.removeEventListener('abort', stop)
      socket.off('error', fail)
      socket.setTimeout(0)
      socket.removeAllListeners('timeout')
      resolve(socket)
    })
  })
}

export function unreachable(
  host: string,
  port: number,
  afterMs: number,
  step: string,
  cause: unknown,
): OperationalError {
  return new OperationalError(
    'SOCKET_UNREACHABLE',
    `"${step}" has had no connection to ${host}:${port} for ${afterMs} ms: ${cause instanceof Error ? cause.message : String(cause)}. The flow stops at its last commit; start it again when the peer is back, or raise giveUpAfter.`,
    { step, data: { host, port, afterMs }, cause, retryable: true },
  )
}
