/** Contracts over real sockets: who checks what, and what they tell. */
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  type CallContext,
  type Client,
  type ComputeNode,
  computeNode,
  connect,
  defineContract,
  type Gateway,
  RemoteError,
  type SchemaOf,
  startGateway,
  streamOf,
} from '../index.ts'

const contract = defineContract({
  add: { input: [z.number(), z.number()], output: z.number(), description: 'The sum of two numbers.' },
  greet: { input: [z.string(), z.string().optional()], output: z.string() },
  readings: { input: z.object({ sensor: z.string(), rate: z.number().int().default(10) }), item: z.number().max(12) },
  parsed: { input: z.string().transform((text) => text.length), output: z.number().transform((n) => `${n} letters`) },
  sum: { input: [streamOf(z.number()), z.number()], output: z.number() },
  wrong: { output: z.number() },
  unusual: { input: v.pipe(v.string(), v.minLength(3)), output: v.string() },
})

let ran = 0
const implementation = {
  add: (a: number, b: number, ctx: CallContext) => {
    ran++
    return ctx.function === 'add' ? a + b : -1
  },
  greet: (name: string, word = 'Hello') => `${word} ${name}`,
  readings: async function* ({ rate }: { rate: number }) {
    yield rate
    yield rate + 1
    yield rate + 2
    yield rate + 3
  },
  parsed: (length: number) => length,
  sum: async (numbers: AsyncIterable<number>, factor: number) => {
    let sum = 0
    for await (const n of numbers) sum += n * factor
    return sum
  },
  wrong: () => 'text' as unknown as number,
  unusual: (text: string) => text,
}

let gateway: Gateway
let checking: Gateway
let nodes: ComputeNode[]
/** Neither it nor its gateway has the contract. */
let plain: Client<typeof contract>
/** Its gateway has the contract. */
let edge: Client<typeof contract>
/** It has the contract itself. */
let careful: Client<typeof contract>

beforeAll(async () => {
  gateway = await startGateway({ port: 0 })
  checking = await startGateway({ port: 0, contracts: [contract] })
  nodes = [gateway, checking].map(({ url }, i) =>
    computeNode({ gateway: url, id: `n${i}` }).implement(contract, implementation),
  )
  // What a node says of the other gateway's functions does not matter: this one has not heard of the contract.
  nodes[1].register('free', (text: unknown) => text)
  for (const node of nodes) await node.start()
  plain = await connect<typeof contract>({ gateway: gateway.url })
  edge = await connect<typeof contract>({ gateway: checking.url })
  careful = await connect({ gateway: gateway.url, contract })
})

afterAll(async () => {
  for (const client of [plain, edge, careful]) await client?.close()
  for (const node of nodes ?? []) await node.close()
  await gateway?.close()
  await checking?.close()
})

async function failure(promise: Promise<unknown>): Promise<RemoteError> {
  const error = await promise.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RemoteError)
  return error as RemoteError
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function* oneTwo(last: unknown = 3): AsyncGenerator<number> {
  yield 1
  yield 2
  yield last as number
}

