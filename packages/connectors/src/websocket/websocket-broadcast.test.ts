import { dataflow } from 'millrace'
import type { SinkContext } from 'millrace/connector'
import { RowBatch } from 'millrace/connector'
import { nodeDisk, sinkContract } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { type Client, client, eventually, type LiveRun, live, post } from '../../test/live.ts'
import { httpIngest } from '../http/index.ts'
import { type SlowPolicy, type WebSocketBroadcastOptions, webSocketBroadcast } from './index.ts'

interface Row {
  readonly n: number
  readonly text?: string
}

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

/** A writer outside a flow, and how many deliveries it let go. */
async function writer(slow: SlowPolicy, options: Partial<WebSocketBroadcastOptions<Row>> = {}) {
  let url = ''
  let lost = 0
  const ctx: SinkContext = {
    step: 'out',
    flow: 'test',
    disk: nodeDisk(),
    logFolder: '',
    instance: { index: 0, count: 1 },
    signal: new AbortController().signal,
    lost: (count) => {
      lost += count
    },
    gauge() {},
    log() {},
  }
  const sink = webSocketBroadcast<Row>({ port: 0, slow, onListening: (at) => (url = at.url), ...options })
  const made = await sink.open(ctx)
  open.push(made)
  let n = 0
  const write = (count: number, text = ''): Promise<void> => {
    const rows = Array.from({ length: count }, () => ({ n: n++, text }))
    return Promise.resolve(
      made.write(
        new RowBatch(
          rows,
          rows.map(() => 0),
        ),
      ),
    ) as Promise<void>
  }
  return { url, write, flush: async () => made.flush?.(), lost: () => lost, written: () => n }
}

const numbers = (one: Client): number[] => one.messages.map((m) => (m as Row).n)

describe('webSocketBroadcast keeps the contract of sinks', () => {
  const make = async () => {
    let url = ''
    let one: Client | undefined
    const sink = webSocketBroadcast<Row>({ port: 0, slow: 'block', onListening: (at) => (url = at.url) })
    return {
      sink: {
        ...sink,
        open: async (ctx: SinkContext) => {
          const made = await sink.open(ctx)
          one = await client(url)
          return made
        },
      },
      async read() {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return one?.messages ?? []
      },
    }
  }
  const rows = [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }]
  for (const check of sinkContract('block', { make, rows })) test(check.name, check.run)
})

describe('a subscriber that does not read', () => {
  /** Large enough that the buffers of the kernel do not hide anything. */
  const text = 'x'.repeat(10_000)

  test("holds the flow back under 'block', and gets everything", async () => {
    const { url, write, flush, lost, written } = await writer('block', { bufferMessages: 100 })
    const slow = await client(url)
    slow.socket.pause()
    let batches = 0
    const writing = (async () => {
      for (; batches < 50; batches++) await write(50, text)
      await flush()
    })()
    await new Promise((resolve) => setTimeout(resolve, 300))
    const stuck = batches
    expect(stuck).toBeLessThan(50)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(batches).toBe(stuck)
    slow.socket.resume()
    await writing
    await slow.until((m) => m.length === written())
    expect(numbers(slow)).toEqual(Array.from({ length: 2500 }, (_, n) => n))
    expect(lost()).toBe(0)
  })

  test.each(['drop-oldest', 'drop-newest'] as const)(
    "misses messages under '%s', each counted, and others none",
    async (slow) => {
      const { url, write, lost, written } = await writer(slow, { bufferMessages: 100 })
      const [bad, good] = [await client(url), await client(url)]
      bad.socket.pause()
      for (let i = 0; i < 100; i++) {
        await write(20, text)
        await good.until((m) => m.length === written())
      }
      expect(lost()).toBeGreaterThan(0)
      bad.socket.resume()
      await bad.until((m) => m.length === written() - lost())
      await write(1)
      await bad.until((m) => m.length === written() - lost())
      await good.until((m) => m.length === written())
      const seen = numbers(bad)
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
      // The oldest that wait are let go, so the newest of them arrive; or the other way round.
      const lastBefore = seen.at(-2) as number
      if (slow === 'drop-oldest') expect(lastBefore).toBe(1999)
      else expect(lastBefore).toBeLessThan(1999)
      expect(numbers(good)).toEqual(Array.from({ length: 2001 }, (_, n) => n))
    },
  )

  test("is cut off under 'disconnect', and others are not", async () => {
    const { url, write, lost, written } = await writer('disconnect', { bufferMessages: 100 })
    const [bad, good] = [await client(url), await client(url)]
    bad.socket.pause()
    for (let i = 0; i < 100; i++) {
      await write(20, text)
      await good.until((m) => m.length === written())
    }
    bad.socket.resume()
    expect(await bad.closed).toBe(1013)
    // What it got before the goodbye, what waited for it, and nothing of what came later: it was no subscriber any more.
    expect(lost()).toBeGreaterThanOrEqual(101)
    expect(numbers(bad)).toEqual(Array.from({ length: bad.messages.length }, (_, n) => n))
    expect(bad.messages.length + lost()).toBeLessThanOrEqual(2000)
    expect(good.messages.length).toBe(2000)
  })

  test("under 'block' one that is dead is found by pings, and the flow goes on", async () => {
    const { url, write, written } = await writer('block', { bufferMessages: 10, pingEvery: '100ms' })
    const [dead, good] = [await client(url), await client(url)]
    dead.socket.pause()
    for (let i = 0; i < 20; i++) await write(50, text)
    await good.until((m) => m.length === written())
    dead.socket.resume()
    expect(await dead.closed).toBe(1006)
  })
})

test('rows of a flow reach every subscriber, and what a subscriber says is ignored', async () => {
  const flow = dataflow('fan-out')
  flow
    .source('in', httpIngest<Row>({ port: 0 }), { time: 'processing' })
    .sink('out', webSocketBroadcast<Row>({ port: 0, slow: 'block', format: (r) => JSON.stringify({ n: r.n }) }))
  const run: LiveRun = live(flow)
  open.push({ close: () => run.stop() })
  const [one, two] = await Promise.all([client(await run.url('out')), client(await run.url('out'))])
  one.send('hello')
  expect((await post(await run.url('in'), [{ n: 1 }, { n: 2 }])).status).toBe(200)
  await Promise.all([one.until((m) => m.length === 2), two.until((m) => m.length === 2)])
  expect([one.messages, two.messages]).toEqual([
    [{ n: 1 }, { n: 2 }],
    [{ n: 1 }, { n: 2 }],
  ])
  two.socket.terminate()
  await post(await run.url('in'), { n: 3 })
  await eventually(() => one.messages.length === 3)
})
