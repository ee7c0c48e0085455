/** What a function sees of its call, while it runs and after it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type CallContext,
  type Client,
  type ComputeNode,
  callContext,
  computeNode,
  connect,
  type Gateway,
  startGateway,
} from '../index.ts'

const seen: unknown[] = []
let kept: CallContext | undefined

const functions = {
  *names(items: number) {
    try {
      for (let i = 0; i < items; i++) yield callContext()?.function
    } finally {
      seen.push(callContext()?.function)
    }
  },
  async *namesLater(items: number) {
    for (let i = 0; i < items; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      yield callContext()?.function
    }
  },
  keep() {
    kept = callContext()
    return kept?.signal.aborted
  },
  keepUnread() {
    kept = callContext()
  },
  isAbortedOnceCancelled: (_: number, { signal }: CallContext) =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(seen.push(signal.reason)))),
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

test('every step of a generator runs in the context of its call, also after it waited for its consumer', async () => {
  const names = new Set<string | undefined>()
  const other = client.stream.namesLater(2000)
  for await (const name of client.stream.names(2000)) {
    names.add(name)
    expect((await other.next()).value).toBe('namesLater')
  }
  expect([...names]).toEqual(['names'])
})

test('the end of a generator that its consumer leaves runs in the context of its call', async () => {
  seen.length = 0
  for await (const _ of client.stream.names(1_000_000)) break
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['names'])
})

test('a signal is aborted with the end of the call, also when it is asked for only then', async () => {
  expect(await client.call.keep()).toBe(false)
  expect(kept?.signal.aborted).toBe(true)
  await client.call.keepUnread()
  expect(kept?.signal.aborted).toBe(true)
  expect(kept?.signal).toBe(kept?.signal)
})

test('the signal of a call that is cancelled says so', async () => {
  seen.length = 0
  const cancel = new AbortController()
  const call = client.with({ signal: cancel.signal }).call.isAbortedOnceCancelled(1)
  await client.call.keep()
  cancel.abort()
  await expect(call).rejects.toMatchObject({ code: 'CANCELLED' })
  await expect.poll(() => seen, { timeout: 5_000 }).toMatchObject([{ code: 'CANCELLED' }])
})
