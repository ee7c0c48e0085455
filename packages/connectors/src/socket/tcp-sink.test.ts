import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { dataflow } from 'millrace'
import { RowBatch, type Sink, type SinkContext } from 'millrace/connector'
import { arraySink, arraySource, nodeDisk, sinkContract } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { eventually, type LiveRun, live, rawSocket } from '../../test/live.ts'
import { json, type TcpServerSinkOptions, tcpClientSink, tcpServerSink, tcpServerSource, text } from './index.ts'

/** A server that gathers lines; `take` may reset connections or hold answers back. */
class Peer {
  readonly lines: string[] = []
  readonly sockets: Socket[] = []
  readonly server: Server
  constructor(onLine: (socket: Socket, count: number) => void = () => {}) {
    this.server = createServer((socket) => {
      this.sockets.push(socket)
      let rest = ''
      let count = 0
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        const parts = (rest + chunk).split('\n')
        rest = parts.pop() as string
        for (const line of parts) {
          this.lines.push(line)
          onLine(socket, ++count)
        }
      })
    })
  }

  async listen(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve))
    return (this.server.address() as { port: number }).port
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function peer(onLine?: (socket: Socket, count: number) => void) {
  const made = new Peer(onLine)
  const port = await made.listen()
  closing.push(() => made.close())
  return { made, port, numbers: () => made.lines.map(Number) }
}

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const unique = (rows: readonly number[]): number[] => [...new Set(rows)].sort((a, b) => a - b)

function sinkContext() {
  const seen = { lost: 0, logs: [] as string[], addresses: [] as string[] }
  const ctx: SinkContext = {
    step: 'out',
    flow: 'test',
    disk: nodeDisk(),
    logFolder: '.millrace/log',
    instance: { index: 0, count: 1 },
    signal: new AbortController().signal,
    lost(count) {
      seen.lost += count
    },
    gauge() {},
    log(_level, message, data) {
      seen.logs.push(message)
      if (data?.url !== undefined) seen.addresses.push(String(data.url))
    },
  }
  return { seen, ctx }
}

describe('a client that sends lines keeps the contract of sinks', () => {
  for (const ack of ['none', 'lines'] as const) {
    const make = async () => {
      const made = new Peer((socket, count) => ack === 'lines' && socket.write(`${count}\n`))
      const port = await made.listen()
      const read = async () => {
        // What the system has taken arrives a moment later.
        await sleep(20)
        return made.lines.map((line) => JSON.parse(line))
      }
      return { sink: tcpClientSink<{ n: number }>({ port, ack }), read, close: () => made.close() }
    }
    for (const check of sinkContract(`ack ${ack}`, { make, rows: [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }] }))
      test(check.name, check.run)
  }
})

describe('a server that sends lines keeps the contract of sinks', () => {
  const make = () => {
    const sink = tcpServerSink<{ n: number }>({ port: 0, whenFull: 'block' })
    let reader: Awaited<ReturnType<typeof rawSocket>> | undefined
    const read = async () => {
      await sleep(20)
      return (reader?.text() ?? '')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    }
    const open: typeof sink.open = async (ctx) => {
      let url = ''
      const log: SinkContext['log'] = (_level, _message, data) => {
        if (data?.url !== undefined) url = String(data.url)
      }
      const writer = await sink.open({ ...ctx, log })
      reader = await rawSocket(url)
      await sleep(20)
      return writer
    }
    return { sink: { ...sink, open }, read, close: () => void reader?.destroy() }
  }
  for (const check of sinkContract('server', { make, rows: [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }] }))
    test(check.name, check.run)
})

