import { dataflow } from 'millrace'
import type { Sink } from 'millrace/connector'
import { afterEach, describe, expect, test } from 'vitest'
import { type Answer, client, type LiveRun, live, NDJSON, post } from '../../test/live.ts'
import { testContext } from '../../test/test-files.ts'
import { webSocketIngest } from '../websocket/index.ts'
import { httpIngest } from './index.ts'

interface Row {
  readonly n: number
  readonly text: string
}

let run: LiveRun | undefined
afterEach(async () => {
  await run?.stop()
  run = undefined
})

/** A sink that is slower than its senders by far. */
function slowSink(seen: number[], rowsPerMs: number): Sink<Row> {
  return {
    kind: 'slow',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({
      async write(batch) {
        for (let i = 0; i < batch.length; i++) seen.push(batch.row(i).n)
        await new Promise((resolve) => setTimeout(resolve, batch.length / rowsPerMs))
      },
      close() {},
    }),
  }
}

const text = 'x'.repeat(1000)

describe('a sink 100 times slower than its senders', () => {
  test('keeps what HTTP holds within its buffers, and loses nothing', async () => {
    const seen: number[] = []
    const gauges = { buffered_bytes: 0, waiting_requests: 0 }
    let url = ''
    const source = httpIngest<Row>({
      port: 0,
      bufferRecords: 1000,
      bufferBytes: 1_000_000,
      maxWaiting: 4,
      onListening: (at) => (url = at.url),
    })
    const reader = await source.open('http', undefined, {
      ...testContext(),
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      gauge: (name: keyof typeof gauges, value) => {
        gauges[name] = Math.max(gauges[name], value)
      },
    })
    let records = 0
    let isDone = false
    const reading = (async () => {
      while (!isDone) {
        records = Math.max(records, reader.lag?.() ?? 0)
        const batch = await reader.read(100)
        if (batch === 'end') break
        for (const row of batch.rows as Row[]) seen.push(row.n)
        await new Promise((resolve) => setTimeout(resolve, 5))
        reader.committed?.(batch.next)
      }
    })()
    let sent = 0
    const refused: Answer[] = []
    const sender = async (): Promise<void> => {
      while (sent < 20_000) {
        const from = sent
        sent += 200
        const body = Array.from({ length: 200 }, (_, i) => JSON.stringify({ n: from + i, text })).join('\n')
        for (;;) {
          const answer = await post(url, body, NDJSON)
          if (answer.status === 200) break
          refused.push(answer)
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    }
    await Promise.all(Array.from({ length: 20 }, sender))
    isDone = true
    await reading
    await reader.close()
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 20_000 }, (_, n) => n))
    // Each limit, and one request more: 200 records, 206 KB.
    expect(records).toBeLessThanOrEqual(1000 + 200)
    expect(gauges.buffered_bytes).toBeGreaterThan(500_000)
    expect(gauges.buffered_bytes).toBeLessThanOrEqual(1_000_000 + 20 * 65_536)
    expect(gauges.waiting_requests).toBeLessThanOrEqual(4)
    // 20 senders, 4 may wait: others were told to come back, and when.
    expect(refused.length).toBeGreaterThan(0)
    for (const { status, headers, body } of refused)
      expect([status, headers.get('retry-after'), body.error?.code]).toEqual([503, '1', 'BUFFER_FULL'])
  }, 60_000)

  test('holds WebSocket senders back, and loses nothing', async () => {
    const seen: number[] = []
    const flow = dataflow('slow-websocket')
    flow
      .source('in', webSocketIngest<Row>({ port: 0, bufferRecords: 200, ackId: (r) => r.n }), { time: 'processing' })
      .sink('out', slowSink(seen, 1))
    run = live(flow, { batchRows: 100 })
    const url = await run.url('in')
    const clients = await Promise.all([client(url), client(url), client(url)])
    let backlog = 0
    const long = 'x'.repeat(15_000)
    for (const [k, { send }] of clients.entries()) for (let i = 0; i < 1500; i++) send({ n: k * 1500 + i, text: long })
    await new Promise((resolve) => setTimeout(resolve, 1000))
    for (const { socket } of clients) backlog += socket.bufferedAmount
    // 67 MB were sent, and a second is enough to read them. What is not in the flow's buffers or the kernel's still lies with the senders.
    expect(backlog).toBeGreaterThan(20_000_000)
    const acked = (one: { messages: unknown[] }): number[] => one.messages.flatMap((m) => (m as { ack: number[] }).ack)
    await Promise.all(clients.map((one) => one.until(() => acked(one).length === 1500)))
    expect(seen.length).toBe(4500)
    for (const [k, one] of clients.entries()) {
      const own = Array.from({ length: 1500 }, (_, i) => k * 1500 + i)
      expect(acked(one)).toEqual(own)
      expect(seen.filter((n) => Math.floor(n / 1500) === k)).toEqual(own)
    }
  }, 60_000)
})
