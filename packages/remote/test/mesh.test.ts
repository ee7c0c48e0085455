/** Gateways, nodes and clients on one NATS server: the real one, where it is installed. */
import type { ChildProcess } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ComputeNode, computeNode, connect, type Gateway, RemoteError, startGateway } from '../src/index.ts'
import { freePort, hasNats, startNats } from './nats-server.ts'

const functions = (id: string) => ({
  whoami: () => id,
  asleep: (seconds: number) => new Promise<string>((resolve) => setTimeout(() => resolve(id), seconds * 1000)),
  *gen(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
  size: (bytes: Uint8Array) => bytes.length,
})
type Functions = ReturnType<typeof functions>

async function eventually(what: () => Promise<void> | void, withinMs = 10_000): Promise<void> {
  const until = performance.now() + withinMs
  for (;;) {
    try {
      await what()
      return
    } catch (error) {
      if (performance.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

describe.skipIf(!hasNats)('gateways on a NATS server', () => {
  let port: number
  let server: ChildProcess
  let gateways: Gateway[]
  let nodes: ComputeNode[]

  beforeAll(async () => {
    port = await freePort()
    server = await startNats(port)
    const nats = { url: `nats://127.0.0.1:${port}` }
    gateways = [await startGateway({ port: 0, nats }), await startGateway({ port: 0, nats })]
    nodes = [
      computeNode({ gateway: gateways[0].url, id: 'n1' }).registerAll(functions('n1')),
      computeNode({ gateway: gateways[1].url, id: 'n2' }).registerAll(functions('n2')),
      computeNode({ gateway: nats.url, id: 'n3', tags: { gpu: true } }).registerAll(functions('n3')),
    ]
    for (const node of nodes) await node.start()
    await eventually(() => {
      for (const gateway of gateways) expect(gateway.nodes.map((node) => node.id)).toEqual(['n1', 'n2', 'n3'])
    })
  })

  afterAll(async () => {
    for (const part of [...nodes, ...gateways]) await part.close()
    server.kill()
  })

  const addresses = () => [gateways[0].url, gateways[1].url, `nats://127.0.0.1:${port}`]

  test('every client reaches every node, in equal shares, by tag and by name', async () => {
    for (const gateway of addresses()) {
      const client = await connect<Functions>({ gateway })
      const shares = new Map<string, number>()
      for (let i = 0; i < 30; i++) {
        const id = await client.with({ policy: 'round-robin' }).call.whoami()
        shares.set(id, (shares.get(id) ?? 0) + 1)
      }
      expect(Object.fromEntries(shares)).toEqual({ n1: 10, n2: 10, n3: 10 })
      expect(await client.with({ where: { gpu: true } }).call.whoami()).toBe('n3')
      expect(await client.with({ node: 'n2' }).call.whoami()).toBe('n2')
      await client.close()
    }
  })

  test('streams and large values cross two gateways whole', async () => {
    for (const gateway of addresses()) {
      const client = await connect<Functions>({ gateway })
      for (const node of ['n1', 'n2', 'n3']) {
        let next = 0
        for await (const item of client.with({ node }).stream.gen(5_000)) expect(item).toBe(next++)
        expect(next).toBe(5_000)
        expect(await client.with({ node }).call.size(new Uint8Array(3_000_000))).toBe(3_000_000)
      }
      await client.close()
    }
  })

  test('a node that leaves fails its calls at once, also behind another gateway, and is listed nowhere', async () => {
    const extra = computeNode({ gateway: gateways[0].url, id: 'n4' }).registerAll(functions('n4'))
    await extra.start()
    const client = await connect<Functions>({ gateway: gateways[1].url })
    await eventually(async () => expect((await client.nodes()).map((node) => node.id)).toContain('n4'))
    const call = client.with({ node: 'n4' }).call.asleep(600)
    const failed = call.catch((error: unknown) => error)
    await eventually(() => expect(extra.inFlight).toBe(1))
    await extra.close()
    expect(await failed).toBeInstanceOf(RemoteError)
    await eventually(async () => expect((await client.nodes()).map((node) => node.id)).not.toContain('n4'))
    await client.close()
  })

  test('when the NATS server comes back, gateways and nodes find each other again', async () => {
    server.kill('SIGKILL')
    const client = await connect<Functions>({ gateway: gateways[0].url })
    await eventually(async () => expect((await client.nodes()).map((node) => node.id)).toEqual(['n1']))
    expect(await client.call.whoami()).toBe('n1')
    server = await startNats(port)
    await eventually(
      async () => expect((await client.nodes()).map((node) => node.id)).toEqual(['n1', 'n2', 'n3']),
      20_000,
    )
    expect(await client.with({ node: 'n2' }).call.whoami()).toBe('n2')
    await client.close()
  }, 40_000)
})
