/** A file served from threads: who shares variables, back-pressure and cancellation across threads, limits. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Client,
  type ComputeNode,
  computeNode,
  connect,
  type Gateway,
  serveFile,
  startGateway,
} from '@millrace/remote'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type functions from './thread-functions.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'millrace-threads-'))
const file = new URL('./thread-functions.ts', import.meta.url)
let gateway: Gateway
let node: ComputeNode
let client: Client<typeof functions>

beforeAll(async () => {
  gateway = await startGateway({ port: 0 })
  node = computeNode({ gateway: gateway.url, id: 'n1', alive: false })
  const served = await serveFile(node, file, { threads: 2 })
  expect(served.threaded).toEqual(['apart', 'cpuThread', 'spin', 'one', 'noted'])
  await node.start()
  client = await connect<typeof functions>({ gateway: gateway.url })
})

afterAll(async () => {
  await client?.close()
  await node?.close()
  await gateway?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

test('functions of a file share its variables; those of the pool have their own', async () => {
  expect(await collect(client.stream.counting(5))).toEqual([1, 2, 3, 4, 5])
  expect(await client.call.counted()).toBe(5)
  expect(await client.call.together()).toEqual([5])
  const [count, thread] = await client.call.apart()
  expect(count).toBe(0)
  const shared = await client.call.thread()
  expect(thread).not.toBe(shared)
  expect(await client.call.cpuThread()).not.toBe(shared)
  expect(shared).not.toBe(0)
})

test('what a file says of its functions is offered, and the pool runs as many plain calls as it has threads', async () => {
  const offered = new Map((await client.functions()).map((each) => [each.name, each]))
  expect(offered.get('one')).toMatchObject({ concurrency: 1, description: 'one at a time', kind: 'call' })
  expect(offered.get('spin')).toMatchObject({ concurrency: 2 })
  expect(offered.get('noted')).toMatchObject({ kind: 'stream' })
})

test('plain calls of the pool run at once in different threads; a limit of one is kept over all of them', async () => {
  const begin = performance.now()
  const threads = await Promise.all([client.call.spin(300), client.call.spin(300)])
  expect(new Set(threads).size).toBe(2)
  const after = performance.now()
  await Promise.all([client.call.one(200), client.call.one(200), client.call.one(200)])
  expect(performance.now() - after).toBeGreaterThan(590)
  expect(after - begin).toBeGreaterThan(290)
})

test('calls that compute hold up neither the others nor the link', async () => {
  const spinning = Promise.all([client.call.spin(500), client.call.spin(500)])
  const begin = performance.now()
  expect(await client.call.counted()).toBe(5)
  expect(performance.now() - begin).toBeLessThan(50 * 5)
  await spinning
})

test('a generator in a thread stops within the window when nobody reads, and its finally runs when it is left', async () => {
  const noted = path.join(folder, 'noted')
  const stream = client.stream.noted(noted)
  for (let i = 0; i < 10; i++) expect((await stream.next()).value).toBe(i)
  await sleep(300)
  const made = readFileSync(noted, 'utf8').length
  expect(made).toBeLessThanOrEqual(10 + 256)
  await sleep(200)
  expect(readFileSync(noted, 'utf8').length).toBe(made)
  await stream.cancel()
  for (const end = performance.now() + 250 * 5; !readFileSync(noted, 'utf8').endsWith('F'); await sleep(10)) {
    expect(performance.now()).toBeLessThan(end)
  }
})

test('the context of a call is that of the node, and large arguments arrive whole', async () => {
  expect(await client.call.whereAmI(null)).toEqual(['n1', 'whereAmI'])
  expect(await client.call.big(new Uint8Array(5_000_000))).toBe(5_000_000)
})

test('a stream of a thread goes on where it was after its gateway was away', async () => {
  const { port } = gateway
  const items: number[] = []
  for await (const item of client.with({ resumable: true }).stream.ticks(40)) {
    items.push(item)
    if (item !== 10) continue
    await gateway.close()
    gateway = await startGateway({ port })
  }
  expect(items).toEqual(Array.from({ length: 40 }, (_, i) => i))
})

test('nothing is left open', async () => {
  await sleep(50)
  expect([node.inFlight, gateway.stats.inFlight]).toEqual([0, 0])
})

test('names that are taken are refused', async () => {
  await expect(serveFile(node, file, { threads: 1 })).rejects.toMatchObject({ code: 'REMOTE_FUNCTION' })
  await expect(serveFile(node, file, { threads: 0 })).rejects.toMatchObject({ code: 'REMOTE_OPTION' })
})
