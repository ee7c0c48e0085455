/**
 * HTTP on the loopback of a running flow: /metrics for Prometheus, /healthz and /readyz, /observe/v1/snapshot.
 * Counters are read when somebody asks; nobody asking costs nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OperationalError } from 'millrace'
import { type MetricFamily, metricFamilies, type Observer } from 'millrace/observe'
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'

export const METRICS_PORT = 9464
/** Ports tried after a taken one. */
const TRIES = 20

export interface MetricsServer {
  readonly url: string
  /** Empty, or that the wanted port was taken. */
  readonly note: string
  close(): Promise<void>
}

/** @throws OperationalError `METRICS_PORT` when no port can be opened */
export async function startMetricsServer(observer: Observer, version: string, wanted: number): Promise<MetricsServer> {
  const registry = newRegistry(observer, version)
  const server = createServer((request, response) => {
    respond(request, response, observer, registry).catch(() => response.destroy())
  })
  server.requestTimeout = 10_000
  const port = await listen(server, wanted)
  const note = wanted === 0 || port === wanted ? '' : ` (${wanted} is taken)`
  return {
    url: `http://127.0.0.1:${port}`,
    note,
    close: () => {
      registry.clear()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

async function listen(server: Server, wanted: number): Promise<number> {
  const ports =
    wanted === 0 ? [0] : [...Array.from({ length: TRIES }, (_, i) => wanted + i).filter((p) => p < 65_536), 0]
  let last: unknown
  for (const port of ports) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, '127.0.0.1', () => {
          server.off('error', reject)
          resolve()
        })
      })
      return (server.address() as AddressInfo).port
    } catch (error) {
      last = error
    }
  }
  throw new OperationalError(
    'METRICS_PORT',
    `no port for metrics could be opened on 127.0.0.1, ${wanted} and the next ${TRIES} were tried. Give another with --metrics-port, or --no-metrics.`,
    { cause: last },
  )
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  observer: Observer,
  registry: Registry,
): Promise<void> {
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    response.end(request.method === 'HEAD' ? '' : body)
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, 'text/plain', 'only GET\n')
  // A page of another origin can reach the loopback by a name of its own; that name is not ours.
  if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(request.headers.host ?? ''))
    return send(403, 'text/plain', 'unknown host\n')
  const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1')
  switch (pathname) {
    case '/metrics':
      return send(200, registry.contentType, await registry.metrics())
    case '/observe/v1/snapshot':
      return send(200, 'application/json', `${JSON.stringify(observer.snapshot())}\n`)
    case '/healthz':
      return send(200, 'text/plain', 'ok\n')
    case '/readyz': {
      const state = observer.job?.state ?? 'starting'
      return send(state === 'running' ? 200 : 503, 'text/plain', `${state}\n`)
    }
    default:
      return send(404, 'text/plain', 'here are /metrics, /healthz, /readyz and /observe/v1/snapshot\n')
  }
}

/** A collector per family; all read the counters at the moment of the scrape. */
function newRegistry(observer: Observer, version: string): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const { name } of metricFamilies(observer, version)) {
    const get = async (): Promise<unknown> =>
      asPromClient(metricFamilies(observer, version).find((f) => f.name === name))
    // The registry asks a metric for its name and `get`, which is all a collector of foreign numbers can have.
    registry.registerMetric({ name, get } as unknown as Metric<string>)
  }
  return registry
}

function asPromClient(family: MetricFamily | undefined): unknown {
  if (family === undefined) return { values: [] }
  const values = family.samples.map(({ suffix, labels, value }) => ({
    metricName: `${family.name}${suffix}`,
    labels,
    value,
  }))
  return { name: family.name, help: family.help, type: family.type, values, aggregator: 'sum' }
}
