/** The browser's client on Node's own WebSocket, and what its bundle holds. */
import { computeNode, type Gateway, startGateway } from '@millrace/remote'
import { connect } from '@millrace/remote/browser'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { bundleForBrowsers } from './bundle.ts'
import { pageFunctions } from './page-functions.ts'
import { type PageReport, pageProgram } from './page-program.ts'

let gateway: Gateway
beforeEach(async () => {
  gateway = await startGateway({ port: 0 })
})
afterEach(() => gateway.close())

test('the program of the page runs on the WebSocket of Node', async () => {
  const functions = pageFunctions()
  const node = computeNode({ gateway: gateway.url, id: 'n' }).registerAll(functions)
  await node.start()
  const report: PageReport = await pageProgram(connect, gateway.url)
  expect(report).toEqual({
    sum: 3,
    bytes: [1, 2, 255],
    items: 100_000,
    isOrdered: true,
    ahead: expect.any(Number),
    error: 'USER_ERROR',
    near: ['add'],
    isClosed: true,
  })
  expect(report.ahead).toBeLessThanOrEqual(10 + 256)
  await node.close()
})

test('a gateway that is not there is said so', async () => {
  await expect(connect({ gateway: 'ws://127.0.0.1:1' })).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' })
  await expect(connect({ gateway: 'no address' })).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' })
})

test('the link is opened again after the gateway was away', async () => {
  const { port } = gateway
  const node = computeNode({ gateway: gateway.url, id: 'n' }).registerAll(pageFunctions())
  await node.start()
  const client = await connect<ReturnType<typeof pageFunctions>>({ gateway: gateway.url })
  expect(await client.call.add(1, 2)).toBe(3)
  await gateway.close()
  gateway = await startGateway({ port })
  expect(await client.call.add(2, 2)).toBe(4)
  await client.close()
  await node.close()
})

test('the bundle needs no module of Node, and is small', { timeout: 60_000 }, async () => {
  const { code, builtins } = await bundleForBrowsers()
  expect(builtins).toEqual([])
  expect(code.length).toBeLessThan(64 * 1024)
})
