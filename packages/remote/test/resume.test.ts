/** Streams that may be resumed, over real sockets: gateways that restart, links that are cut, nodes that are lost. */
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Client, type ComputeNode, computeNode, connect, type Gateway, startGateway } from '../src/index.ts'

const SLACK = 5

const state = { produced: 0, closed: 0, begun: 0 }

const functions = {
  echo: (value: unknown) => value,
  async *count(n: number, everyMs: number) {
    state.begun++
    try {
      for (let i = 0; i < n; i++) {
        if (everyMs > 0) await sleep(everyMs)
        state.produced++
        yield i
      }
    } finally {
      state.closed++
    }
  },
}

let gateway: Gateway
let nodes: ComputeNode[]
let client: Client<typeof functions>
let cable: Cable

beforeEach(async () => {
  Object.assign(state, { produced: 0, closed: 0, begun: 0 })
  gateway = await startGateway({ port: 0 })
  cable = await Cable.open(gateway.port)
  nodes = []
  await startNode('n1', gateway.url)
  client = await connect<typeof functions>({ gateway: cable.url, resumable: true, reconnectWithin: '5s' })
})

afterEach(async () => {
  await client.close()
  await Promise.all(nodes.map((node) => node.close()))
  await gateway.close()
  cable.close()
})

async function startNode(id: string, url: string, holdMs?: number): Promise<ComputeNode> {
  const node = computeNode({ gateway: url, id, ...(holdMs === undefined ? {} : { holdMs }) }).registerAll(functions)
  await node.start()
  nodes.push(node)
  return node
}

/** Stands between a peer and the gateway, and can be cut. */
class Cable {
  readonly url: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.url = `ws://127.0.0.1:${port}`
  }

  static async open(target: number): Promise<Cable> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const cable = new Cable(server, (server.address() as { port: number }).port)
    server.on('connection', (near) => {
      const far = connectTcp(target, '127.0.0.1')
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        cable.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          cable.#sockets.delete(socket)
          other.destroy()
        })
        socket.pipe(other)
      }
    })
    return cable
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

describe('a stream that may be resumed', () => {
  test('has every item once when the link of its client is cut again and again', async () => {
    const items: number[] = []
    for await (const item of client.stream.count(2_000, 0)) {
      items.push(item)
      if (item % 400 === 123) cable.cut()
    }
    expect(items).toEqual(Array.from({ length: 2_000 }, (_, i) => i))
    expect(state).toMatchObject({ begun: 1, produced: 2_000, closed: 1 })
    expect(gateway.stats.resumed).toBeGreaterThanOrEqual(4)
    await until(() => gateway.stats.heldStreams === 0 && nodes[0].heldStreams === 0)
  })

  test('goes on after the gateway was restarted, from what the node says it holds', async () => {
    const items: number[] = []
    for await (const item of client.stream.count(300, 1)) {
      items.push(item)
      if (item !== 100) continue
      const { port } = gateway
      await gateway.close()
      gateway = await startGateway({ port })
    }
    expect(items).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(state.begun).toBe(1)
  }, 60_000)

  test('goes on after the link of its node was cut', async () => {
    const own = await Cable.open(gateway.port)
    await startNode('n2', own.url)
    const items: number[] = []
    for await (const item of client.with({ node: 'n2', resumable: true }).stream.count(300, 1)) {
      items.push(item)
      if (item === 100) own.cut()
    }
    expect(items).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(state.begun).toBe(1)
    own.close()
  }, 60_000)

  test('does not run ahead while its consumer is away', async () => {
    const stream = client.stream.count(100_000, 0)
    for (let i = 0; i < 10; i++) await stream.next()
    cable.close()
    await until(() => nodes[0].heldStreams === 1)
    const { produced } = state
    expect(produced).toBeLessThanOrEqual(10 + 256)
    await sleep(200)
    expect(state.produced).toBe(produced)
  })

  test('runs its finally at once when it is left after it was resumed', async () => {
    for await (const item of client.stream.count(100_000, 0)) {
      if (item === 50) cable.cut()
      if (item === 500) break
    }
    const from = performance.now()
    await until(() => state.closed === 1)
    expect(performance.now() - from).toBeLessThan(250 * SLACK)
    await until(() => nodes[0].heldStreams === 0 && gateway.stats.heldStreams === 0)
  })

  test('is lost, with STREAM_LOST, when another node takes the place of its own', async () => {
    await startNode('n2', gateway.url, 500)
    const items: number[] = []
    const read = (async () => {
      for await (const item of client.with({ node: 'n2', resumable: true }).stream.count(100_000, 1)) {
        items.push(item)
        if (item === 20) await startNode('n2', gateway.url)
      }
    })()
    const from = performance.now()
    expect(await read.catch((thrown: unknown) => thrown)).toMatchObject({ code: 'STREAM_LOST', retryable: false })
    expect(performance.now() - from).toBeLessThan(1_000 * SLACK)
    expect(items).toEqual(Array.from({ length: items.length }, (_, i) => i))
    expect(state.begun).toBe(1)
    // The node that is out gives it up.
    await until(() => state.closed === 1)
  }, 60_000)

  test('is given up when nobody comes back in time: its finally runs', async () => {
    await startNode('n2', gateway.url, 200)
    const stream = client.with({ node: 'n2', resumable: true }).stream.count(100_000, 0)
    await stream.next()
    cable.close()
    await until(() => nodes[1].heldStreams === 1)
    await until(() => state.closed === 1)
    await until(() => gateway.stats.heldStreams === 0 && nodes[1].heldStreams === 0)
  })
})

test('a call is not sent again because its client asks for resumable streams', async () => {
  let begun = 0
  const node = computeNode({ gateway: gateway.url, id: 'n3' })
  node.register('slow', async () => {
    begun++
    await sleep(300)
    return begun
  })
  await node.start()
  nodes.push(node)
  const { slow } = client.call as unknown as { slow(): Promise<number> }
  const failed = slow().catch((error: { code: string }) => error.code)
  await until(() => begun === 1)
  cable.cut()
  expect(await failed).toBe('CONNECTION_LOST')
  await sleep(500)
  expect(begun).toBe(1)
})

async function until(isTrue: () => boolean, withinMs = 3_000 * SLACK): Promise<void> {
  for (const from = performance.now(); !isTrue(); await sleep(5)) {
    if (performance.now() - from > withinMs) throw new Error(`not within ${withinMs} ms: ${String(isTrue)}`)
  }
}
