/** asyncLookup: joins each record with what an outside service answers for its key; mapAsync with a cache. */
import { type CanonicalKey, canonicalKey, type Key, originalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { OperatorContext } from '../graph/operator.ts'
import { type Duration, positiveDurationMs } from '../time/duration.ts'
import { LookupCache } from './lookup-cache.ts'
import { addAsyncNode } from './map-async.ts'
import type { AsyncFn, CallContext, MapAsyncOptions } from './map-async-types.ts'
import { keyFrom } from './user-function.ts'

/** A record and the answer for it; `right` is undefined when there is none. */
export interface Looked<T, V> {
  readonly left: T
  readonly right: V | undefined
}

export interface AsyncLookupOptions<T, V, K extends Key>
  extends Omit<MapAsyncOptions<T, V | undefined>, 'deterministic'> {
  /** What to look up for a record. Default: the key of the stream. */
  readonly by?: (row: T) => K
  /** Keeps answers, also the answer that there is none. Default: no cache. */
  readonly cache?: {
    /** Most answers kept by an instance of the step, 1 to 1 000 000. */
    readonly capacity: number
    /** In processing time. */
    readonly ttl: Duration
  }
}

export type LookupFn<K, V> = (key: K, ctx: CallContext) => Promise<V | undefined> | V | undefined

export interface AsyncLookupSpec<T, V, K extends Key> extends AsyncLookupOptions<T, V, K> {
  readonly name: string
  readonly input: Edge
  readonly fn: LookupFn<K, V>
}

/**
 * Adds a step that emits `{ left: row, right: answer }`. Records that ask for the same key while a call for it is in
 * flight share that call. The step is 'timed': what is answered depends on when it was asked.
 * @example
 * import { dataflow } from 'millrace'
 * import { arraySink, arraySource, testFlow } from 'millrace/testing'
 * const names: Record<string, string> = { u1: 'Ada' }
 * const flow = dataflow('names')
 * flow.source('users', arraySource<{ id: string; at: number }>([]), { time: user => user.at, disorder: '0s' })
 *   .asyncLookup('name', async (id: string) => names[id], { by: user => user.id })
 *   .sink('out', arraySink<unknown>([]))
 * const test = testFlow(flow)
 * await test.send('users', [{ id: 'u1', at: 1_000 }])
 * await test.end()
 * test.output('out') // => [{ left: { id: 'u1', at: 1_000 }, right: 'Ada' }]
 * @throws UsageError `LOOKUP` when the stream has no keys and `by` is missing, or the cache's capacity is out of range
 */
export function asyncLookup<T, V, K extends Key>(graph: Graph, spec: AsyncLookupSpec<T, V, K>): GraphNode {
  const { by, cache, fn, name, input, onTimeout } = spec
  if (by === undefined && input.partitioning !== 'key') {
    throw new UsageError('LOOKUP', 'asyncLookup on a stream without keys needs { by }, which says what to look up.', {
      step: name,
    })
  }
  const ttlMs = cache === undefined ? 0 : positiveDurationMs(cache.ttl, `cache.ttl of step "${name}"`)
  const capacity = cache?.capacity ?? 0
  if (cache !== undefined && !(Number.isInteger(capacity) && capacity >= 1 && capacity <= 1_000_000)) {
    throw new UsageError(
      'LOOKUP',
      `cache.capacity is ${String(capacity)}; it must be an integer from 1 to 1 000 000.`,
      {
        step: name,
      },
    )
  }
  const open = (ctx: OperatorContext): AsyncFn<T, Looked<T, V>> => {
    const answers = cache === undefined ? undefined : new LookupCache<CanonicalKey, V | undefined>(capacity, ttlMs)
    return sharedLookup(ctx, by, fn, answers)
  }
  const { onTimeout: _, ...rest } = spec
  const substitute = onTimeout === undefined ? {} : { onTimeout: (row: T) => ({ left: row, right: onTimeout(row) }) }
  return addAsyncNode<T, Looked<T, V>, unknown>(graph, 'asyncLookup', { ...rest, ...substitute }, open, 'timed')
}

/** The function of one instance: cache and shared calls live here, outside state; after a restart they begin empty. */
export function sharedLookup<T, V, K extends Key>(
  ctx: Pick<OperatorContext, 'now' | 'step'>,
  by: ((row: T) => K) | undefined,
  fn: LookupFn<K, V>,
  answers: LookupCache<CanonicalKey, V | undefined> | undefined,
): AsyncFn<T, Looked<T, V>> {
  const inFlight = new Map<CanonicalKey, Promise<V | undefined>>()
  const ask = async (key: CanonicalKey, call: CallContext): Promise<V | undefined> => {
    const value = await fn(originalKey(key) as K, call)
    answers?.set(key, value, ctx.now())
    return value
  }
  const lookUp = (key: CanonicalKey, call: CallContext): Promise<V | undefined> => {
    const promise = ask(key, call).finally(() => inFlight.delete(key))
    inFlight.set(key, promise)
    return promise
  }
  // When the call that is shared fails, which may be by the time-out of the record that made it, ask oneself.
  const follow = async (shared: Promise<V | undefined>, key: CanonicalKey, call: CallContext) => {
    const { signal } = call
    return shared.catch((error: unknown) => {
      if (signal.aborted) throw error
      return ask(key, call)
    })
  }
  return (row, call) => {
    const key = by === undefined ? canonicalKey(call.key) : keyFrom(by(row), ctx.step, 'the function `by`')
    const known = answers?.get(key, ctx.now())
    if (known !== undefined) return { left: row, right: known.value }
    const shared = inFlight.get(key)
    const answer = shared === undefined ? lookUp(key, call) : follow(shared, key, call)
    return answer.then((right) => ({ left: row, right }))
  }
}
