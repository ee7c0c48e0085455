/** Serves the functions of a file from threads, so that none of them holds up the node's link. */
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from 'millrace/connector'
import type { OfferedFunction } from '../../protocol/messages.ts'
import type { ComputeNode } from '../compute-node.ts'
import { ThreadHost } from './thread-host.ts'
import type { ThreadStart } from './thread-messages.ts'

export interface ServeFileOptions {
  /** Threads of the pool, which runs what computes for long. Default: as many as processors, 2 to 8. */
  readonly threads?: number
}

export interface ServedFile {
  readonly functions: readonly OfferedFunction[]
  /** Names of those that run in the pool: they do not see the variables of the others. */
  readonly threaded: readonly string[]
}

const THREADS_MIN = 2
const THREADS_DEFAULT_MAX = 8
const THREADS_MAX = 256

/**
 * Offers the functions of a module's default export. They share one thread and the module's variables there; generators
 * that are not async, and functions marked with `cpu`, run in a pool of threads, each with the module loaded anew.
 * @throws UsageError `REMOTE_FILE_EXPORT`, `REMOTE_OPTION`, and whatever the module fails with while it is loaded
 */
export async function serveFile(node: ComputeNode, module: URL, options: ServeFileOptions = {}): Promise<ServedFile> {
  const { threads = Math.min(THREADS_DEFAULT_MAX, Math.max(THREADS_MIN, availableParallelism())) } = options
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > THREADS_MAX) {
    throw new UsageError(
      'REMOTE_OPTION',
      `threads is ${String(threads)}; it must be a whole number from 1 to ${THREADS_MAX}.`,
    )
  }
  const { id, stacks, holdMs, time, log } = node.settings
  const start: ThreadStart = {
    module: module.href,
    file: module.protocol === 'file:' ? path.basename(fileURLToPath(module)) : module.href,
    pick: 'shared',
    ...{ id, stacks, holdMs },
  }
  const hosts: ThreadHost[] = []
  try {
    const shared = await ThreadHost.start({ start, size: 1, isPool: false, time, log })
    hosts.push(shared.host)
    if (shared.threaded.length > 0) {
      const ofPool = { ...start, pick: 'threaded' as const }
      hosts.push((await ThreadHost.start({ start: ofPool, size: threads, isPool: true, time, log })).host)
    }
    node.attach(...hosts)
    return { functions: hosts.flatMap((host) => host.offers), threaded: shared.threaded }
  } catch (error) {
    await Promise.all(hosts.map((host) => host.close()))
    throw error
  }
}
