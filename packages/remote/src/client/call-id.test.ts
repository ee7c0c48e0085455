import { expect, test } from 'vitest'
import { computeNode, connect, startGateway } from '../index.ts'

test('a call has the id that its caller gave it, also when it is called again', async () => {
  const gateway = await startGateway({ port: 0 })
  const node = computeNode({ gateway: gateway.url, id: 'n' })
  node.register('idOf', (_: unknown, ctx) => ctx.id)
  await node.start()
  const client = await connect<{ idOf(n: number): string }>({ gateway: gateway.url })
  const named = client.with({ id: 'order-7' })
  expect(await named.call.idOf(1)).toBe('order-7')
  expect(await named.call.idOf(1)).toBe('order-7')
  expect(await client.call.idOf(1)).not.toBe(await client.call.idOf(1))
  await client.close()
  await node.close()
  await gateway.close()
})
