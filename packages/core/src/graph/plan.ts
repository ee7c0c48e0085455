/**
 * Planning: from the described graph to stages, pure and printable.
 *
 * A stage is a set of steps that run together, synchronously, on one worker: records pass between them by function
 * calls. Stages are joined by channels: bounded queues within a worker, rings between workers.
 *
 * Invariants:
 *  P1  The same graph gives the same plan and the same hash; the hash does not depend on the number of workers.
 *  P2  A channel is cut exactly where records change workers, where a step waits for something outside (calls, sinks), or
 *      where the author asked for a buffer.
 *  P3  Stages form a directed acyclic graph, so a full channel holds back its senders and never deadlocks.
 */
import { UsageError } from '../errors.ts'
import { checkChanges } from './changes.ts'
import type { FullPolicy, Graph, GraphNode, Partitioning } from './node.ts'

export interface Plan {
  readonly flow: string
  /** 16 hex digits over steps, wiring and declared parameters. */
  readonly hash: string
  readonly workers: number
  readonly nodes: readonly GraphNode[]
  /** In topological order. */
  readonly stages: readonly Stage[]
  readonly channels: readonly Channel[]
}

export interface Stage {
  readonly id: number
  /** In topological order. */
  readonly nodes: readonly GraphNode[]
  readonly inputs: readonly Channel[]
  readonly outputs: readonly Channel[]
  /** 'single' stages run on worker 0 only. */
  readonly parallel: 'all' | 'single'
}

export interface Channel {
  readonly id: number
  readonly from: GraphNode
  readonly output: string
  readonly to: GraphNode
  /** Index into `to.inputs`. */
  readonly input: number
  /** 'queue' stays on its worker; the others redistribute. */
  readonly kind: 'queue' | 'key' | 'single' | 'broadcast'
  /** Capacity in records, per receiving worker and sending worker. */
  readonly capacity: number
  readonly whenFull: FullPolicy
}

/** Default capacity of a channel in records; the default of `bufferSize` in the parameter table of the brief. */
export const CHANNEL_CAPACITY = 1000

/**
 * Plans a graph for a number of workers.
 * @throws UsageError `PLAN_*` when the graph cannot run
 */
export function plan(graph: Graph, workers = 1): Plan {
  checkGraph(graph)
  const nodes = graph.nodes
  const parallel = placeNodes(nodes)
  const keyed = findKeyed(nodes)
  const channels: Channel[] = []
  const group = nodes.map((_, i) => i)
  const find = (i: number): number => (group[i] === i ? i : (group[i] = find(group[i])))
  // A node's level is the number of cuts on the longest way to it. Steps share a stage only within one level, so a
  // branch that left through a queue and comes back finds a queue in front of the step where the branches meet (P3).
  const level: number[] = []
  for (const node of nodes) {
    const kinds = node.inputs.map((e) => cut(node, e.partitioning, e.from, workers, parallel, keyed))
    const own = Math.max(0, ...node.inputs.map((e, i) => level[e.from.id] + (kinds[i] === undefined ? 0 : 1)))
    level.push(own)
    node.inputs.forEach((input, index) => {
      const kind = kinds[index] ?? (level[input.from.id] < own ? 'queue' : undefined)
      if (kind === undefined) group[find(node.id)] = find(input.from.id)
      else {
        channels.push({
          id: channels.length,
          from: input.from,
          output: input.output,
          to: node,
          input: index,
          kind,
          capacity: node.buffer?.capacity ?? CHANNEL_CAPACITY,
          whenFull: node.buffer?.whenFull ?? 'block',
        })
      }
    })
  }
  const stages = buildStages(nodes, channels, parallel, level, find)
  return { flow: graph.name, hash: planHash(graph), workers, nodes, stages, channels }
}

function checkGraph(graph: Graph): void {
  if (!graph.nodes.some((n) => n.spec.type === 'source')) {
    throw new UsageError(
      'PLAN_NO_SOURCE',
      `flow "${graph.name}" has no source, so nothing would ever run. Add one with flow.source(...).`,
    )
  }
  if (!graph.nodes.some((n) => n.spec.type === 'sink')) {
    throw new UsageError(
      'PLAN_NO_SINK',
      `flow "${graph.name}" has no sink, so its results would go nowhere. End a stream with .sink(name, ...).`,
    )
  }
  checkChanges(graph.nodes)
}

