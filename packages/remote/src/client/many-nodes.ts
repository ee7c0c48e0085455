/** Calls that go to more than one node: to every one that offers a function, or to several of which the first answer counts. */
import type { NodeStatus } from '../gateway/gateway-core.ts'
import { fits } from '../protocol/tags.ts'
import { RemoteError } from '../remote-error.ts'
import { isStream } from '../session/pump.ts'
import type { CallOptions } from './client.ts'

/** What one node answered. */
export type Answer<R> =
  | { readonly node: string; readonly value: R; readonly error?: undefined }
  | { readonly node: string; readonly error: RemoteError; readonly value?: undefined }

/** What these calls need of a client. */
export interface Caller {
  call(fn: string, args: readonly unknown[], options: CallOptions): Promise<unknown>
}

/** Nodes that race: a third one seldom answers first, and its work is thrown away. */
const RACERS = 2

/** Each node's answer, in the order of their ids; a node that fails is an answer too. */
export async function broadcast(
  caller: Caller,
  fn: string,
  args: readonly unknown[],
  options: CallOptions,
): Promise<Answer<unknown>[]> {
  const nodes = await nodesFor(caller, fn, args, options)
  // Says what is missing, as a plain call does.
  if (nodes.length === 0) return [{ node: '', value: await caller.call(fn, args, options) }]
  return Promise.all(
    nodes.map(async ({ id: node }): Promise<Answer<unknown>> => {
      try {
        return { node, value: await caller.call(fn, args, { ...options, node }) }
      } catch (error) {
        if (error instanceof RemoteError) return { node, error }
        throw error
      }
    }),
  )
}

/** The first value; the other calls are cancelled then. When all fail, the error of the first that did. */
export async function race(
  caller: Caller,
  fn: string,
  args: readonly unknown[],
  options: CallOptions,
): Promise<unknown> {
  const nodes = await nodesFor(caller, fn, args, options)
  const racers = nodes.sort((a, b) => a.inFlight - b.inFlight).slice(0, RACERS)
  if (racers.length < 2) return caller.call(fn, args, options)
  const over = new AbortController()
  const signal = options.signal === undefined ? over.signal : AbortSignal.any([options.signal, over.signal])
  let first: unknown
  const calls = racers.map(async ({ id: node }) => {
    try {
      return await caller.call(fn, args, { ...options, node, signal })
    } catch (error) {
      first ??= error
      throw error
    }
  })
  try {
    return await Promise.any(calls)
  } catch {
    throw first
  } finally {
    over.abort(new RemoteError('CANCELLED', 'another node answered first.'))
  }
}

async function nodesFor(
  caller: Caller,
  fn: string,
  args: readonly unknown[],
  { where = {}, node }: CallOptions,
): Promise<NodeStatus[]> {
  if (args.some(isStream)) {
    throw new RemoteError('INVALID_ARGUMENT', `a stream among the arguments of "${fn}" can be read by one node only.`, {
      function: fn,
    })
  }
  const nodes = (await caller.call('$nodes', [], {})) as NodeStatus[]
  return nodes.filter(
    ({ id, tags, isDraining, functions }) =>
      (node === undefined || id === node) &&
      !isDraining &&
      functions.some(({ name }) => name === fn) &&
      fits(tags, where),
  )
}
