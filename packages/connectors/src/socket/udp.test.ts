import { createSocket, type Socket } from 'node:dgram'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadLetter, dataflow, dlq } from 'millrace'
import type { Sink, Source, SourceContext } from 'millrace/connector'
import { arraySink, arraySource, nodeDisk, sinkContract } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { eventually, type LiveRun, live } from '../../test/live.ts'
import { lengthPrefixed, text, type UdpSourceOptions, udpSink, udpSource } from './index.ts'
import { dropsOf } from './kernel-drops.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function receiving<T>(options: Partial<UdpSourceOptions<T>> = {}, sink?: Sink<T>) {
  const rows: T[] = []
  const letters: DeadLetter[] = []
  const flow = dataflow('udp')
  flow
    .source('in', udpSource<T>({ port: 0, ...options }), {
      time: 'processing',
      onError: dlq(arraySink<DeadLetter>(letters)),
    })
    .sink('out', sink ?? arraySink<T>(rows))
  const run = live(flow)
  closing.push(() => run.stop())
  return { rows, letters, run }
}

async function sender(run: LiveRun) {
  const port = Number(new URL(await run.url('in')).port)
  const socket = createSocket('udp4')
  closing.push(() => new Promise<void>((resolve) => socket.close(resolve)))
  const send = (bytes: string | Buffer): Promise<void> =>
    new Promise((resolve, reject) =>
      socket.send(bytes, port, '127.0.0.1', (error) => (error ? reject(error) : resolve())),
    )
  return { port, send }
}

/** A source outside a flow, on a clock of the test's, whose reads are the test's. */
async function open<T>(source: Source<T>) {
  const seen = { lost: 0, logs: [] as string[], url: '', ticks: [] as (() => void)[] }
  const ctx: SourceContext = {
    step: 'in',
    flow: 'test',
    disk: nodeDisk(),
    logFolder: '.millrace/log',
    signal: new AbortController().signal,
    now: () => 0,
    wait: () => new Promise((resolve) => seen.ticks.push(resolve)),
    reject() {},
    lost(count) {
      seen.lost += count
    },
    gauge() {},
    log(_level, message, data) {
      seen.logs.push(message)
      if (data?.url !== undefined) seen.url = String(data.url)
    },
  }
  const [partition] = await source.partitions(ctx)
  const reader = await source.open(partition, undefined, ctx)
  closing.push(() => reader.close())
  return { seen, reader, port: Number(new URL(seen.url).port) }
}

describe('a receiver of datagrams', () => {
  test('takes one or more lines of a datagram, and refuses the bad ones alone', async () => {
    const { rows, letters, run } = receiving<number>()
    const { send } = await sender(run)
    await send('1\n2')
    await send('\n\n')
    await send('{"half"')
    await send(Buffer.from([0xff, 0x0a, 0x33]))
    await send('')
    await send('4\r\n')
    await eventually(() => rows.length === 4)
    expect(rows).toEqual([1, 2, 3, 4])
    expect(letters.map((l) => l.code)).toEqual(['JSON_INVALID', 'UTF8_INVALID'])
    expect(letters[0].origin).toMatch(/ of 127\.0\.0\.1:\d+/)
    const { steps } = await run.stop()
    expect(steps.in).toMatchObject({ recordsIn: 6, recordsOut: 4, dead: 2 })
  })

  test('takes records behind their length, and refuses what the datagram cuts off', async () => {
    const format = lengthPrefixed<string>({ prefix: 'u16be', decode: (b) => Buffer.from(b).toString() })
    const { rows, letters, run } = receiving({ format })
    const { send } = await sender(run)
    await send('\0\x01a\0\x02bc\0\x09d')
    await send('\0\x01e')
    await eventually(() => rows.length === 3)
    expect(rows).toEqual(['a', 'bc', 'e'])
    expect(letters.map((l) => l.code)).toEqual(['RECORD_TRUNCATED'])
  })

  test.each([
    ['drop-oldest', [90, 99]],
    ['drop-newest', [0, 9]],
  ] as const)('%s: what does not fit is counted by record, exactly', async (whenFull, [first, last]) => {
    const { seen, reader, port } = await open(udpSource<number>({ port: 0, whenFull, bufferDatagrams: 10 }))
    const socket: Socket = createSocket('udp4')
    closing.push(() => new Promise<void>((resolve) => socket.close(resolve)))
    for (let i = 0; i < 100; i++) {
      await new Promise((resolve) => socket.send(`${i}\n${i + 0.5}\n\n`, port, '127.0.0.1', resolve))
      if (i % 10 === 9) await sleep(2)
    }
    await eventually(() => seen.lost === 180)
    const batch = await reader.read(1000)
    if (batch === 'end') throw new Error('ended')
    const rows = batch.rows as readonly number[]
    expect(rows).toHaveLength(20)
    expect([rows.at(0), rows.at(-1)]).toEqual([first, last + 0.5])
  })

  test('holds no more bytes than it may, and a batch ends within a datagram', async () => {
    const { seen, reader, port } = await open(udpSource({ port: 0, format: text(), bufferBytes: 10_000 }))
    const socket: Socket = createSocket('udp4')
    closing.push(() => new Promise<void>((resolve) => socket.close(resolve)))
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => socket.send(`${i}${'x'.repeat(998)}\nb`, port, '127.0.0.1', resolve))
      await sleep(1)
    }
    await eventually(() => seen.lost > 0)
    await sleep(20)
    let rows = 0
    for (let n = 0; n < 100 && rows + seen.lost < 40; n++) {
      const batch = await reader.read(3)
      if (batch === 'end') break
      expect(batch.rows.length).toBeLessThanOrEqual(3)
      rows += batch.rows.length
    }
    expect(rows + seen.lost).toBe(40)
    expect(rows).toBeLessThanOrEqual(20)
  })

  test.skipIf(!existsSync('/proc/net/udp'))(
    'counts what the system dropped, from /proc/net/udp (skipped where there is none)',
    async () => {
      const { seen, reader, port } = await open(udpSource({ port: 0, format: text(), receiveBufferBytes: 4096 }))
      const socket: Socket = createSocket('udp4')
      closing.push(() => new Promise<void>((resolve) => socket.close(resolve)))
      // One turn of the event loop: the system must hold all of these.
      let sent = 0
      const all: Promise<unknown>[] = []
      for (let i = 0; i < 2000; i++) {
        sent++
        all.push(new Promise((resolve) => socket.send('x'.repeat(1000), port, '127.0.0.1', resolve)))
      }
      await Promise.all(all)
      await sleep(50)
      let rows = 0
      for (let n = 0; n < 1000 && rows + seen.lost < sent; n++) {
        const reading = reader.read(100)
        for (const tick of seen.ticks.splice(0)) tick()
        const batch = await reading
        if (batch === 'end') break
        rows += batch.rows.length
        await sleep(1)
      }
      expect(rows + seen.lost).toBe(sent)
      expect(seen.lost).toBeGreaterThan(0)
      expect(seen.logs.some((log) => /the system dropped/.test(log))).toBe(true)
    },
  )

  test('reads the column of drops for all sockets of a port', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
      ' 1: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0000 7',
      ' 2: 00000000:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 2 2 0000 5',
      ' 3: 00000000:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 3 2 0000 9',
    ].join('\n')
    expect(dropsOf(table, 8080)).toBe(12)
    expect(dropsOf(table, 8082)).toBeUndefined()
  })

  test('joins multicast groups', async () => {
    const { rows, run } = receiving<number>({
      host: '0.0.0.0',
      multicast: ['239.1.2.3'],
      multicastInterface: '127.0.0.1',
    })
    const port = Number(new URL(await run.url('in')).port)
    const socket = createSocket('udp4')
    closing.push(() => new Promise<void>((resolve) => socket.close(resolve)))
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    socket.setMulticastInterface('127.0.0.1')
    await new Promise((resolve) => socket.send('7', port, '239.1.2.3', resolve))
    await eventually(() => rows.length === 1)
    expect(rows).toEqual([7])
  })

  test('refuses a port that is taken', async () => {
    const { run } = receiving()
    const { port } = await sender(run)
    const second = receiving({ port })
    await expect(second.run.done).rejects.toMatchObject({ code: 'LISTEN_PORT_IN_USE', step: 'in' })
    closing.pop()
  })
})

