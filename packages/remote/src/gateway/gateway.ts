/** A gateway that listens: on a port for WebSocket, and over NATS together with others. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, isIP } from 'node:net'
import { messageOf, OperationalError, UsageError } from 'millrace/connector'
import type { MetricFamily } from 'millrace/observe'
import type { Link } from '../link/link.ts'
import { acceptWebSockets } from '../link/websocket.ts'
import { GatewayCore, type GatewayOptions, type GatewayStats, type NodeStatus } from './gateway-core.ts'

export interface Gateway {
  /** `ws://127.0.0.1:8080` */
  readonly url: string
  readonly port: number
  readonly nodes: readonly NodeStatus[]
  readonly stats: GatewayStats
  /** Connections, calls, bytes and buffers, in the shape that `millrace/observe` renders. */
  readonly metrics: readonly MetricFamily[]
  /** Takes a link that came another way than through the port. */
  accept(link: Link): void
  close(): Promise<void>
}

/** Whoever has not asked for a WebSocket by then is cut off. */
const HANDSHAKE_MS = 5_000
const HANDSHAKE = { headersTimeout: HANDSHAKE_MS, requestTimeout: HANDSHAKE_MS, connectionsCheckingInterval: 1_000 }
/** Connections that have not said yet what they want. */
const HANDSHAKES_MAX = 1_000

/**
 * Starts a gateway and listens.
 * @throws UsageError `REMOTE_HOST` for an address beyond this machine without tokens, `REMOTE_TOKEN`, `REMOTE_OPTION`
 * @throws OperationalError `GATEWAY_PORT` when the port is taken or may not be used
 */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const { host = '127.0.0.1', port = 8080, tls, tokens = [], allowAnyone = false } = options
  if (tokens.length === 0 && !allowAnyone && !isLoopback(host)) {
    throw new UsageError(
      'REMOTE_HOST',
      `the gateway would listen on ${host} without tokens: whoever reaches it could run every function. Give it tokens, or say { allowAnyone: true }.`,
    )
  }
  const core = new GatewayCore(options)
  const server =
    tls === undefined
      ? createHttpServer(HANDSHAKE, answerPlain)
      : createHttpsServer({ handshakeTimeout: HANDSHAKE_MS, ...HANDSHAKE, ...tls }, answerPlain)
  // Those beyond connectionsMax are refused with a word; many more than that are not even heard.
  server.maxConnections = core.connectionsMax + HANDSHAKES_MAX
  await listen(server, host, port)
  const address = server.address() as AddressInfo
  const acceptor = acceptWebSockets(server, (link) => core.accept(link), options.origins)
  // Loaded by those who use it.
  const cluster =
    options.nats === undefined ? undefined : await (await import('./mesh.ts')).joinNats(core, options.nats, options)
  const name = isIP(host) === 6 ? `[${host}]` : host
  return {
    url: `${tls === undefined ? 'ws' : 'wss'}://${name}:${address.port}`,
    port: address.port,
    get nodes() {
      return core.nodes
    },
    get stats() {
      return core.stats
    },
    get metrics() {
      return core.metrics
    },
    accept: (link) => core.accept(link),
    async close() {
      acceptor.close()
      await cluster?.close()
      core.close()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new OperationalError(
          'GATEWAY_PORT',
          `the gateway cannot listen on ${host}:${port}: ${cause.code === 'EADDRINUSE' ? 'the port is taken' : messageOf(cause)}. Choose another port, or 0 for any free one.`,
          { cause, data: { host, port, reason: cause.code ?? '' } },
        ),
      ),
    )
    server.listen(port, host, resolve)
  })
}

/** Plain HTTP on the port: a look whether it is up. */
function answerPlain(request: IncomingMessage, response: ServerResponse): void {
  const isHealth = request.url === '/health'
  response.writeHead(isHealth ? 200 : 426, { 'content-type': 'text/plain' })
  response.end(isHealth ? 'ok\n' : 'This is a Millrace gateway; it speaks WebSocket.\n')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
