import { dataflow } from 'millrace'
import type { Position } from 'millrace/connector'
import { arraySink, arraySource, sinkContract } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { eventually, type LiveRun, live } from '../../test/live.ts'
import { webSocketIngest, webSocketSend, webSocketSubscribe } from './index.ts'

interface Row {
  readonly id: number
}

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})
function running(run: LiveRun): LiveRun {
  open.push({ close: () => run.stop().catch(() => {}) })
  return run
}

async function peer(join: (socket: WebSocket, nth: number) => void) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  let n = 0
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    join(socket, ++n)
  })
  const close = (): void => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
  open.push({ close })
  return { url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`, close, count: () => n }
}

const many = Array.from({ length: 3000 }, (_, id) => ({ id }))

describe('webSocketSend keeps the contract of sinks', () => {
  const make = async () => {
    const rows: unknown[] = []
    const server = await peer((socket) => socket.on('message', (data) => rows.push(JSON.parse(String(data)))))
    return { sink: webSocketSend<Row>({ url: server.url }), read: () => rows, close: server.close }
  }
  for (const check of sinkContract('send', { make, rows: many.slice(0, 5) })) test(check.name, check.run)
})

describe('webSocketSend', () => {
  const send = (url: string, options = {}) => {
    const flow = dataflow('send')
    flow.source('in', arraySource(many), { time: 'processing' }).sink('out', webSocketSend<Row>({ url, ...options }))
    return running(live(flow, { restartsMax: 0 }))
  }

  test('sends again what no pong has confirmed when the connection is lost', async () => {
    const seen = new Set<number>()
    const server = await peer((socket, nth) => {
      let n = 0
      socket.on('message', (data) => {
        // The first two connections end in the middle; what comes behind that was sent, and is not received.
        if (nth <= 2 && ++n > 700) socket.terminate()
        else seen.add((JSON.parse(String(data)) as Row).id)
      })
    })
    await send(server.url).done
    expect(server.count()).toBe(3)
    expect(seen.size).toBe(3000)
  })

  test('what one flow sends another one ingests', async () => {
    const rows: Row[] = []
    const to = dataflow('to')
    to.source('in', webSocketIngest<Row>({ port: 0 }), { time: 'processing' }).sink('out', arraySink(rows))
    const target = running(live(to))
    await send(await target.url('in')).done
    await eventually(() => rows.length === 3000)
    expect(rows).toEqual(many)
  })

  test('a server that refuses for good ends the run; one that is away does so after its failures', async () => {
    const to = dataflow('to')
    to.source('in', webSocketIngest({ port: 0, token: 'x' }), { time: 'processing' }).sink(
      'out',
      arraySink<unknown>([]),
    )
    const target = running(live(to))
    const url = await target.url('in')
    await expect(send(url).done).rejects.toMatchObject({ code: 'WEBSOCKET_REFUSED', data: { status: 401 } })
    await target.stop()
    await expect(send(url, { failuresMax: 2 }).done).rejects.toMatchObject({
      code: 'WEBSOCKET_UNREACHABLE',
      step: 'out',
    })
  })
})

describe('webSocketSubscribe', () => {
  const subscribe = (url: string, options = {}, rows: Row[] = []) => {
    const flow = dataflow('subscribe')
    flow
      .source('in', webSocketSubscribe<Row>({ url, ...options }), { time: 'processing', onError: 'skip' })
      .sink('out', arraySink(rows))
    return { run: running(live(flow, { restartsMax: 0 })), rows }
  }

  test('connects again and asks for what follows the last row it has', async () => {
    const asked: number[] = []
    const server = await peer((socket, nth) => {
      socket.once('message', (data) => {
        const { after } = JSON.parse(String(data)) as { after: number }
        asked.push(after)
        for (let id = after + 1; id <= Math.min(nth * 4, 12); id += 2)
          socket.send(JSON.stringify([{ id }, { id: id + 1 }]))
        socket.send('{oops')
        if (nth < 3) setTimeout(() => socket.terminate(), 20)
      })
    })
    const { rows } = subscribe(server.url, {
      onOpen: (cursor: Position | undefined) => [JSON.stringify({ after: cursor ?? 0 })],
      cursor: (row: Row) => row.id,
    })
    await eventually(() => rows.length >= 12)
    expect(rows.map((r) => r.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    expect(asked).toEqual([0, 4, 8])
  })

  test('a flow that is behind does not read: the server is held back', async () => {
    const sockets: WebSocket[] = []
    const server = await peer((socket) => sockets.push(socket))
    let isOpen = false
    let wake = (): void => {}
    const seen: number[] = []
    const flow = dataflow('behind')
    flow
      .source('in', webSocketSubscribe<Row & { text: string }>({ url: server.url, bufferRecords: 100 }), {
        time: 'processing',
      })
      .sink('out', {
        kind: 'gate',
        guarantee: 'at-least-once',
        describe: () => ({}),
        open: () => ({
          write(batch) {
            for (let i = 0; i < batch.length; i++) seen.push(batch.row(i).id)
            return isOpen ? undefined : new Promise<void>((resolve) => (wake = resolve))
          },
          close() {},
        }),
      })
    running(live(flow, { batchRows: 100 }))
    await eventually(() => sockets.length === 1)
    const text = 'x'.repeat(10_000)
    for (let id = 0; id < 5000; id++) sockets[0].send(JSON.stringify({ id, text }))
    await new Promise((resolve) => setTimeout(resolve, 500))
    // 50 MB were sent; most of them still lie on the server's side.
    expect(sockets[0].bufferedAmount).toBeGreaterThan(20_000_000)
    isOpen = true
    wake()
    await eventually(() => seen.length === 5000)
    expect(seen).toEqual(Array.from({ length: 5000 }, (_, id) => id))
  })

  test('a server that is silent and does not answer pings is left', async () => {
    const server = await peer((socket, nth) => {
      if (nth === 1) socket.pause()
      else socket.send('{"id":1}')
    })
    const { rows } = subscribe(server.url, { pingEvery: '50ms' })
    await eventually(() => rows.length === 1)
    expect(server.count()).toBe(2)
  })
})
