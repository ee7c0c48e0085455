/** Calls that go to more than one node. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type CallContext,
  type Client,
  type ComputeNode,
  computeNode,
  connect,
  type Gateway,
  startGateway,
} from '../src/index.ts'

const aborted: string[] = []

const functions = (id: string, ms: number) => ({
  whoami: () => id,
  async slowly(_: number, ctx: CallContext) {
    ctx.signal.addEventListener(
      'abort',
      () => (ctx.signal.reason as Error).message.includes('caller') && aborted.push(id),
    )
    await sleep(ms)
    return id
  },
  unlessTwo() {
    if (id === 'n2') throw new Error('not me')
    return id
  },
  fails() {
    throw new Error(`${id} fails`)
  },
})

let gateway: Gateway
let nodes: ComputeNode[]
let client: Client<ReturnType<typeof functions>>

beforeAll(async () => {
  gateway = await startGateway({ port: 0 })
  nodes = ['n1', 'n2', 'n3'].map((id, i) =>
    computeNode({ gateway: gateway.url, id, tags: { gpu: i > 0 } }).registerAll(functions(id, i === 0 ? 20 : 5_000)),
  )
  for (const node of nodes) await node.start()
  client = await connect({ gateway: gateway.url })
})

afterAll(async () => {
  await client.close()
  for (const node of nodes) await node.close()
  await gateway.close()
})

describe('a broadcast', () => {
  test('gives every answer with its node, errors too', async () => {
    const answers = await client.broadcast.unlessTwo()
    expect(answers.map(({ node, value, error }) => [node, value ?? error?.code])).toEqual([
      ['n1', 'n1'],
      ['n2', 'USER_ERROR'],
      ['n3', 'n3'],
    ])
  })

  test('goes to the nodes with the tags asked for', async () => {
    const answers = await client.with({ where: { gpu: true } }).broadcast.whoami()
    expect(answers.map(({ node }) => node)).toEqual(['n2', 'n3'])
  })

  test('that no node can take fails as a call does', async () => {
    const nobody = client.with({ where: { zone: 'b' } }).broadcast.whoami()
    await expect(nobody).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const unknown = client as unknown as Client<{ nope: () => void }>
    await expect(unknown.broadcast.nope()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('a race', () => {
  test('takes the first value and cancels the other call', async () => {
    const before = performance.now()
    expect(await client.race.slowly(1)).toBe('n1')
    expect(performance.now() - before).toBeLessThan(2_500)
    for (let i = 0; i < 100 && aborted.length === 0; i++) await sleep(20)
    expect(aborted).toHaveLength(1)
    expect(aborted[0]).not.toBe('n1')
  })

  test('fails when all fail, with the first error', async () => {
    await expect(client.race.fails()).rejects.toMatchObject({
      code: 'USER_ERROR',
      message: expect.stringContaining('fails'),
    })
  })

  test('is refused for a stream among the arguments', async () => {
    const takes = client as unknown as Client<{ whoami: (items: AsyncIterable<number>) => string }>
    const items = (async function* () {
      yield 1
    })()
    await expect(takes.race.whoami(items)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})
