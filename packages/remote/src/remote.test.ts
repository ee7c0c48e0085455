/** Gateway, node and client in one process, over real sockets. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Client,
  type ComputeNode,
  callContext,
  computeNode,
  connect,
  type Gateway,
  RemoteError,
  startGateway,
} from './index.ts'

const functions = {
  echo: (value: unknown) => value,
  id: () => callContext()?.id,
  add: async (a: number, b = 2) => a + b,
  *gen(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
  async *agen(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
  boom() {
    throw new TypeError('boom from node', { cause: new Error('deeper') })
  },
  async *agenBoom(n: number) {
    for (let i = 0; i < n; i++) yield i
    throw new Error('boom from node')
  },
  async sum(numbers: AsyncIterable<number>) {
    let sum = 0
    for await (const n of numbers) sum += n
    return sum
  },
  async *doubled(numbers: AsyncIterable<number>) {
    for await (const n of numbers) yield n * 2
  },
}

let gateway: Gateway
let node: ComputeNode
let client: Client<typeof functions>

beforeAll(async () => {
  gateway = await startGateway({ port: 0 })
  node = computeNode({ gateway: gateway.url, id: 'n1' }).registerAll(functions)
  await node.start()
  client = await connect<typeof functions>({ gateway: gateway.url })
})

afterAll(async () => {
  await client?.close()
  await node?.close()
  await gateway?.close()
})

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function failure(promise: Promise<unknown>): Promise<RemoteError> {
  const error = await promise.then(
    (value) => new Error(`it gave ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RemoteError)
  return error as RemoteError
}

describe('a call', () => {
  test('gives the value of the function, whatever kind it is', async () => {
    expect(await client.call.add(1)).toBe(3)
    expect(await client.call.add(1, 5)).toBe(6)
    expect(await client.call.gen(3)).toEqual([0, 1, 2])
    expect(await client.call.agen(0)).toEqual([])
  })

  test('keeps values that JSON would lose', async () => {
    const value = {
      u: undefined,
      n: [null, Number.NaN, -0, 2n ** 70n],
      d: new Date(5),
      m: new Map([[{ a: 1 }, new Set([1])]]),
      b: new Uint8Array([1, 2, 255]),
      f: new Float64Array([0.5, 1e300]),
      $: { $: 'bigint', v: 'no tag' },
    }
    expect(await client.call.echo(value)).toEqual(value)
  })

  test('leaves prototypes alone when a key is called __proto__', async () => {
    const evil = JSON.parse('{"__proto__": {"polluted": true}, "d": 1}') as object
    const back = (await client.call.echo({ evil, when: new Date(0) })) as { evil: object }
    expect(Object.keys(back.evil)).toEqual(['__proto__', 'd'])
    expect(Object.getPrototypeOf(back.evil)).toBe(Object.prototype)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  test('carries 8 MiB both ways', async () => {
    const bytes = new Uint8Array(8 * 1024 * 1024).map((_, i) => i % 251)
    expect(Buffer.compare((await client.call.echo(bytes)) as Uint8Array, bytes)).toBe(0)
  })

  test('fails with what the function threw: class, message, cause, stack and node', async () => {
    const error = await failure(client.call.boom())
    expect(error).toMatchObject({ code: 'USER_ERROR', remoteName: 'TypeError', message: 'boom from node', node: 'n1' })
    expect((error.cause as RemoteError).message).toBe('deeper')
    expect(error.remoteStack).toContain('remote.test.ts')
  })

  test('of a function that nobody offers fails with names that are near', async () => {
    const error = await failure((client.call as unknown as { ech(): Promise<void> }).ech())
    expect(error).toMatchObject({ code: 'NOT_FOUND', data: { function: 'ech', near: ['echo'] } })
  })

  test('refuses what cannot be sent, by its path', async () => {
    const error = await failure(client.call.echo({ a: { b: () => 1 } }))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', data: { path: '[0].a.b' } })
  })
})

describe('a stream', () => {
  test('gives every item in order, from either kind of generator', async () => {
    for (const name of ['gen', 'agen'] as const) {
      const items = await collect(client.stream[name](10_000))
      expect(items).toEqual(Array.from({ length: 10_000 }, (_, i) => i))
    }
  })

  test('gives its items before the error that ends it', async () => {
    const items: number[] = []
    const error = await failure(
      (async () => {
        for await (const item of client.stream.agenBoom(3)) items.push(item)
      })(),
    )
    expect(items).toEqual([0, 1, 2])
    expect(error).toMatchObject({ code: 'USER_ERROR', message: 'boom from node' })
  })

  test('may be an argument, and come back changed', async () => {
    expect(await client.call.sum(functions.agen(1000))).toBe(499_500)
    expect(await collect(client.stream.doubled(functions.agen(1000)))).toEqual(
      Array.from({ length: 1000 }, (_, i) => i * 2),
    )
  })
})

test('the id of a call is its own', async () => {
  const ids = await Promise.all(Array.from({ length: 100 }, () => client.call.id()))
  const another = await connect<typeof functions>({ gateway: gateway.url })
  ids.push(await another.call.id(), ...(await collect(another.stream.id())))
  await another.close()
  expect(new Set(ids).size).toBe(102)
  expect(await client.with({ id: 'order-7' }).call.id()).toBe('order-7')
})

test('nothing is left open at the gateway', () => {
  expect(gateway.stats.inFlight).toBe(0)
  expect(gateway.nodes[0].inFlight).toBe(0)
})
