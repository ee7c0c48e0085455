import { createServer, type Server, type Socket } from 'node:net'
import { type DeadLetter, dataflow, dlq } from 'millrace'
import type { Position, Sink, Source, SourceContext } from 'millrace/connector'
import { arraySink } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { eventually, type LiveRun, live, rawSocket } from '../../test/live.ts'
import { testContext } from '../../test/test-files.ts'
import {
  lengthPrefixed,
  type TcpClientSourceOptions,
  type TcpServerSourceOptions,
  tcpClientSource,
  tcpServerSource,
  text,
} from './index.ts'

let run: LiveRun | undefined
let server: Server | undefined
afterEach(async () => {
  await run?.stop()
  run = undefined
  server?.close()
  server = undefined
})

let gauges: Record<string, number> = {}

/** The source, with its figures kept in `gauges` at their highest. */
function watched<T>(source: Source<T>): Source<T> {
  gauges = {}
  const gauge = (name: string, value: number): void => {
    gauges[name] = Math.max(gauges[name] ?? 0, value)
  }
  return { ...source, open: (partition, position, ctx) => source.open(partition, position, { ...ctx, gauge }) }
}

/** A flow from a listening source to `rows`, and where it listens. */
async function listening<T>(options: Partial<TcpServerSourceOptions<T>> = {}, sink?: Sink<T>, workers = 1) {
  const rows: T[] = []
  const letters: DeadLetter[] = []
  const flow = dataflow('tcp')
  flow
    .source('in', watched(tcpServerSource<T>({ port: 0, ...options })), {
      time: 'processing',
      onError: dlq(arraySink<DeadLetter>(letters)),
    })
    .sink('out', sink ?? arraySink<T>(rows))
  run = live(flow, { workers })
  return { rows, letters, url: await run.url('in'), codes: () => letters.map((l) => l.code) }
}

/** A sink that takes nothing until it is let go. */
function gate<T>(rows: T[]) {
  let open: (() => void) | undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  const sink: Sink<T> = {
    kind: 'gate',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({
      async write(batch) {
        await opened
        for (let i = 0; i < batch.length; i++) rows.push(batch.keep(i))
      },
      close() {},
    }),
  }
  return { sink, open: () => open?.() }
}

const ended = (socket: Socket, last: string | Buffer): Promise<void> =>
  new Promise((resolve) => socket.end(last, () => resolve()))

