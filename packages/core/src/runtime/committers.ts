/**
 * The targets of a run's staged sinks: brought to the last decision at the start, published to after every decision.
 *
 * Invariants:
 *  K1  Publishing a manifest again gives the same targets, so after a crash nobody needs to know how far it came.
 *  K2  The first epoch starts from what the committer found, never from undefined: a crash in its publish must restore to
 *      that, and undefined would mean a target that nobody has written to.
 */
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Manifest, SinkCommit } from '../checkpoint/manifest.ts'
import type { Position, SinkCommitter, SinkContext } from '../connector.ts'
import { UsageError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import type { Plan } from '../graph/plan.ts'
import { connectorError } from './failures.ts'
import type { WorkerSnapshot } from './messages.ts'

export class Committers {
  readonly #store: CheckpointStore
  readonly #byNode = new Map<GraphNode, SinkCommitter>()

  constructor(store: CheckpointStore) {
    this.#store = store
  }

  /**
   * Opens the targets and rolls them forward to the last decision.
   * @throws UsageError `SINK_COMMITTER`; what the connectors throw
   */
  async open(plan: Plan, manifest: Manifest | undefined, context: (step: string) => SinkContext): Promise<void> {
    for (const node of plan.nodes) {
      if (node.spec.type !== 'sink' || node.spec.sink.guarantee !== 'staged') continue
      const { sink } = node.spec
      if (sink.committer === undefined) {
        const what = `sink "${node.name}" (${sink.kind}) says it is staged but has no committer.`
        throw new UsageError('SINK_COMMITTER', what, { step: node.name })
      }
      const committer = await sink.committer(context(node.name))
      this.#byNode.set(node, committer)
      // The last epoch's publication may have been cut short: it is published once more, from where it began.
      const saved = sinkCommit(manifest, node)
      if (saved === undefined || saved.bytes === 0) await committer.restore(saved?.after)
      else await committer.restore(saved.before, saved.after)
    }
    if (manifest !== undefined) await this.publish(manifest)
  }

  /** Each sink's part of the next commit. */
  next(manifest: Manifest | undefined, snapshots: readonly WorkerSnapshot[]): Record<string, SinkCommit> {
    const sinks: Record<string, SinkCommit> = {}
    for (const [node, committer] of this.#byNode) {
      const before = sinkCommit(manifest, node)?.after ?? committer.after(undefined, 0)
      const bytes = snapshots.reduce((sum, s) => sum + (s.files.stagedBytes[node.name] ?? 0), 0)
      sinks[node.name] = { before, after: committer.after(before, bytes), bytes }
    }
    return sinks
  }

  /** Publishes what the manifest's staged sinks hold. */
  async publish(manifest: Manifest): Promise<void> {
    for (const [node, committer] of this.#byNode) {
      const sink = sinkCommit(manifest, node)
      if (sink === undefined || sink.bytes === 0) continue
      const staged = this.#store.staged(manifest, sink.name)
      try {
        await committer.publish(sink.before, sink.after as Position, staged)
      } catch (error) {
        throw connectorError(error, 'SINK_FAILED', node.name)
      }
    }
  }

  async close(): Promise<void> {
    const committers = [...this.#byNode.values()]
    this.#byNode.clear()
    for (const committer of committers) await committer.close()
  }
}

/** A sink's part of a commit, and the name it was made under: a renamed sink is found under its old one. */
function sinkCommit(
  manifest: Manifest | undefined,
  node: GraphNode,
): (SinkCommit & { readonly name: string }) | undefined {
  for (const name of [node.name, ...node.renamedFrom]) {
    const sink = manifest?.sinks[name]
    if (sink !== undefined) return { ...sink, name }
  }
  return undefined
}
