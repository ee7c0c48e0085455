/** Links over a real NATS server keep the contract of links. */
import type { ChildProcess } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Link } from '../src/link/link.ts'
import { acceptNats, connectNats, openNats } from '../src/link/nats.ts'
import { transportContract } from '../src/testing/transport-contract.ts'
import { freePort, hasNats, startNats } from './nats-server.ts'

describe.skipIf(!hasNats)('the transport contract', () => {
  let server: ChildProcess
  let url: string

  beforeAll(async () => {
    const port = await freePort()
    server = await startNats(port)
    url = `nats://127.0.0.1:${port}`
  })
  afterAll(() => void server.kill())

  const open = async () => {
    const address = { url, prefix: `test-${Math.random().toString(36).slice(2)}` }
    const accepted = Promise.withResolvers<Link>()
    const acceptor = acceptNats(await openNats(address), address, 'g', accepted.resolve)
    const near = await connectNats(address)
    return { near, far: await accepted.promise, close: () => acceptor.close() }
  }
  for (const check of transportContract('NATS', { open })) test(check.name, check.run)

  test('what the dialled end sends before the dialer listens is not lost', async () => {
    const address = { url, prefix: `test-${Math.random().toString(36).slice(2)}` }
    const acceptor = acceptNats(await openNats(address), address, 'g', (link) => {
      link.start({ onMessage() {}, onClose() {} })
      for (let i = 0; i < 10; i++) link.send(new Uint8Array([i]))
    })
    const near = await connectNats(address)
    const heard: number[] = []
    await new Promise<void>((resolve, reject) => {
      near.start({
        onMessage: ([i]) => void (heard.push(i) === 10 && resolve()),
        onClose: ({ reason }) => reject(new Error(reason)),
      })
    })
    expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    near.destroy()
    await acceptor.close()
  })

  test('a gateway that no NATS server carries is unreachable, by name', async () => {
    const error = await connectNats({ url: 'nats://127.0.0.1:1' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'GATEWAY_UNREACHABLE', data: { url: 'nats://127.0.0.1:1' } })
    const nobody = await connectNats({ url, prefix: 'nobody' }).catch((thrown: unknown) => thrown)
    expect(nobody).toMatchObject({ code: 'GATEWAY_UNREACHABLE' })
  })
})
