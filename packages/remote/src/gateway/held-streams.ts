/**
 * Streams that wait at nodes for their consumers to come back: which node has which. A stream is here from the moment its
 * consumer is lost, or its end was sent, until it is resumed, released or given up by the node.
 */
import { RemoteError } from '../remote-error.ts'
import type { NodeParty } from './router.ts'

/** Each node keeps at most 1,000; more than this in all are forgotten, the oldest first. */
const HELD_MAX = 100_000

/** So long a node that was lost may come back with its streams. */
const ABSENT_MS = 60_000
const ABSENT_MAX = 10_000

/** A gateway that has just started may not have all its nodes yet. */
const SETTLE_MS = 10_000

export class HeldStreams {
  readonly #now: () => number
  readonly #startedAtMs: number
  readonly #holders = new Map<string, NodeParty>()
  /** Streams of nodes that were lost. */
  readonly #absent = new Map<string, { readonly node: string; readonly untilMs: number; isLost: boolean }>()

  constructor(now: () => number) {
    this.#now = now
    this.#startedAtMs = now()
  }

  get size(): number {
    return this.#holders.size
  }

  hold(id: string, node: NodeParty): void {
    this.#holders.set(id, node)
    const [oldest] = this.#holders.keys()
    if (this.#holders.size > HELD_MAX && oldest !== undefined) this.#holders.delete(oldest)
  }

  holderOf(id: string): NodeParty | undefined {
    return this.#holders.get(id)
  }

  /** It was resumed or released; with `by`, only what that node says it has given up. */
  forget(id: string, by?: NodeParty): void {
    if (by === undefined || this.#holders.get(id)?.session === by.session) this.#holders.delete(id)
  }

  /** A node is here, with the streams it holds. */
  nodeCame(node: NodeParty, ids: readonly string[]): void {
    // What it had and does not have any more will not come.
    for (const absent of this.#absent.values()) if (absent.node === node.entry.id) absent.isLost = true
    for (const id of ids) {
      this.#absent.delete(id)
      this.hold(id, node)
    }
  }

  /** A node was lost with `live` streams, and those it holds. */
  nodeWent(node: NodeParty, live: readonly string[]): void {
    const gone = [...live]
    for (const [id, holder] of this.#holders) if (holder.session === node.session) gone.push(id)
    for (const id of gone) {
      this.#holders.delete(id)
      this.#absent.delete(id)
      this.#absent.set(id, { node: node.entry.id, untilMs: this.#now() + ABSENT_MS, isLost: false })
    }
    for (const [id, { untilMs }] of this.#absent) {
      if (untilMs > this.#now() && this.#absent.size <= ABSENT_MAX) break
      this.#absent.delete(id)
    }
  }

  /** `retryable`: the node that has it may still come back. */
  lost(id: string, fn: string): RemoteError {
    const absent = this.#absent.get(id)
    const now = this.#now()
    const mayCome = absent === undefined ? now - this.#startedAtMs < SETTLE_MS : !absent.isLost && absent.untilMs > now
    const why =
      absent === undefined
        ? 'no node has it'
        : `node "${absent.node}", which had it, ${absent.isLost ? 'came back without it' : 'is gone'}`
    return new RemoteError(
      'STREAM_LOST',
      `the stream of "${fn}" cannot go on: ${why}. Open it anew, from where your own records say.`,
      { function: fn, retryable: mayCome, ...(absent === undefined ? {} : { node: absent.node }) },
    )
  }
}