describe('a node with a contract', () => {
  test('gives functions what the schemas make of the arguments, then the context', async () => {
    expect(await plain.call.add(1, 2)).toBe(3)
    expect(await plain.call.greet('Ada')).toBe('Hello Ada')
    expect(await plain.call.greet('Ada', 'Good day')).toBe('Good day Ada')
    expect(await plain.call.parsed('four')).toBe('4 letters')
    expect(await plain.call.unusual('valibot')).toBe('valibot')
  })

  test('refuses what does not fit, by the path in the list, or in the one argument', async () => {
    const inList = await failure(plain.call.add(1, '2' as unknown as number))
    expect(inList).toMatchObject({ code: 'INVALID_ARGUMENT', node: 'n0', data: { issues: [{ path: '1' }] } })
    const inside = await failure(plain.stream.readings({ sensor: 5 } as never).next())
    expect(inside).toMatchObject({ code: 'INVALID_ARGUMENT', data: { issues: [{ path: 'sensor' }] } })
    expect(await failure(plain.call.unusual('no'))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('refuses more arguments than there are, and none where one is needed', async () => {
    const call = plain.call as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    expect((await failure(call.add(1, 2, 3))).message).toContain('it takes 2 arguments, 3 are given')
    expect(await failure(call.add())).toMatchObject({
      code: 'INVALID_ARGUMENT',
      data: { issues: [{ path: '0' }, { path: '1' }] },
    })
  })

  test('holds each item of a stream against the schema, and ends at the first that does not fit', async () => {
    const items: number[] = []
    const error = await failure(
      (async () => {
        for await (const item of plain.stream.readings({ sensor: 'a' })) items.push(item)
      })(),
    )
    expect(items).toEqual([10, 11, 12])
    expect(error).toMatchObject({ code: 'INTERNAL', node: 'n0' })
    expect((error.cause as Error).message).toContain('readings')
  })

  test('holds items of a stream among the arguments against their schema', async () => {
    expect(await plain.call.sum(oneTwo(), 2)).toBe(12)
    expect((await failure(plain.call.sum(oneTwo('three'), 2))).message).toContain('item 2 of a stream')
  })

  test('does not give a result that the contract refuses', async () => {
    expect(await failure(plain.call.wrong() as Promise<unknown>)).toMatchObject({ code: 'INTERNAL' })
  })

  test('offers JSON Schemas of the arguments and of the result or item', async () => {
    const functions = new Map((await plain.functions()).map((fn) => [fn.name, fn]))
    expect(functions.get('add')).toMatchObject({
      kind: 'call',
      description: 'The sum of two numbers.',
      input: { type: 'array', prefixItems: [{ type: 'number' }, { type: 'number' }], minItems: 2, maxItems: 2 },
      output: { type: 'number' },
    })
    expect(functions.get('greet')?.input).toMatchObject({ minItems: 1, maxItems: 2 })
    expect(functions.get('readings')).toMatchObject({
      kind: 'stream',
      input: { prefixItems: [{ type: 'object', required: ['sensor'], properties: { sensor: { type: 'string' } } }] },
    })
    expect(functions.get('sum')?.input).toMatchObject({
      prefixItems: [{ type: 'array', items: { type: 'number' } }, {}],
    })
    expect(JSON.stringify(functions.get('add'))).not.toContain('$schema')
    // valibot gives none by itself.
    expect(functions.get('unusual')?.input).toBeUndefined()
  })
})

describe('a gateway with a contract', () => {
  test('refuses what does not fit before a node sees it', async () => {
    const before = ran
    const error = await failure(edge.call.add(1, '2' as unknown as number))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', function: 'add', data: { issues: [{ path: '1' }] } })
    expect(error.node).toBeUndefined()
    expect(ran).toBe(before)
    expect(checking.nodes[0].calls).toBe(0)
  })

  test('passes on what fits, as it came, streams too', async () => {
    expect(await edge.call.add(1, 2)).toBe(3)
    expect(await edge.call.parsed('four')).toBe('4 letters')
    expect(await edge.call.sum(oneTwo(), 2)).toBe(12)
    const notAStream = edge.call.sum as unknown as (list: number[], factor: number) => Promise<number>
    expect((await failure(notAStream([1, 2], 2))).message).toContain('expected a stream')
  })

  test('leaves functions of no contract alone', async () => {
    const { free } = edge.call as unknown as { free(value: unknown): Promise<unknown> }
    expect(await free({ any: ['thing', new Date(0)] })).toEqual({ any: ['thing', new Date(0)] })
  })

  test('leaves arguments in many pieces to the node', async () => {
    const long = 'x'.repeat(200_000)
    expect(await edge.call.greet(long, 'Hello')).toBe(`Hello ${long}`)
    const error = await failure(edge.call.greet(long, 5 as unknown as string))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', node: 'n1' })
  })
})

describe('a client with a contract', () => {
  test('refuses what does not fit before it is sent', async () => {
    const { opened } = gateway.stats
    const error = await failure(careful.call.add(1, '2' as unknown as number))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', data: { issues: [{ path: '1' }] } })
    expect(await failure(careful.stream.readings({} as never).next())).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(gateway.stats.opened).toBe(opened)
  })

  test('sends arguments as they are: a transform runs once, on the node', async () => {
    expect(await careful.call.parsed('four')).toBe('4 letters')
    expect(await collect(careful.stream.readings({ sensor: 'a', rate: 1 }))).toEqual([1, 2, 3, 4])
    expect(await careful.call.sum(oneTwo(), 1)).toBe(6)
    expect(await careful.call.sum(ReadableStream.from(oneTwo()), 1)).toBe(6)
  })
})

describe('defining a contract', () => {
  test.each([
    [{ '-bad': {} }, 'is no name'],
    [{ both: { output: z.number(), item: z.number() } }, 'both `output` and `item`'],
    [{ none: { input: [z.number(), 'number' as unknown as SchemaOf] } }, 'no Standard Schema as `input[1]`'],
  ])('refuses %o', (spec, message) => {
    expect(() => defineContract(spec as never)).toThrow(message)
  })

  test('takes JSON Schemas from the user where the library gives none', () => {
    const jsonSchema = (): Record<string, unknown> => ({ type: 'string', minLength: 3 })
    const { functions } = defineContract({ unusual: { input: v.string() } }, { jsonSchema })
    expect(functions.get('unusual')?.inputJson).toMatchObject({ prefixItems: [{ type: 'string', minLength: 3 }] })
  })

  test('does without a JSON Schema where there can be none', () => {
    const { functions } = defineContract({ when: { input: z.date(), output: z.date() } })
    expect(functions.get('when')).toMatchObject({ inputJson: undefined, outputJson: undefined })
  })

  test('two contracts of a gateway may not have functions of one name', async () => {
    await expect(startGateway({ port: 0, contracts: [contract, contract] })).rejects.toMatchObject({
      code: 'REMOTE_CONTRACT',
    })
  })

  test('a node must implement all of it', () => {
    const node = computeNode({ gateway: 'ws://127.0.0.1:1', id: 'n' })
    expect(() => node.implement(contract, { ...implementation, add: undefined } as never)).toThrow(
      'the contract has a function "add"',
    )
  })
})