/** Nodes below a 'single' edge run on one worker until an exchange spreads them again. */
function placeNodes(nodes: readonly GraphNode[]): ('all' | 'single')[] {
  const placed: ('all' | 'single')[] = []
  for (const node of nodes) {
    const spreads = node.inputs.some((e) => e.partitioning === 'key' || e.partitioning === 'broadcast')
    const single =
      node.inputs.some((e) => e.partitioning === 'single') ||
      (!spreads && node.inputs.length > 0 && node.inputs.every((e) => placed[e.from.id] === 'single'))
    placed.push(single ? 'single' : 'all')
  }
  return placed
}

/** Nodes whose output already lies with the owner of each record's key. */
function findKeyed(nodes: readonly GraphNode[]): boolean[] {
  const keyed: boolean[] = []
  for (const node of nodes) {
    const inputs = node.inputs
    switch (node.spec.type) {
      case 'operator':
        keyed.push((node.spec.keepsKeys ?? false) && inputs.some((e) => e.partitioning === 'key'))
        break
      case 'inline':
        keyed.push((node.spec.op === 'filter' || node.spec.op === 'timestamp') && keyed[inputs[0].from.id])
        break
      case 'union':
        keyed.push(inputs.every((e) => keyed[e.from.id]))
        break
      default:
        keyed.push(false)
    }
  }
  return keyed
}

function cut(
  node: GraphNode,
  partitioning: Partitioning,
  from: GraphNode,
  workers: number,
  parallel: readonly ('all' | 'single')[],
  keyed: readonly boolean[],
): Channel['kind'] | undefined {
  if (workers > 1) {
    if (partitioning === 'key' && !keyed[from.id]) return 'key'
    if (partitioning === 'broadcast') return 'broadcast'
    if (partitioning === 'single' && parallel[from.id] === 'all') return 'single'
    if (parallel[from.id] !== parallel[node.id]) return 'queue'
  }
  const waits = node.spec.type === 'sink' || (node.spec.type === 'operator' && node.spec.isAsync === true)
  return waits || node.buffer !== undefined ? 'queue' : undefined
}

function buildStages(
  nodes: readonly GraphNode[],
  channels: readonly Channel[],
  parallel: readonly ('all' | 'single')[],
  level: readonly number[],
  find: (i: number) => number,
): Stage[] {
  const members = new Map<number, GraphNode[]>()
  for (const node of nodes) {
    const root = find(node.id)
    const list = members.get(root)
    if (list === undefined) members.set(root, [node])
    else list.push(node)
  }
  const inputsOf = (root: number) => channels.filter((c) => find(c.to.id) === root)
  const roots = [...members.keys()].sort((a, b) => level[a] - level[b] || a - b)
  return roots.map((root, id) => {
    const own = members.get(root) as GraphNode[]
    return {
      id,
      nodes: own,
      inputs: inputsOf(root),
      outputs: channels.filter((c) => find(c.from.id) === root),
      parallel: own.some((n) => parallel[n.id] === 'all') ? 'all' : 'single',
    }
  })
}

/** FNV-1a 64 over a canonical text of the graph. */
export function planHash(graph: Graph): string {
  const text = graph.nodes
    .map((n) => {
      const inputs = n.inputs.map((e) => `${e.from.name}.${e.output}:${e.partitioning}`).join(',')
      const describe = n.spec.type === 'operator' ? n.spec.describe : n.spec.type === 'inline' ? { op: n.spec.op } : {}
      return `${n.name}|${n.kind}|${inputs}|${JSON.stringify(describe ?? {})}`
    })
    .join('\n')
  let h = 0xcbf29ce484222325n
  for (let i = 0; i < text.length; i++) h = BigInt.asUintN(64, (h ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n)
  return h.toString(16).padStart(16, '0')
}
