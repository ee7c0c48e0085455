/** Which of the nodes that offer a function takes a call. Pure: what it needs to know is passed in. */
import type { Policy } from '../protocol/messages.ts'

/** A node as placement sees it. */
export interface Candidate {
  readonly id: string
  /** Calls under way on the node. */
  readonly inFlight: number
  /** Share under the policy 'weighted'. */
  readonly weight: number
  /** Moving average of the time its calls of this function took, ms; undefined before the first. */
  readonly latencyMs: number | undefined
}

/** What a function's placement remembers between calls. */
export interface PlacementState {
  /** 'round-robin': calls placed so far. */
  turns: number
  /** 'weighted': what each node is owed (smooth weighted round-robin). */
  readonly owed: Map<string, number>
}

export function newPlacementState(): PlacementState {
  return { turns: 0, owed: new Map() }
}

export interface PlacementRequest {
  readonly policy: Policy
  /** 'hash': calls of one key go to one node. */
  readonly key: string | undefined
  readonly random: () => number
}

/**
 * Picks one of `candidates`, which must not be empty and come in the order of their ids.
 * 'least-in-flight' compares two drawn at random (power of two choices): as good as comparing all of them, and it does
 * not send every call of a burst to the same node. 'latency' does so with latency times load.
 * @see Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 2001
 */
export function place<C extends Candidate>(
  candidates: readonly C[],
  state: PlacementState,
  { policy, key, random }: PlacementRequest,
): C {
  if (candidates.length === 1 && policy !== 'weighted') {
    state.turns++
    return candidates[0]
  }
  switch (policy) {
    case 'round-robin':
      return candidates[state.turns++ % candidates.length]
    case 'random':
      return candidates[Math.floor(random() * candidates.length)]
    case 'weighted':
      return weighted(candidates, state.owed)
    case 'hash':
      return byHash(candidates, key ?? '')
    case 'latency':
      return betterOfTwo(candidates, random, (c) => (c.latencyMs ?? 0) * (c.inFlight + 1))
    case 'least-in-flight':
      return betterOfTwo(candidates, random, (c) => c.inFlight)
  }
}

function betterOfTwo<C>(candidates: readonly C[], random: () => number, cost: (candidate: C) => number): C {
  const first = Math.floor(random() * candidates.length)
  const other = (first + 1 + Math.floor(random() * (candidates.length - 1))) % candidates.length
  return cost(candidates[other]) < cost(candidates[first]) ? candidates[other] : candidates[first]
}

/** Each node is owed its weight at every turn; the one that is owed most is taken and pays for all. */
function weighted<C extends Candidate>(candidates: readonly C[], owed: Map<string, number>): C {
  const total = candidates.reduce((sum, c) => sum + c.weight, 0)
  if (total === 0) return candidates[0]
  let best = candidates[0]
  let most = Number.NEGATIVE_INFINITY
  for (const candidate of candidates) {
    const due = (owed.get(candidate.id) ?? 0) + candidate.weight
    owed.set(candidate.id, due)
    if (due > most) {
      most = due
      best = candidate
    }
  }
  owed.set(best.id, most - total)
  return best
}

/**
 * Rendezvous hashing: the node whose hash with the key is highest. When a node comes or goes, only its own keys move.
 * @see Thaler, Ravishankar, Using Name-Based Mappings to Increase Hit Rates, IEEE/ACM ToN 1998
 */
function byHash<C extends Candidate>(candidates: readonly C[], key: string): C {
  let best = candidates[0]
  let highest = -1
  for (const candidate of candidates) {
    const hash = fnv1a(`${candidate.id}\0${key}`)
    if (hash > highest) {
      highest = hash
      best = candidate
    }
  }
  return best
}

/** 32 bits, with a final mix so that ids that differ in their last character differ everywhere. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  return hash >>> 0
}