describe('a client that sends lines', () => {
  test('with acks loses nothing over resets at any moment, and a commit waits for the last of them', async () => {
    const { port, numbers: got } = await peer((socket, count) => {
      // The answer to what came before is lost with the connection.
      if (count % 700 === 0) socket.resetAndDestroy()
      else if (count % 50 === 0 || count > 4900) socket.write(`${count}\n`)
      else if (!socket.writableNeedDrain) setTimeout(() => socket.writable && socket.write(`${count}\n`), 5)
    })
    const flow = dataflow('acked')
    flow
      .source('in', arraySource(numbers(5000)), { time: 'processing' })
      .sink('out', tcpClientSink<number>({ port, ack: 'lines', reconnect: { first: '1ms', most: '5ms' } }), {
        buffer: { capacity: 100, whenFull: 'block' },
      })
    await live(flow, { restartsMax: 0 }).done
    expect(unique(got())).toEqual(numbers(5000))
  })

  test('waits for a server that comes later, and gives up after the time it was given', async () => {
    const { made, port } = await peer()
    await made.close()
    closing.pop()
    const flow = dataflow('later')
    flow
      .source('in', arraySource([1, 2, 3]), { time: 'processing' })
      .sink('out', tcpClientSink<number>({ port, reconnect: { first: '10ms', most: '20ms' }, giveUpAfter: '20s' }))
    const run = live(flow)
    await sleep(100)
    const later = new Peer()
    await later.listen(port)
    closing.push(() => later.close())
    await run.done
    await eventually(() => later.lines.length === 3)

    await closing.pop()?.()
    const gone = dataflow('gone')
    gone
      .source('in', arraySource([1]), { time: 'processing' })
      .sink('out', tcpClientSink<number>({ port, reconnect: { first: '10ms' }, giveUpAfter: '100ms' }))
    await expect(live(gone, { restartsMax: 0 }).done).rejects.toMatchObject({ code: 'SOCKET_UNREACHABLE', step: 'out' })
  })

  test('says so when the server does not acknowledge, or answers something else', async () => {
    const run = (port: number) => {
      const flow = dataflow('unacked')
      flow
        .source('in', arraySource([1]), { time: 'processing' })
        .sink('out', tcpClientSink<number>({ port, ack: 'lines', giveUpAfter: '200ms' }))
      return live(flow, { restartsMax: 0 }).done
    }
    const silent = await peer()
    await expect(run(silent.port)).rejects.toMatchObject({ code: 'SOCKET_UNACKNOWLEDGED' })
    const wrong = await peer((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n'))
    await expect(run(wrong.port)).rejects.toMatchObject({ code: 'SOCKET_ANSWER' })
    const tooMany = await peer((socket) => socket.write('2\n'))
    await expect(run(tooMany.port)).rejects.toMatchObject({ code: 'SOCKET_ANSWER' })
  })

  test('a row without a form stops the flow', async () => {
    const { port } = await peer()
    const flow = dataflow('form')
    flow
      .source('in', arraySource(['two\nlines']), { time: 'processing' })
      .sink('out', tcpClientSink<string>({ port, format: text() }))
    await expect(live(flow, { restartsMax: 0 }).done).rejects.toMatchObject({ code: 'RECORD_ENCODE' })
  })

  test.each([1, 2])(
    'two flows are joined at least once, also when the second one starts anew (%d workers)',
    async (workers) => {
      const rows: number[] = []
      const receive = (port: number): LiveRun => {
        const flow = dataflow('second')
        flow
          .source('in', tcpServerSource<number>({ port, ack: 'lines' }), { time: 'processing', onError: 'skip' })
          .sink('out', arraySink<number>(rows))
        return live(flow, { workers })
      }
      const first = receive(0)
      const url = await first.url('in')
      const port = Number(new URL(url).port)
      const flow = dataflow('first')
      const slow = numbers(3000)
      flow
        .source('in', arraySource(slow, { partitions: 2 }), { time: 'processing' })
        .sink('out', tcpClientSink<number>({ port, ack: 'lines', reconnect: { first: '5ms', most: '20ms' } }), {
          buffer: { capacity: 50, whenFull: 'block' },
        })
      const sending = live(flow, { workers, commitEvery: '20ms' })
      await eventually(() => rows.length > 300)
      await first.stop()
      const second = receive(port)
      closing.push(() => second.stop())
      await sending.done
      expect(unique(rows)).toEqual(slow)
    },
  )
})

/** Counts the lines a socket gets. */
function counted(socket: Socket) {
  const seen = { lines: 0 }
  socket.on('data', (chunk) => {
    seen.lines += String(chunk).split('\n').length - 1
  })
  return seen
}

describe('a server that sends lines to its readers', () => {
  async function broadcasting(options: Partial<TcpServerSinkOptions<number>> = {}) {
    const { seen, ctx } = sinkContext()
    const writer = await tcpServerSink<number>({ port: 0, ...options }).open(ctx)
    closing.push(async () => writer.close())
    return { seen, writer, url: seen.addresses[0], batch: (rows: number[]) => new RowBatch(rows, rows) }
  }
  const lines = (socket: { text: () => string }): number[] => socket.text().split('\n').slice(0, -1).map(Number)

  test('gives every reader every row from when it came on', async () => {
    const { writer, url, batch, seen } = await broadcasting()
    await writer.write(batch([1, 2]))
    const a = await rawSocket(url)
    await sleep(20)
    await writer.write(batch([3, 4]))
    const b = await rawSocket(url)
    await sleep(20)
    await writer.write(batch([5]))
    await eventually(() => lines(a).length === 3 && lines(b).length === 1)
    expect([lines(a), lines(b), seen.lost]).toEqual([[3, 4, 5], [5], 0])
    await writer.close()
    await Promise.all([a.gone, b.gone])
  })

  test.each(['drop-oldest', 'drop-newest', 'disconnect'] as const)(
    '%s: a reader that does not read costs the others nothing, and what it missed is counted exactly',
    async (whenFull) => {
      const { writer, url, batch, seen } = await broadcasting({
        whenFull,
        bufferRows: 500,
        format: { ...json<number>(), encode: (n: number) => `${n} ${'x'.repeat(1000)}\n` },
      })
      const [slow, good] = [await rawSocket(url), await rawSocket(url)]
      const [ofSlow, ofGood] = [counted(slow), counted(good)]
      slow.pause()
      await sleep(20)
      // 20 MB: more than the system buffers for one connection.
      const total = 20_000
      for (let from = 0; from < total; from += 100) {
        await writer.write(batch(numbers(100).map((i) => from + i)))
        await eventually(() => ofGood.lines > from)
      }
      await eventually(() => ofGood.lines === total)
      expect(seen.lost).toBeGreaterThan(0)
      slow.resume()
      if (whenFull === 'disconnect') {
        await slow.gone
        expect(seen.logs.some((log) => /500 rows wait/.test(log))).toBe(true)
      } else {
        await eventually(() => ofSlow.lines + seen.lost === total)
        expect(/\n19999 /.test(slow.text())).toBe(whenFull === 'drop-oldest')
      }
      slow.destroy()
      good.destroy()
    },
    120_000,
  )

  test('block: the flow waits for a slow reader and loses nothing; one that takes nothing is closed in the end', async () => {
    const { writer, url, batch, seen } = await broadcasting({
      whenFull: 'block',
      bufferRows: 100,
      stalledAfter: '500ms',
      format: { ...json<number>(), encode: (n: number) => `${n} ${'x'.repeat(1000)}\n` },
    })
    const slow = await rawSocket(url)
    await sleep(20)
    slow.pause()
    let written = 0
    const writing = (async () => {
      for (let from = 0; from < 20_000; from += 100) {
        await writer.write(batch(numbers(100).map((i) => from + i)))
        written = from + 100
      }
    })()
    let before = -1
    while (written !== before) {
      before = written
      await sleep(100)
    }
    expect(written).toBeLessThan(20_000)
    slow.resume()
    await writing
    await eventually(() => slow.text().split('\n').length === 20_001)
    expect([
      seen.lost,
      slow
        .text()
        .split('\n')
        .slice(0, -1)
        .map((l) => Number.parseInt(l, 10)),
    ]).toEqual([0, numbers(20_000)])
    slow.pause()
    const dead = (async () => {
      for (let i = 0; i < 200; i++) await writer.write(batch(numbers(100)))
    })()
    await dead
    expect(seen.logs.some((log) => /took nothing for 500 ms/.test(log))).toBe(true)
    expect(seen.lost).toBeGreaterThan(0)
    slow.destroy()
  }, 60_000)

  test.each([1, 2])('in a flow one worker listens, and readers get the rows of all (%d workers)', async (workers) => {
    const flow = dataflow('broadcast')
    let isThere = false
    const late: Sink<number> = tcpServerSink<number>({ port: 0, whenFull: 'block' })
    flow
      .source('in', arraySource(numbers(400), { partitions: 2 }), { time: 'processing' })
      .mapAsync('wait', async (n) => {
        while (!isThere) await sleep(5)
        return n
      })
      .sink('out', late)
    const run = live(flow, { workers })
    const reader = await rawSocket(await run.url('out'))
    await sleep(50)
    isThere = true
    await run.done
    await reader.gone
    expect(lines(reader).toSorted((a, b) => a - b)).toEqual(numbers(400))
  })
})
