/** The nodes of a gateway and what they offer: who may take a call, and what to say when nobody may. */
import type { FunctionKind, Offer, OfferedFunction, OpenHeader, Tags } from '../protocol/messages.ts'
import { fits, isMet } from '../protocol/tags.ts'
import { RemoteError } from '../remote-error.ts'
import { newPlacementState, type PlacementState, place } from './placement.ts'

export interface NodeEntry {
  readonly id: string
  /** Gateway it is connected to; undefined: this one. */
  readonly gateway: string | undefined
  readonly peer: string
  /** Counts the registrations of this id: a later one fences the earlier. */
  readonly lease: number
  readonly connectedAtMs: number
  offer: Offer
  isDraining: boolean
  inFlight: number
  /** Calls since it connected. */
  calls: number
  failures: number
  /** By function. */
  readonly latencyMs: Map<string, number>
}

interface FunctionEntry {
  /** In the order of their ids. */
  readonly nodes: NodeEntry[]
  readonly placement: PlacementState
}

/** Weight of the newest call in the average latency. */
const LATENCY_SHARE = 0.2

export class Registry {
  readonly #nodes = new Map<string, NodeEntry>()
  readonly #functions = new Map<string, FunctionEntry>()
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  get nodes(): readonly NodeEntry[] {
    return [...this.#nodes.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** A node that is connected here. */
  node(id: string): NodeEntry | undefined {
    return this.#nodes.get(id)
  }

  add(node: NodeEntry): void {
    this.#nodes.set(keyOf(node), node)
    this.#index(node, node.offer)
  }

  remove(node: NodeEntry): void {
    this.#unindex(node)
    if (this.#nodes.get(keyOf(node)) === node) this.#nodes.delete(keyOf(node))
  }

  setOffer(node: NodeEntry, offer: Offer): void {
    const names = (o: Offer): string => JSON.stringify(o.functions)
    const isSame = names(offer) === names(node.offer)
    if (!isSame) this.#unindex(node)
    node.offer = offer
    if (!isSame) this.#index(node, offer)
  }

  /** Functions that are offered, with what the first of their nodes says of them. */
  get functions(): readonly (OfferedFunction & { readonly nodes: readonly string[] })[] {
    return [...this.#functions].map(([name, { nodes }]) => ({
      ...(offered(nodes[0], name) as OfferedFunction),
      nodes: nodes.map((node) => node.id),
    }))
  }

  kindOf(fn: string): FunctionKind | undefined {
    const entry = this.#functions.get(fn)
    return entry === undefined ? undefined : offered(entry.nodes[0], fn)?.kind
  }

  /**
   * The node that takes a call; with `isLocal`, one that is connected here: what another gateway asks for goes no further.
   * @throws RemoteError `NOT_FOUND` when no node offers the function, `UNAVAILABLE` when none of them can take it now
   */
  pick(header: OpenHeader, without?: NodeEntry, isLocal = false): NodeEntry {
    const { fn, where = {}, node: wanted } = header
    const entry = this.#functions.get(fn)
    if (entry === undefined) throw this.#notFound(fn)
    const named = entry.nodes.filter(
      (node) => (wanted === undefined || node.id === wanted) && !(isLocal && node.gateway !== undefined),
    )
    if (named.length === 0) {
      const offering = entry.nodes.map((node) => node.id).join(', ')
      throw unavailable(fn, `node "${wanted}" does not offer it; these do: ${offering}`, { node: wanted })
    }
    const fitting = named.filter((node) => fits(node.offer.tags ?? {}, where))
    if (fitting.length === 0) throw unavailable(fn, unmet(named, where), { where })
    const free = fitting.filter((node) => !node.isDraining && node !== without)
    if (free.length === 0)
      throw unavailable(fn, 'its nodes take no new calls at the moment', { nodes: fitting.map((n) => n.id) })
    const policy = header.policy ?? offered(free[0], fn)?.policy ?? 'least-in-flight'
    const candidates = free.map((node) => ({
      id: node.id,
      inFlight: node.inFlight,
      weight: node.offer.weight ?? 1,
      latencyMs: node.latencyMs.get(fn),
      node,
    }))
    return place(candidates, entry.placement, { policy, key: header.key, random: this.#random }).node
  }

  /** `ms` is what a call took; undefined for a stream, whose length says nothing about the node. */
  finished(node: NodeEntry, fn: string, ms: number | undefined, isFailure: boolean): void {
    node.inFlight--
    if (isFailure) node.failures++
    if (ms === undefined) return
    const before = node.latencyMs.get(fn)
    node.latencyMs.set(fn, before === undefined ? ms : before + LATENCY_SHARE * (ms - before))
  }

  #index(node: NodeEntry, offer: Offer): void {
    for (const { name } of offer.functions) {
      let entry = this.#functions.get(name)
      if (entry === undefined) {
        entry = { nodes: [], placement: newPlacementState() }
        this.#functions.set(name, entry)
      }
      entry.nodes.push(node)
      entry.nodes.sort((a, b) => (a.id < b.id ? -1 : 1))
    }
  }

  #unindex(node: NodeEntry): void {
    for (const { name } of node.offer.functions) {
      const entry = this.#functions.get(name)
      const at = entry?.nodes.indexOf(node) ?? -1
      if (entry === undefined || at < 0) continue
      entry.nodes.splice(at, 1)
      entry.placement.owed.delete(node.id)
      if (entry.nodes.length === 0) this.#functions.delete(name)
    }
  }

  #notFound(fn: string): RemoteError {
    const near = [...this.#functions.keys()].filter((name) => isNear(name, fn)).slice(0, 5)
    const hint =
      near.length > 0
        ? `Did you mean ${near.map((name) => `"${name}"`).join(', ')}?`
        : this.#nodes.size === 0
          ? 'No node is connected to this gateway: start one that offers it.'
          : `${this.#nodes.size} nodes are connected; start one that offers it.`
    return new RemoteError('NOT_FOUND', `no node offers "${fn}". ${hint}`, {
      function: fn,
      data: { function: fn, near },
    })
  }
}

/** Names of nodes hold no space. */
function keyOf({ id, gateway }: NodeEntry): string {
  return gateway === undefined ? id : `${id} ${gateway}`
}

function offered(node: NodeEntry, fn: string): OfferedFunction | undefined {
  return node.offer.functions.find((each) => each.name === fn)
}

function unmet(nodes: readonly NodeEntry[], where: Tags): string {
  const wanted = Object.entries(where)
  const single = wanted.filter(([name, value]) => nodes.every((node) => !isMet(node.offer.tags?.[name], value)))
  const list = (single.length > 0 ? single : wanted).map(([name, value]) => `${name}=${value}`).join(', ')
  return `no node with ${list} offers it (${nodes.length} without)`
}

function unavailable(fn: string, why: string, data: Record<string, unknown>): RemoteError {
  return new RemoteError('UNAVAILABLE', `"${fn}" cannot be called now: ${why}.`, {
    function: fn,
    retryable: true,
    data,
  })
}

/** Same word in another case, a piece of the other, or at most two letters changed. */
function isNear(a: string, b: string): boolean {
  const x = a.toLowerCase()
  const y = b.toLowerCase()
  if (x === y) return true
  if (y.length >= 3 && (x.includes(y) || y.includes(x))) return true
  return Math.abs(x.length - y.length) <= 2 && editDistance(x, y) <= 2
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}
