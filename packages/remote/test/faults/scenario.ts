/** What happens in a run, drawn from its seed: calls of every kind, and faults of connections and processes. */
import { type SeededRandom, seededRandom } from 'millrace/testing'
import type { CallKind, CallPlan, FaultKind } from './ledger.ts'

export interface FaultPlan {
  readonly kind: FaultKind
  readonly whose: string
  readonly atMs: number
  readonly ms: number
}

export interface Scenario {
  readonly seed: number
  readonly nodes: readonly string[]
  readonly clients: number
  readonly calls: readonly CallPlan[]
  readonly faults: readonly FaultPlan[]
}

const SPAN_MS = 20_000
const KINDS: readonly CallKind[] = ['work', 'work', 'work', 'steps', 'steps', 'steps', 'burst', 'sum', 'big']

export function scenarioOf(seed: number, options: { readonly faults?: number } = {}): Scenario {
  const random = seededRandom(seed).fork('scenario')
  const nodes = Array.from({ length: random.between(1, 3) }, (_, i) => `n${i + 1}`)
  const clients = random.between(1, 3)
  const calls = Array.from({ length: clients * random.between(6, 16) }, (_, id) => callOf(id, clients, random))
  const faults = Array.from({ length: options.faults ?? 10 }, () => faultOf(nodes, clients, random))
  faults.sort((a, b) => a.atMs - b.atMs)
  return { seed, nodes, clients, calls, faults }
}

function callOf(id: number, clients: number, random: SeededRandom): CallPlan {
  const kind = random.pick(KINDS)
  const isStream = kind === 'steps' || kind === 'burst'
  const size = {
    work: () => random.pick([0, 1, 20, 400, 3_000]),
    steps: () => random.pick([0, 1, 7, 8, 9, 60, 200]),
    burst: () => random.pick([0, 1, 100, 400]),
    sum: () => random.pick([0, 1, 40, 300]),
    big: () => random.pick([1, 64, 65, 300]),
  }[kind]()
  return {
    ...{ id, kind, size },
    client: random.int(clients),
    // Half of them come in bursts, so that some wait in queues.
    startMs: random.chance(0.5) ? random.next() * SPAN_MS : random.between(1, 5) * 3_000,
    gapMs: kind === 'steps' ? random.pick([0, 0, 1, 40]) : 0,
    slowMs: isStream ? random.pick([0, 0, 2, 30]) : 0,
    idempotent: random.chance(0.25),
    resumable: isStream && random.chance(0.6),
    deadlineMs: random.chance(0.1) ? random.between(50, 4_000) : undefined,
    leaveAfter: isStream && random.chance(0.15) ? random.int(size + 1) : undefined,
  }
}

function faultOf(nodes: readonly string[], clients: number, random: SeededRandom): FaultPlan {
  const names = [...nodes, ...Array.from({ length: clients }, (_, i) => `client-${i}`)]
  const kind = random.pick<FaultKind>([
    ...['cut', 'cut', 'cut', 'lagging-cut', 'lagging-cut', 'silence', 'slow-reader', 'freeze', 'twice'],
    ...(random.chance(0.3) ? ['kill', 'restart'] : []),
  ] as FaultKind[])
  const whose = kind === 'restart' ? 'gateway' : kind === 'kill' ? random.pick(nodes) : random.pick(names)
  return { kind, whose, atMs: random.next() * SPAN_MS, ms: random.pick([10, 200, 1_500, 4_000, 7_000]) }
}

export function describeScenario({ nodes, clients, calls, faults }: Scenario): string {
  const list = faults.map(({ kind, whose, atMs, ms }) => `${kind} ${whose} at ${atMs.toFixed(0)} (${ms} ms)`)
  return `${nodes.length} nodes, ${clients} clients, ${calls.length} calls; ${list.join(', ')}`
}
