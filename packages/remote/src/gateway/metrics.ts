/** The figures of a gateway as metric families: read when somebody asks, under the names rules of `millrace/observe`. */
import type { MetricFamily, MetricSample } from 'millrace/observe'
import type { GatewayStats } from './gateway-core.ts'

/** What passes over the links of a gateway. */
export interface LinkFigures {
  readonly connections: number
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Bytes that wait for the peer for which most wait: now, and at any time of the links that are open. */
  readonly bufferedBytesMax: number
  readonly bufferedBytesMost: number
  /** Links that were cut because their peer took nothing, said nothing, or broke the protocol. */
  readonly cut: { readonly slow: number; readonly silent: number; readonly protocol: number }
}

export function gatewayMetrics(stats: GatewayStats, links: LinkFigures): readonly MetricFamily[] {
  const { finished, failed, cancelled, held } = stats
  return [
    gauge('connections', 'Open links, by what their peers are.', [
      ...sample(stats.clients, { role: 'client' }),
      ...sample(stats.nodes, { role: 'node' }),
      ...sample(links.connections - stats.clients - stats.nodes, { role: 'other' }),
    ]),
    counter(
      'connections_refused_total',
      'Links that were refused: no right, no HELLO, too many.',
      sample(stats.refused),
    ),
    counter('connections_cut_total', 'Links that were cut, by why.', [
      ...sample(links.cut.slow, { reason: 'slow' }),
      ...sample(links.cut.silent, { reason: 'silent' }),
      ...sample(links.cut.protocol, { reason: 'protocol' }),
    ]),
    counter('calls_total', 'Calls that have ended, by how.', [
      ...sample(finished, { outcome: 'finished' }),
      ...sample(failed, { outcome: 'failed' }),
      ...sample(cancelled, { outcome: 'cancelled' }),
      ...sample(held, { outcome: 'held' }),
    ]),
    gauge('calls_in_flight', 'Calls under way.', sample(stats.inFlight)),
    counter(
      'calls_placed_again_total',
      'Calls that went to another node because theirs was lost.',
      sample(stats.placedAgain),
    ),
    counter('streams_resumed_total', 'Streams that went on after their consumer was lost.', sample(stats.resumed)),
    gauge('streams_held', 'Streams that wait at nodes for their consumers.', sample(stats.heldStreams)),
    counter('items_total', 'Items of results that were passed on.', sample(stats.items)),
    counter('result_bytes_total', 'Bytes of results that were passed on.', sample(stats.bytes)),
    counter('link_bytes_total', 'Bytes of messages.', [
      ...sample(links.bytesReceived, { direction: 'in' }),
      ...sample(links.bytesSent, { direction: 'out' }),
    ]),
    gauge('buffered_bytes_max', 'Bytes that wait for the peer for which most wait.', sample(links.bufferedBytesMax)),
    gauge(
      'buffered_bytes_most',
      'The most that has waited for any of the present peers.',
      sample(links.bufferedBytesMost),
    ),
  ]
}

function gauge(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name: `millrace_gateway_${name}`, help, type: 'gauge', samples }
}

function counter(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name: `millrace_gateway_${name}`, help, type: 'counter', samples }
}

function sample(value: number, labels: Readonly<Record<string, string>> = {}): readonly MetricSample[] {
  return [{ suffix: '', labels, value }]
}
