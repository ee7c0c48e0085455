/** Every link of this package keeps the contract of links. */
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Link } from '../src/link/link.ts'
import { acceptWebSockets, connectWebSocket } from '../src/link/websocket.ts'
import { type MemoryLink, MemoryNetwork } from '../src/testing/memory-network.ts'
import { type TransportFixture, transportContract } from '../src/testing/transport-contract.ts'
import { realTime } from '../src/time.ts'
import { makeCertificate } from './certificate.ts'

const certificate = makeCertificate()

function memory(): { near: MemoryLink; far: MemoryLink } {
  const wire = new MemoryNetwork({ time: realTime }).open({ name: 'near' }, { name: 'far' })
  return { near: wire.dialer, far: wire.acceptor }
}

async function webSocket(isTls: boolean): Promise<TransportFixture> {
  const server = isTls ? createTlsServer(certificate) : createServer()
  const accepted = Promise.withResolvers<Link>()
  const acceptor = acceptWebSockets(server, accepted.resolve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const tls = { ca: certificate.cert, servername: 'localhost' }
  const near = await connectWebSocket(`${isTls ? 'wss' : 'ws'}://127.0.0.1:${port}`, isTls ? { tls } : {})
  return {
    near,
    far: await accepted.promise,
    close() {
      acceptor.close()
      server.close()
    },
  }
}

describe('the transport contract', () => {
  const kinds = { memory, WebSocket: () => webSocket(false), 'TLS WebSocket': () => webSocket(true) }
  for (const [name, open] of Object.entries(kinds)) {
    for (const check of transportContract(name, { open })) test(check.name, check.run)
  }
})

describe('the transport contract finds a link that', () => {
  const broken: Record<string, (link: MemoryLink) => Partial<Link>> = {
    'swaps two messages': (link) => {
      let n = 0
      let kept: Uint8Array | undefined
      return {
        send(message) {
          if (++n === 50) kept = message
          else link.send(message)
          if (n === 51 && kept !== undefined) link.send(kept)
        },
      }
    },
    'loses a message': (link) => {
      let n = 0
      return { send: (message) => void (++n !== 50 && link.send(message)) }
    },
    'sends a message twice': (link) => {
      let n = 0
      return {
        send(message) {
          link.send(message)
          if (++n === 50) link.send(message)
        },
      }
    },
    'never says that bytes wait': () => ({ bufferedBytes: 0 }),
    'closes without a reason': (link) => ({ close: () => link.close(1000, '') }),
  }
  for (const [name, change] of Object.entries(broken)) {
    test(name, async () => {
      const open = (): TransportFixture => {
        const { near, far } = memory()
        return { near: changed(near, change(near)), far }
      }
      const failures: string[] = []
      for (const check of transportContract('broken', { open, closeWithinMs: 20, arriveWithinMs: 100 })) {
        await check.run().catch(() => failures.push(check.name))
        if (failures.length > 0) break
      }
      expect(failures).toHaveLength(1)
    })
  }
})

function changed(link: MemoryLink, change: Partial<Link>): Link {
  return {
    peer: link.peer,
    get bufferedBytes() {
      return change.bufferedBytes ?? link.bufferedBytes
    },
    start: (events) => link.start(events),
    send: change.send ?? ((message) => link.send(message)),
    pause: () => link.pause(),
    resume: () => link.resume(),
    close: change.close ?? ((code, reason) => link.close(code, reason)),
    destroy: () => link.destroy(),
  }
}
