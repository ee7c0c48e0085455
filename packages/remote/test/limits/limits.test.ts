/** Limits of a gateway over real sockets: floods, idle crowds, slow handshakes, large payloads, nodes that ignore credit. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, type ComputeNode, computeNode, connect, type Gateway, startGateway } from '../../src/index.ts'
import type { Link } from '../../src/link/link.ts'
import { connectWebSocket } from '../../src/link/websocket.ts'
import { encode, encodeJson } from '../../src/protocol/codec.ts'
import { FLAG_MORE, FRAME, type Frame, FrameWriter, parseFrames } from '../../src/protocol/frame.ts'
import { openBody } from '../../src/protocol/open-body.ts'
import { heapBytes } from '../fuzz/heap.ts'

const SLACK = 5
const MIB = 1024 * 1024
const PAYLOAD_MAX = 1 * MIB
const isFull = process.env.MILLRACE_CASES !== undefined

const functions = {
  echo: (value: unknown) => value,
  size: (bytes: Uint8Array) => bytes.length,
  large: (length: number) => new Uint8Array(length),
  never: () => new Promise<void>(() => {}),
}

let gateway: Gateway
let node: ComputeNode
let client: Client<typeof functions>

beforeAll(async () => {
  gateway = await startGateway({
    ...{ port: 0, payloadBytesMax: PAYLOAD_MAX, callsPerClientMax: 100, connectionsMax: 11_000 },
  })
  node = computeNode({ gateway: gateway.url, id: 'n1' })
  for (const [name, fn] of Object.entries(functions)) node.register(name, fn, { concurrency: 20, queueMax: 10 })
  await node.start()
  client = await connect<typeof functions>({ gateway: gateway.url })
})

afterAll(async () => {
  await client?.close()
  await node?.close()
  await gateway?.close()
})

/** A peer that says what it likes. */
class RawPeer {
  readonly frames: Frame[] = []
  closed: number | undefined
  readonly link: Link

  private constructor(link: Link) {
    this.link = link
    link.start({
      onMessage: (message) => {
        for (const frame of parseFrames(message)) this.frames.push({ ...frame, body: frame.body.slice() })
      },
      onClose: ({ code }) => {
        this.closed = code
      },
    })
  }

  static async open(hello: object): Promise<RawPeer> {
    const peer = new RawPeer(await connectWebSocket(gateway.url))
    peer.send(FRAME.HELLO, 0, encodeJson({ version: 1, ...hello }))
    await until(() => peer.frames.some(({ type }) => type === FRAME.WELCOME))
    return peer
  }

  send(type: (typeof FRAME)[keyof typeof FRAME], call: number, body?: Uint8Array, count = 0, flags = 0): void {
    const writer = new FrameWriter()
    writer.write(type, call, 0, count, flags, body ?? new Uint8Array(0))
    this.link.send(writer.take())
  }

  errorOf(call: number): { code: string; data?: Record<string, unknown> } | undefined {
    const frame = this.frames.find((each) => each.call === call && each.type === FRAME.ERROR)
    return frame === undefined ? undefined : JSON.parse(Buffer.from(frame.body).toString())
  }
}