describe('a sender of datagrams', () => {
  async function target() {
    const socket = createSocket('udp4')
    const datagrams: string[] = []
    socket.on('message', (bytes) => datagrams.push(String(bytes)))
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    closing.push(() => new Promise<void>((resolve) => socket.close(resolve)))
    return { port: socket.address().port, datagrams }
  }

  describe('keeps the contract of sinks', () => {
    const make = async () => {
      const { port, datagrams } = await target()
      const read = async () => {
        await sleep(20)
        const lines = datagrams.join('').split('\n').slice(0, -1)
        return lines.map((line) => JSON.parse(line))
      }
      return { sink: udpSink<{ n: number }>({ port }), read }
    }
    for (const check of sinkContract('udp', { make, rows: [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }] }))
      test(check.name, check.run)
  })

  const rows = Array.from({ length: 200 }, (_, i) => i)

  test('sends a row each, or packs them', async () => {
    for (const [packBytes, most] of [
      [0, 4],
      [50, 50],
    ]) {
      const { port, datagrams } = await target()
      const flow = dataflow('send')
      flow.source('in', arraySource(rows), { time: 'processing' }).sink('out', udpSink<number>({ port, packBytes }))
      await live(flow).done
      await eventually(() => datagrams.join('').split('\n').length === 201)
      expect(datagrams.join('').split('\n').slice(0, -1).map(Number)).toEqual(rows)
      expect(Math.max(...datagrams.map((d) => d.length))).toBeLessThanOrEqual(most)
      expect(datagrams.length).toBe(packBytes === 0 ? 200 : datagrams.length)
      if (packBytes > 0) expect(datagrams.length).toBeLessThan(30)
    }
  })

  test('what the system refuses is counted, and the rest goes out', async () => {
    const { port, datagrams } = await target()
    const flow = dataflow('large')
    let lost = 0
    const sink = udpSink<string>({ port, format: text() })
    flow
      .source('in', arraySource(['a', 'x'.repeat(70_000), 'b']), { time: 'processing' })
      .sink('out', { ...sink, open: (ctx) => sink.open({ ...ctx, lost: (n) => (lost += n) }) })
    await live(flow).done
    await eventually(() => datagrams.length === 2)
    expect([datagrams, lost]).toEqual([['a\n', 'b\n'], 1])
  })

  test('a host without an address stops the flow before it starts', async () => {
    const flow = dataflow('nobody')
    flow
      .source('in', arraySource(['a']), { time: 'processing' })
      .sink('out', udpSink<string>({ host: 'nobody.invalid', port: 1 }))
    await expect(live(flow, { restartsMax: 0 }).done).rejects.toMatchObject({ code: 'SOCKET_UNREACHABLE' })
  })
})
