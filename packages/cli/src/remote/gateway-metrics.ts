/** /metrics of a gateway for Prometheus, read at the moment of the scrape. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Gateway } from '@millrace/remote'
import { OperationalError } from 'millrace'
import { collectDefaultMetrics, type Gauge, Registry } from 'prom-client'

export interface GatewayMetrics {
  readonly url: string
  close(): Promise<void>
}

const COUNTS = {
  opened: 'Calls and streams opened',
  finished: 'Calls and streams that came to their end, or were cancelled',
  failed: 'Calls and streams that failed',
  cancelled: 'Calls and streams that the caller ended',
  placedAgain: 'Calls placed on another node because theirs was lost',
  items: 'Items passed to clients',
  bytes: 'Bytes of results and items passed to clients',
  refused: 'Links refused: token, rights, protocol, limits',
} as const

const GAUGES = {
  inFlight: 'Calls and streams under way',
  clients: 'Clients connected',
  nodes: 'Nodes connected',
} as const

/** @throws OperationalError `METRICS_PORT` */
export async function startGatewayMetrics(gateway: Gateway, port: number): Promise<GatewayMetrics> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const [key, help] of Object.entries({ ...COUNTS, ...GAUGES })) {
    const isCount = Object.hasOwn(COUNTS, key)
    const name = `millrace_gateway_${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}${isCount ? '_total' : ''}`
    const read = (): number => gateway.stats[key as keyof typeof COUNTS | keyof typeof GAUGES]
    const metric = {
      name,
      get: async () => ({
        name,
        help,
        type: isCount ? 'counter' : 'gauge',
        values: [{ value: read(), labels: {} }],
        aggregator: 'sum',
      }),
    }
    // The registry asks a metric for its name and `get`, which is all a collector of foreign numbers can have.
    registry.registerMetric(metric as unknown as Gauge)
  }
  const server = createServer((request, response) => {
    // A page of another origin can reach the loopback by a name of its own; that name is not ours.
    const isOurs = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(request.headers.host ?? '')
    if (!isOurs || request.url !== '/metrics') {
      response.writeHead(isOurs ? 404 : 403).end()
      return
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.destroy(),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new OperationalError(
          'METRICS_PORT',
          `the port ${port} for metrics cannot be opened: ${cause.message}. Give another with --metrics-port, or 0.`,
          { cause },
        ),
      ),
    )
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      registry.clear()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
