import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { acceptWebSockets, connectWebSocket, isUnseen } from './websocket.ts'

test('payloads travel unmasked on this machine and in TLS, where no proxy sees them, and masked elsewhere', () => {
  for (const url of ['ws://127.0.0.1:1', 'ws://localhost:1', 'ws://[::1]:1', 'wss://example.org']) {
    expect(isUnseen(url), url).toBe(true)
  }
  for (const url of ['ws://example.org', 'ws://10.0.0.1:1', 'ws://localhost.example.org', 'ws://[::2]:1']) {
    expect(isUnseen(url), url).toBe(false)
  }
})

test('a frame of a client on this machine has the mark of a mask, as the protocol asks, and a mask of zeros', async () => {
  const server = createServer()
  const bytes: Buffer[] = []
  const accept = acceptWebSockets(server, (link) => link.start({ onMessage() {}, onClose() {} }))
  server.on('upgrade', (_, socket) => socket.prependListener('data', (chunk: Buffer) => bytes.push(chunk)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const link = await connectWebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  try {
    link.start({ onMessage() {}, onClose() {} })
    link.send(new Uint8Array([7, 8, 9]))
    await expect.poll(() => Buffer.concat(bytes).length, { timeout: 5_000 }).toBe(9)
    expect([...Buffer.concat(bytes)]).toEqual([0x82, 0x80 | 3, 0, 0, 0, 0, 7, 8, 9])
  } finally {
    link.destroy()
    accept.close()
    server.close()
  }
})
