import { describe, expect, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { type AsyncLookupOptions, asyncLookup } from './async-lookup.ts'
import { LookupCache } from './lookup-cache.ts'

interface Order {
  readonly user: string
}

function lookupHost(options: Partial<AsyncLookupOptions<Order, string, string>> = {}) {
  const graph = new Graph('test')
  const from = graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } })
  const asked: string[] = []
  const node = asyncLookup<Order, string, string>(graph, {
    name: 'user names',
    input: edge(from),
    by: (order) => order.user,
    fn: async (user) => {
      asked.push(user)
      if (user === 'broken') throw new Error('broken')
      return user === 'nobody' ? undefined : `name of ${user}`
    },
    ...options,
  })
  return { node, asked, host: openOperator(node, { onError: 'skip' }) }
}

const order = (time: number, user: string) => [time, { user }] as const

describe('asyncLookup', () => {
  test('joins each record with the answer, or with undefined', async () => {
    const { host, node } = lookupHost()
    host.send([order(1, 'u1'), order(2, 'nobody')])
    await host.settle()
    expect(host.take().map((out) => out.row)).toEqual([
      { left: { user: 'u1' }, right: 'name of u1' },
      { left: { user: 'nobody' }, right: undefined },
    ])
    expect(node.determinism).toBe('timed')
  })

  test('asks once for records that come together, and again later without a cache', async () => {
    const { host, asked } = lookupHost()
    host.send([order(1, 'u1'), order(2, 'u1'), order(3, 'u1')])
    await host.settle()
    expect([asked, host.take().length]).toEqual([['u1'], 3])
    host.send([order(4, 'u1')])
    await host.settle()
    expect(asked).toEqual(['u1', 'u1'])
  })

  test('answers from the cache until the answer is too old', async () => {
    const { host, asked } = lookupHost({ cache: { capacity: 10, ttl: '1m' } })
    for (const wait of [0, 59_999, 1]) {
      host.advance(wait)
      host.send([order(1, 'u1'), order(2, 'nobody')])
      await host.settle()
    }
    expect(asked).toEqual(['u1', 'nobody', 'u1', 'nobody'])
    expect(host.take()).toHaveLength(6)
  })

  test('a failed call is not shared: each record asks for itself', async () => {
    const { host, asked } = lookupHost()
    host.send([order(1, 'broken'), order(2, 'broken')])
    await host.settle()
    expect([asked, host.errors.length]).toEqual([['broken', 'broken'], 2])
  })

  test('uses the key of the stream where `by` is not given, and refuses a stream without', () => {
    const graph = new Graph('test')
    const from = graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } })
    const spec = { name: 'names', fn: (key: string) => key }
    expect(() => asyncLookup(graph, { ...spec, input: edge(from) })).toThrow(/needs \{ by \}/)
    const host = openOperator(asyncLookup(graph, { ...spec, input: edge(from, 'key') }))
    host.send([[1, 'row', 'k']])
    return host.settle().then(() => expect(host.take().map((out) => out.row)).toEqual([{ left: 'row', right: 'k' }]))
  })
})

test('a cache drops the least recently used answer', () => {
  const cache = new LookupCache<string, number>(2, 100)
  cache.set('a', 1, 0)
  cache.set('b', 2, 0)
  cache.get('a', 50)
  cache.set('c', 3, 50)
  expect([cache.get('a', 60)?.value, cache.get('b', 60), cache.get('c', 60)?.value]).toEqual([1, undefined, 3])
  expect([cache.get('a', 100), cache.get('c', 149)?.value, cache.size]).toEqual([undefined, 3, 1])
})