describe('a server that takes lines', () => {
  test('takes JSON of several senders, each in order', async () => {
    const { rows, url } = await listening<{ s: number; n: number }>()
    const senders = await Promise.all([0, 1, 2].map(() => rawSocket(url)))
    for (let n = 0; n < 100; n++) for (const [s, socket] of senders.entries()) socket.write(`{"s":${s},"n":${n}}\n`)
    await eventually(() => rows.length === 300)
    for (const s of [0, 1, 2]) expect(rows.filter((r) => r.s === s).map((r) => r.n)).toEqual([...Array(100).keys()])
    for (const socket of senders) socket.destroy()
  })

  test('takes a line in any pieces, and one that is cut inside a character', async () => {
    const { rows, url } = await listening({ format: text() })
    const socket = await rawSocket(url)
    const bytes = Buffer.from('größe €\r\nzweite\n\ndritte\n')
    for (const byte of bytes) {
      socket.write(Buffer.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually(() => rows.length === 3)
    expect(rows).toEqual(['größe €', 'zweite', 'dritte'])
    socket.destroy()
  })

  test('takes records behind their length', async () => {
    const format = lengthPrefixed<string>({
      prefix: 'u16be',
      decode: (b) => Buffer.from(b).toString(),
      maxRecordBytes: 100,
    })
    const { rows, url, codes } = await listening({ format })
    const socket = await rawSocket(url)
    const bytes = Buffer.from('\0\x03one\x01\x00' + 'x'.repeat(256) + '\0\x03two', 'latin1')
    for (let i = 0; i < bytes.length; i += 7) socket.write(bytes.subarray(i, i + 7))
    await eventually(() => rows.length === 2)
    expect(rows).toEqual(['one', 'two'])
    expect(codes()).toEqual(['RECORD_TOO_LARGE'])
    socket.destroy()
  })

  test('tells each sender how many of its lines are committed, bad and empty ones included', async () => {
    const { url, codes } = await listening({ ack: 'lines' })
    const [a, b] = [await rawSocket(url), await rawSocket(url)]
    a.write('{"n":1}\n\nno json\n{"n":2}\n')
    b.write('{"n":3}\n')
    await eventually(() => a.text().endsWith('4\n') && b.text() === '1\n')
    a.write('{"n":4}\n')
    await eventually(() => a.text().endsWith('\n5\n'))
    expect(codes()).toEqual(['JSON_INVALID'])
    // Half closed: the rest is acknowledged before the connection ends.
    await ended(b, '{"n":5}\n{"n":6}\n')
    await b.gone
    expect(b.text()).toMatch(/^1\n(2\n)?3\n$/)
    a.destroy()
  })

  test('acknowledges nothing that is not committed', async () => {
    const rows: unknown[] = []
    const { sink, open } = gate<unknown>(rows)
    const { url } = await listening({ ack: 'lines' }, sink)
    const socket = await rawSocket(url)
    socket.write('1\n2\n3\n')
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(socket.text()).toBe('')
    open()
    await eventually(() => socket.text().endsWith('3\n'))
    socket.destroy()
  })

  test('acknowledges up to the position of the commit, over all connections, and no further', async () => {
    let url = ''
    const ctx: SourceContext = {
      ...testContext(),
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      log(_level, _message, data) {
        url = String(data?.url ?? url)
      },
    }
    const reader = await tcpServerSource<number>({ port: 0, ack: 'lines' }).open('127.0.0.1:0', 1000, ctx)
    const [a, b] = [await rawSocket(url), await rawSocket(url)]
    const positions: Position[] = []
    const read = async (rows: number) => {
      for (let n = 0; n < rows; ) {
        const batch = await reader.read(1)
        if (batch === 'end') throw new Error('ended')
        n += batch.rows.length
        if (batch.rows.length > 0) positions.push(batch.next)
      }
    }
    a.write('1\n2\n')
    await read(2)
    b.write('3\n')
    await read(1)
    a.write('4\n')
    await read(1)
    expect(positions).toEqual([1001, 1002, 1003, 1004])
    reader.committed?.(1001)
    await eventually(() => a.text() === '1\n')
    reader.committed?.(1003)
    await eventually(() => a.text() === '1\n2\n' && b.text() === '1\n')
    reader.committed?.(1004)
    await eventually(() => a.text() === '1\n2\n3\n')
    expect(b.text()).toBe('1\n')
    await reader.close()
    await Promise.all([a.gone, b.gone])
  })

  test('listens at several ports, on two workers, and refuses a port that is taken', async () => {
    const { rows, url } = await listening<number>({ port: [0, 0] }, undefined, 2)
    const known = () => [
      ...new Set((run as LiveRun).events.flatMap((e) => (e.type === 'log' && e.data?.url ? [String(e.data.url)] : []))),
    ]
    await eventually(() => known().length === 2)
    const urls = known()
    for (const [i, one] of urls.entries()) (await rawSocket(one)).end(`${i}\n`)
    await eventually(() => rows.length === 2)
    expect(rows.toSorted()).toEqual([0, 1])
    const flow = dataflow('second')
    flow
      .source('in', tcpServerSource({ port: Number(new URL(url).port) }), { time: 'processing' })
      .sink('out', arraySink<unknown>([]))
    await expect(live(flow, { restartsMax: 0 }).done).rejects.toMatchObject({ code: 'LISTEN_PORT_IN_USE', step: 'in' })
  })

  test('refuses options that make no sense', () => {
    expect(() => tcpServerSource({ port: 70_000 })).toThrow(/port is 70000/)
    expect(() => tcpServerSource({ port: [] })).toThrow(/empty list/)
    expect(() => tcpServerSource({ port: [1, 1] })).toThrow(/given twice/)
    expect(() => tcpServerSource({ port: 1, bufferBytes: 1000 })).toThrow(/longest record/)
    expect(() => tcpServerSource({ port: 1, ack: 'all' as never })).toThrow(/ack is "all"/)
    expect(() => lengthPrefixed({ prefix: 'u16be' })).toThrow(/decode/)
  })
})

describe('back-pressure', () => {
  test.each([
    // 10 MB each: more than the system buffers for a connection.
    [4, 10_000],
    // Were each only held to its own chunk, they would hold three times the buffer.
    [50, 800],
  ])(
    '%d senders faster than the flow wait, the buffer stays within its bytes, and nothing is lost',
    async (senders, lines) => {
      const rows: { n: number }[] = []
      const { sink, open } = gate<{ n: number }>(rows)
      const { url } = await listening<{ n: number }>({ bufferBytes: 1024 * 1024 }, sink)
      const sockets = await Promise.all(Array.from({ length: senders }, () => rawSocket(url)))
      const pad = 'x'.repeat(1000)
      const sent = sockets.map(() => 0)
      let isStopped = false
      const sending = sockets.map(async (socket, s) => {
        for (let i = 0; i < lines; i++) {
          if (!socket.write(`{"n":${s * lines + i},"pad":"${pad}"}\n`))
            await new Promise((resolve) => socket.once('drain', resolve))
          sent[s] = i + 1
        }
      })
      void Promise.all(sending).then(() => (isStopped = true))
      await eventually(() => sent.every((n) => n > 100))
      let before = -1
      // Until nothing moves any more.
      for (let total = 0; total !== before; total = sent.reduce((a, b) => a + b)) {
        before = total
        await new Promise((resolve) => setTimeout(resolve, 300))
      }
      if (senders === 4) expect(isStopped).toBe(false)
      expect(gauges.buffer_bytes).toBeGreaterThan(200_000)
      open()
      await Promise.all(sending)
      await eventually(() => rows.length === senders * lines, 60_000)
      expect(new Set(rows.map((r) => r.n)).size).toBe(senders * lines)
      expect(gauges.buffer_bytes).toBeLessThanOrEqual(1024 * 1024 + 2 * 64 * 1024)
      for (const socket of sockets) socket.destroy()
    },
    120_000,
  )
})

describe('hostile senders', () => {
  test('an endless line is refused as it grows, holds little, and harms nobody; the sender may go on behind it', async () => {
    const { rows, url, codes, letters } = await listening({ format: text({ maxLineBytes: 10_000 }) })
    const [bad, good] = [await rawSocket(url), await rawSocket(url)]
    bad.write('fine\n')
    for (let i = 0; i < 200; i++) bad.write('x'.repeat(10_000))
    await eventually(() => codes().length === 1)
    expect(codes()).toEqual(['RECORD_TOO_LARGE'])
    expect(letters[0].record).toBe('x'.repeat(4096))
    good.write('good\n')
    bad.write('end\nfine again\n')
    await eventually(() => rows.length === 3)
    expect(rows.toSorted()).toEqual(['fine', 'fine again', 'good'])
    expect(codes()).toHaveLength(1)
    bad.destroy()
    good.destroy()
  })

  test('many unfinished lines that fill the buffer cost the largest its connection', async () => {
    const { rows, url, codes } = await listening({ format: text({ maxLineBytes: 50_000 }), bufferBytes: 100_000 })
    const good = await rawSocket(url)
    good.write('be')
    const bad = await Promise.all(Array.from({ length: 10 }, () => rawSocket(url)))
    for (const socket of bad) socket.write('x'.repeat(40_000))
    await eventually(() => codes().length >= 1)
    await Promise.race(bad.map((socket) => socket.gone))
    good.write('fore\n')
    await eventually(() => rows.length === 1)
    expect(rows).toEqual(['before'])
    expect(new Set(codes())).toEqual(new Set(['RECORD_TRUNCATED']))
    for (const socket of [good, ...bad]) socket.destroy()
  })

  test('garbage, a half line and a reset are counted, and the balance is 0', async () => {
    const { rows, url, codes, letters } = await listening<{ n: number }>()
    const garbage = await rawSocket(url)
    garbage.write(Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0x7b, 0x0a, 0xc3, 0x28, 0x0a]))
    await ended(garbage, '{"n":1}\n{"n":2')
    const reset = await rawSocket(url)
    reset.write('{"n":3}\n{"n":')
    await eventually(() => rows.length === 2)
    reset.resetAndDestroy()
    await eventually(() => codes().length === 5)
    expect(codes().toSorted()).toEqual([
      'JSON_INVALID',
      'RECORD_TRUNCATED',
      'RECORD_TRUNCATED',
      'UTF8_INVALID',
      'UTF8_INVALID',
    ])
    expect(letters.some((l) => /broke \(ECONNRESET\)/.test(l.message))).toBe(true)
    const report = await (run as LiveRun).stop()
    expect(report.steps.in).toMatchObject({ recordsIn: 7, recordsOut: 2, dead: 5 })
    expect(report.steps.out.recordsOut).toBe(2)
  })

  test('a connection too many is refused, a silent one is closed, and there is room again', async () => {
    const { rows, url } = await listening<number>({ maxConnections: 2, idleTimeout: '300ms' })
    const [a, b] = [await rawSocket(url), await rawSocket(url)]
    const c = await rawSocket(url)
    await c.gone
    await Promise.all([a.gone, b.gone])
    const d = await rawSocket(url)
    d.write('7\n')
    await eventually(() => rows.length === 1)
    expect(gauges.refused_connections).toBe(1)
    d.destroy()
  })

  test('a sender that does not read its acknowledgements holds up nobody', async () => {
    const { url } = await listening({ ack: 'lines' })
    const [deaf, good] = [await rawSocket(url), await rawSocket(url)]
    deaf.pause()
    for (let i = 0; i < 200; i++) {
      deaf.write('1\n')
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    good.write('1\n')
    await eventually(() => good.text() === '1\n')
    deaf.destroy()
    good.destroy()
  })
})

describe('a client that takes lines', () => {
  async function serve(onSocket: (socket: Socket) => void): Promise<number> {
    server = createServer(onSocket)
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    return (server.address() as { port: number }).port
  }

  function taking(options: TcpClientSourceOptions<number>) {
    const rows: number[] = []
    const flow = dataflow('client')
    flow
      .source('in', tcpClientSource<number>({ reconnect: { first: '5ms', most: '20ms' }, ...options }), {
        time: 'processing',
        onError: 'skip',
      })
      .sink('out', arraySink<number>(rows))
    run = live(flow, { restartsMax: 0 })
    return rows
  }

  test('greets, connects again after resets and ends, and tells what is committed', async () => {
    let connections = 0
    const heard: string[] = []
    const port = await serve((socket) => {
      const n = connections++
      heard[n] = ''
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        const isFirst = heard[n] === ''
        heard[n] += chunk
        if (!isFirst) return
        socket.write(`${n}\n{"half`)
        if (n % 2 === 0) setTimeout(() => socket.resetAndDestroy(), 30)
        else socket.end()
      })
    })
    const rows = taking({ port, greeting: 'hello\n', ack: 'lines' })
    await eventually(() => rows.length >= 4)
    expect(rows.slice(0, 4)).toEqual([0, 1, 2, 3])
    expect(heard.slice(0, 4).every((said) => said.startsWith('hello\n'))).toBe(true)
    await eventually(() => heard.some((said) => said === 'hello\n1\n'))
  })

  test('ends with the connection when asked to', async () => {
    const port = await serve((socket) => void socket.end('1\n2\n'))
    const rows = taking({ port, onEnd: 'end' })
    await (run as LiveRun).done
    expect(rows).toEqual([1, 2])
  })

  test('gives up after the time it was given', async () => {
    const port = await serve(() => {})
    await new Promise((resolve) => server?.close(resolve))
    server = undefined
    taking({ port, giveUpAfter: '100ms' })
    await expect((run as LiveRun).done).rejects.toMatchObject({ code: 'SOCKET_UNREACHABLE', step: 'in' })
    run = undefined
  })
})
