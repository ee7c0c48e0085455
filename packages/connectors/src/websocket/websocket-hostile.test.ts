import { randomBytes } from 'node:crypto'
import { dataflow } from 'millrace'
import { arraySink } from 'millrace/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { client, type LiveRun, live, rawSocket } from '../../test/live.ts'
import { crowd } from '../../test/live-crowd.ts'
import { webSocketIngest } from './index.ts'

const CONNECTIONS = Number(process.env.MILLRACE_CASES ?? 1) >= 3 ? 10_000 : 500

interface Row {
  readonly id: number
}

let run: LiveRun
let rows: Row[]
let url: string
const closing: { close(): void }[] = []

beforeEach(async () => {
  rows = []
  const flow = dataflow('hostile')
  flow
    .source(
      'in',
      webSocketIngest<Row>({ port: 0, ackId: (r) => r.id, maxMessageBytes: 10_000, maxConnections: 12_000 }),
      {
        time: 'processing',
      },
    )
    .sink('out', arraySink(rows))
  run = live(flow, { restartsMax: 0 })
  url = await run.url('in')
})
afterEach(async () => {
  for (const one of closing.splice(0)) one.close()
  await run.stop()
})

async function expectUnharmed(): Promise<void> {
  const good = await client(url)
  good.send({ id: 1 })
  await good.until((m) => JSON.stringify(m) === '[{"ack":[1]}]')
  expect(rows).toEqual([{ id: 1 }])
  good.socket.terminate()
}

const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

/** A client's frame; its mask is four zeros. */
function frame(firstByte: number, payload: Uint8Array, length = payload.length): Buffer {
  const size = Buffer.alloc(10)
  size[0] = firstByte
  size[1] = 0x80 | 127
  size.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([size, Buffer.alloc(4), payload])
}

async function upgraded() {
  const socket = await rawSocket(url)
  socket.write(HANDSHAKE)
  await new Promise((resolve) => socket.once('data', resolve))
  expect(socket.text()).toContain('101')
  return socket
}

describe('one that misbehaves', () => {
  test.each([
    ['frames that are none', randomBytes(1000).fill(0x7f, 0, 1)],
    ['a frame that is not masked', Buffer.from([0x81, 2, 0x7b, 0x7d])],
    ['a text that is not UTF-8', frame(0x81, Buffer.from([0xff, 0xfe]))],
    ['a message over the limit', frame(0x81, Buffer.alloc(20_000, 0x20))],
    ['a frame that claims to be endless', frame(0x81, Buffer.alloc(0), Number.MAX_SAFE_INTEGER)],
    ['a control frame that is too long', frame(0x89, Buffer.alloc(200))],
    ['a continuation of nothing', frame(0x80, Buffer.from('x'))],
    ['a compressed frame nobody agreed to', frame(0xc1, Buffer.from('x'))],
  ])('sends %s', async (_what, bytes) => {
    const socket = await upgraded()
    socket.write(bytes)
    await socket.gone
    await expectUnharmed()
  })

  test('sends a message in endless fragments', async () => {
    const socket = await upgraded()
    socket.write(frame(0x01, Buffer.from('x')))
    const timer = setInterval(() => {
      for (let i = 0; i < 100; i++) socket.write(frame(0x00, Buffer.from('x')))
    }, 1)
    await socket.gone
    clearInterval(timer)
    await expectUnharmed()
  })

  test('sends brackets that would overflow a stack', async () => {
    const bad = await client(url)
    bad.send('['.repeat(9000))
    await bad.until((m) => m.length === 1)
    expect(JSON.stringify(bad.messages)).toContain('JSON_DEEP')
    await expectUnharmed()
  })

  test('resets the connection in the middle of a frame', async () => {
    const socket = await upgraded()
    socket.write(frame(0x81, Buffer.from('{"id'), 1000))
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.resetAndDestroy()
    await expectUnharmed()
  })

  test('asks for answers without end and does not read them', async () => {
    const socket = await upgraded()
    socket.pause()
    const ping = Buffer.concat([Buffer.from([0x89, 0x80 | 100]), Buffer.alloc(4 + 100)])
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => ping))
    let isGone = false
    void socket.gone.then(() => {
      isGone = true
    })
    // 100 MB of pongs would pile up on the other side; it ends the connection long before.
    let sent = 0
    for (; sent < 1000 && !isGone && socket.writable; sent++)
      await new Promise((resolve) => (socket.write(pings, resolve) ? setImmediate(resolve) : undefined))
    expect(sent).toBeLessThan(500)
    socket.resume()
    await socket.gone
    await expectUnharmed()
  }, 30_000)

  test('shakes hands wrongly', async () => {
    const socket = await rawSocket(url)
    socket.write(HANDSHAKE.replace('Version: 13', 'Version: 99'))
    await socket.gone
    expect(socket.text()).toContain('HTTP/1.1 400')
    await expectUnharmed()
  })
})

describe(`${CONNECTIONS} connections`, () => {
  test.each([
    ['say nothing', ''],
    ['shake hands and say nothing', HANDSHAKE.replaceAll('\r\n', '\\r\\n')],
  ])(
    'that %s leave the flow running and others unharmed',
    async (_what, says) => {
      const before = process.memoryUsage().rss
      closing.push(await crowd({ url, count: CONNECTIONS, says }))
      await expectUnharmed()
      expect(process.memoryUsage().rss - before).toBeLessThan(CONNECTIONS * 150_000 + 200_000_000)
    },
    120_000,
  )
})
