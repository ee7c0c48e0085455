/** A node whose thread is blocked by a function lives, and one whose process stands still does not. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Client, connect, type Gateway, startGateway } from '@millrace/remote'
import { afterEach, beforeEach, expect, test } from 'vitest'

const SILENT_MS = 1_500
const script = fileURLToPath(new URL('./alive-node.ts', import.meta.url))

let gateway: Gateway
let client: Client
let child: ChildProcess

beforeEach(async () => {
  gateway = await startGateway({ port: 0, pingMs: 300, silentMs: SILENT_MS })
  client = await connect({ gateway: gateway.url })
})

afterEach(async () => {
  child.kill('SIGCONT')
  child.kill('SIGKILL')
  await client.close()
  await gateway.close()
})

async function node(alive: 'alive' | 'alone'): Promise<void> {
  const args = ['--conditions=millrace-source', script, gateway.url, alive]
  child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  // The second link is made when the node has been there for a moment.
  await sleep(1_500)
}

test('a node that a function blocks three times as long as silence may last is not given up', async () => {
  await node('alive')
  expect(await client.call.block(3 * SILENT_MS)).toBe('unblocked')
  expect(gateway.nodes.map(({ id, lease }) => `${id} ${lease}`)).toEqual(['blocked 1'])
})

test('without the second link it is', async () => {
  await node('alone')
  await expect(client.call.block(3 * SILENT_MS)).rejects.toMatchObject({ code: 'NODE_LOST' })
})

test('a process that is stopped is given up after the ping timeout, with the second link too', async () => {
  await node('alive')
  const call = client.call.block(60_000)
  await sleep(200)
  child.kill('SIGSTOP')
  const begin = performance.now()
  await expect(call).rejects.toMatchObject({ code: 'NODE_LOST' })
  expect(performance.now() - begin).toBeLessThan(SILENT_MS + 500 * 5)
})

test('a process that is killed is given up at once', async () => {
  await node('alive')
  const call = client.call.block(60_000)
  await sleep(200)
  child.kill('SIGKILL')
  const begin = performance.now()
  await expect(call).rejects.toMatchObject({ code: 'NODE_LOST', node: 'blocked' })
  expect(performance.now() - begin).toBeLessThan(1_000)
})
