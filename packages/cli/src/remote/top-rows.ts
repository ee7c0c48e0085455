/** Two looks at a gateway's figures become rates. Pure. */
import type { Client, GatewayStats, NodeStatus } from '@millrace/remote'

type Offered = Awaited<ReturnType<Client['functions']>>[number]

export interface TopSample {
  readonly atMs: number
  readonly stats: GatewayStats
  readonly nodes: readonly NodeStatus[]
  readonly functions: readonly Offered[]
}

export interface TopRow {
  readonly name: string
  readonly kind: 'call' | 'stream'
  readonly status: 'running' | 'idle' | 'no node'
  readonly nodes: readonly string[]
  readonly inFlight: number
  /** Since the gateway started. */
  readonly calls: number
  readonly failed: number
  readonly items: number
  readonly bytes: number
  readonly callsPerS: number
  readonly itemsPerS: number
  /** Of calls: to their end; of streams: to their first item. Moving average; null before the first. */
  readonly latencyMs: number | null
}

/** Those that run first, then by name. */
export function rowsOf(before: TopSample, now: TopSample): TopRow[] {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000)
  const offers = new Map(now.functions.map((offer) => [offer.name, offer]))
  const names = new Set([...offers.keys(), ...Object.keys(now.stats.functions)])
  const rows = [...names].map((name): TopRow => {
    const offer = offers.get(name)
    const at = now.stats.functions[name] ?? NOTHING
    const was = before.stats.functions[name] ?? NOTHING
    return {
      name,
      kind: offer?.kind ?? (at.items > 0 ? 'stream' : 'call'),
      status: at.inFlight > 0 ? 'running' : offer === undefined ? 'no node' : 'idle',
      nodes: offer?.nodes ?? [],
      ...{ inFlight: at.inFlight, calls: at.calls, failed: at.failed, items: at.items, bytes: at.bytes },
      callsPerS: (at.calls - was.calls) / seconds,
      itemsPerS: (at.items - was.items) / seconds,
      latencyMs: at.latencyMs,
    }
  })
  const rank = (row: TopRow): number => (row.inFlight > 0 ? 0 : 1)
  return rows.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
}

const NOTHING = { calls: 0, failed: 0, inFlight: 0, items: 0, bytes: 0, latencyMs: null }
