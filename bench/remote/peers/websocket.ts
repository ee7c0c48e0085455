/** The cheapest that could be: a JSON message to a bare `ws` server and back, and a message per item; nothing else. */
import { WebSocket, WebSocketServer } from 'ws'
import { KIB_TEXT } from '../functions.ts'
import { measureCalls, measureItems } from '../load.ts'
import type { PeerCase } from './peer-case.ts'

/** Serves, and gives the port. A message [number, value] is sent back; { gen, fn } is answered by a message per item. */
export function serveWebSocket(): Promise<number> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as { readonly gen: number; readonly fn: string } | [number, unknown]
      if (Array.isArray(message)) socket.send(JSON.stringify(message))
      else void sendItems(socket, message.gen, message.fn)
    })
  })
  return new Promise((resolve) =>
    server.once('listening', () => resolve((server.address() as { readonly port: number }).port)),
  )
}

const BUFFER_BYTES = 1024 * 1024

async function sendItems(socket: WebSocket, count: number, fn: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    socket.send(JSON.stringify(fn === 'texts' ? KIB_TEXT : i))
    while (socket.bufferedAmount > BUFFER_BYTES) await new Promise((resolve) => setImmediate(resolve))
  }
}

export async function measureWebSocket(
  what: PeerCase,
  options: { readonly port: number; readonly callers: number; readonly ms: number; items: number; fn: string },
): Promise<unknown> {
  const { port, callers, ms, items, fn } = options
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  try {
    switch (what) {
      case 'calls': {
        const waiting = new Map<number, (value: unknown) => void>()
        let last = 0
        socket.on('message', (data) => {
          const [number, value] = JSON.parse(String(data)) as [number, unknown]
          waiting.get(number)?.(value)
          waiting.delete(number)
        })
        const call = (value: number): Promise<unknown> =>
          new Promise((resolve) => {
            waiting.set(++last, resolve)
            socket.send(JSON.stringify([last, value]))
          })
        return await measureCalls(call, callers, ms)
      }
      case 'items':
        return await measureItems(
          (count) => itemsOf(socket, count, fn),
          items,
          fn === 'texts' ? () => KIB_TEXT : (i) => i,
        )
      default:
        throw new Error(`a bare WebSocket has no case ${what}`)
    }
  } finally {
    socket.terminate()
  }
}

/** Gathers what has come, so that no item has a wait of its own. */
async function* itemsOf(socket: WebSocket, count: number, fn: string): AsyncIterable<unknown> {
  let come: unknown[] = []
  let wake = (): void => {}
  const onMessage = (data: unknown): void => {
    come.push(JSON.parse(String(data)))
    wake()
  }
  socket.on('message', onMessage)
  socket.send(JSON.stringify({ gen: count, fn }))
  for (let received = 0; received < count; ) {
    if (come.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const items = come
    come = []
    received += items.length
    yield* items
  }
  socket.off('message', onMessage)
}