describe('payloads above the limit', () => {
  test.each([
    ['an argument', () => client.call.size(new Uint8Array(2 * PAYLOAD_MAX))],
    ['a result', () => client.call.large(2 * PAYLOAD_MAX)],
  ])('fail with both sizes and leave the connection usable: %s', async (_, call) => {
    const error = await call().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', data: { bytesMax: PAYLOAD_MAX } })
    expect((error as { data: { bytes: number } }).data.bytes).toBeGreaterThanOrEqual(2 * PAYLOAD_MAX)
    const from = performance.now()
    expect(await client.call.echo(1)).toBe(1)
    expect(performance.now() - from).toBeLessThan(50 * SLACK)
    expect(gateway.stats.clients).toBe(1)
  })

  test('are cut at the gateway when a client does not keep to it', async () => {
    const peer = await RawPeer.open({ role: 'client' })
    const header = { fn: 'size', mode: 'call' as const, credit: { items: 1, bytes: 1000 } }
    const piece = new Uint8Array(60_000)
    peer.send(FRAME.OPEN, 1, openBody(header, piece), 0, FLAG_MORE)
    for (let i = 0; i < 20 && peer.errorOf(1) === undefined; i++) {
      peer.send(FRAME.PART, 1, piece, 0, FLAG_MORE)
      await sleep(5)
    }
    await until(() => peer.errorOf(1) !== undefined)
    expect(peer.errorOf(1)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', data: { bytesMax: PAYLOAD_MAX } })
    peer.send(FRAME.OPEN, 2, openBody({ ...header, fn: 'echo' }, encode([7])))
    await until(() => peer.frames.some((frame) => frame.call === 2 && frame.type === FRAME.RESULT))
    peer.link.destroy()
  })
})

test('a client that floods its gateway with calls is told to wait, and others are served', async () => {
  const calls = Array.from({ length: 3_000 }, () => client.call.never())
  const failures: { code: string; data: unknown }[] = []
  for (const call of calls) call.catch((error: { code: string; data: unknown }) => failures.push(error))
  await until(() => failures.length >= 2_970)
  expect(new Set(failures.map(({ code }) => code))).toEqual(new Set(['RESOURCE_EXHAUSTED']))
  expect(failures[0].data).toHaveProperty('retryAfterMs')
  const other = await connect<typeof functions>({ gateway: gateway.url })
  expect(await other.call.echo(2)).toBe(2)
  await other.close()
  // The 30 that run and wait end with their client.
  await client.close()
  await until(() => gateway.stats.inFlight === 0 && node.inFlight === 0)
  client = await connect<typeof functions>({ gateway: gateway.url })
}, 60_000)

test('calls that are opened and cancelled do not run more of a function at once than may', async () => {
  let running = 0
  let most = 0
  const stubborn = computeNode({ gateway: gateway.url, id: 'stubborn' })
  stubborn.register(
    'ignores',
    async () => {
      most = Math.max(most, ++running)
      await sleep(100)
      running--
    },
    { concurrency: 2 },
  )
  await stubborn.start()
  for (let i = 0; i < 30; i++) {
    const cancel = new AbortController()
    const { ignores } = client.with({ signal: cancel.signal }).call as unknown as { ignores(): Promise<void> }
    const call = ignores().catch(() => {})
    await sleep(2)
    cancel.abort()
    await call
  }
  expect(most).toBe(2)
  await until(() => running === 0 && stubborn.inFlight === 0)
  await stubborn.close()
})

test('a node that sends more than was granted fails its own call only', async () => {
  const peer = await RawPeer.open({
    role: 'node',
    id: 'greedy',
    offer: { functions: [{ name: 'flood', kind: 'stream' }] },
  })
  const { flood } = client.stream as unknown as { flood(): AsyncIterable<number> }
  const failed = (async () => {
    for await (const _ of flood()) {
    }
  })().catch((error: { code: string }) => error.code)
  await until(() => peer.frames.some(({ type }) => type === FRAME.OPEN))
  const { call } = peer.frames.find(({ type }) => type === FRAME.OPEN) as Frame
  const body = encode(Array.from({ length: 200 }, (_, i) => i))
  for (let i = 0; i < 50; i++) peer.send(FRAME.ITEMS, call, body, 200)
  expect(await failed).toBe('PROTOCOL_ERROR')
  await until(() => peer.frames.some(({ type }) => type === FRAME.CANCEL))
  expect(await client.call.echo(3)).toBe(3)
  peer.link.destroy()
})

test('slow and broken handshakes are cut off within seconds, while calls go on', async () => {
  const opened = performance.now()
  const sockets = await Promise.all(
    Array.from({ length: 60 }, async (_, i): Promise<Socket> => {
      const socket = connectTcp(gateway.port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      if (i % 3 === 1) socket.write('GET / HTTP/1.1\r\nHost: x\r\nUpgr')
      if (i % 3 === 2) socket.write(Buffer.alloc(1024, 0xee))
      return socket
    }),
  )
  expect(await client.call.echo(4)).toBe(4)
  await Promise.all(sockets.map((socket) => (socket.closed ? undefined : once(socket.resume(), 'close'))))
  expect(performance.now() - opened).toBeLessThan(7_000 * SLACK)
  expect(await client.call.echo(5)).toBe(5)
}, 60_000)

test(`${isFull ? '10,000' : '500'} idle connections cost little, and calls go on beside them`, async () => {
  const count = isFull ? 10_000 : 500
  const before = heapBytes()
  // Their other ends live in another process, which has descriptors of its own.
  const crowd = fork(new URL('crowd.ts', import.meta.url), [gateway.url, String(count)], {
    execArgv: ['--conditions=millrace-source'],
  })
  expect(await once(crowd, 'message')).toEqual(['ready', undefined])
  expect(gateway.stats.clients).toBe(count + 1)
  expect((heapBytes() - before) / count).toBeLessThan(100 * 1024)
  const from = performance.now()
  for (let i = 0; i < 100; i++) expect(await client.call.echo(i)).toBe(i)
  expect((performance.now() - from) / 100).toBeLessThan(50 * SLACK)
  crowd.send('go')
  await until(() => gateway.stats.clients === 1)
}, 300_000)

test('a gateway closes within seconds although a peer answers nothing', async () => {
  const own = await startGateway({ port: 0 })
  const link = await connectWebSocket(own.url)
  // It is not read, so that it never hears of the close.
  const from = performance.now()
  await own.close()
  expect(performance.now() - from).toBeLessThan(2_000 * SLACK)
  link.destroy()
})

test('metrics name connections, calls by outcome, bytes and buffers', async () => {
  const value = (name: string, labels: Readonly<Record<string, string>> = {}): number | undefined =>
    gateway.metrics
      .find((family) => family.name === `millrace_gateway_${name}`)
      ?.samples.find((sample) => Object.entries(labels).every(([key, of]) => sample.labels[key] === of))?.value
  expect(value('connections', { role: 'client' })).toBe(1)
  expect(value('connections', { role: 'node' })).toBe(1)
  expect(value('calls_in_flight')).toBe(0)
  expect(value('calls_total', { outcome: 'failed' })).toBeGreaterThan(0)
  expect(value('calls_total', { outcome: 'finished' })).toBeGreaterThan(100)
  expect(value('link_bytes_total', { direction: 'in' })).toBeGreaterThan(PAYLOAD_MAX)
  expect(value('buffered_bytes_max')).toBe(0)
})

async function until(isTrue: () => boolean, withinMs = 10_000 * SLACK): Promise<void> {
  for (const from = performance.now(); !isTrue(); await sleep(5)) {
    if (performance.now() - from > withinMs) throw new Error(`not within ${withinMs} ms: ${String(isTrue)}`)
  }
}
