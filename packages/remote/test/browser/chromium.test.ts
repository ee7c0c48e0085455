/** The browser's client in a real Chromium, bundled, against a real gateway. Skipped where there is no Chromium. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { computeNode, type Gateway, startGateway } from '@millrace/remote'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundleForBrowsers } from './bundle.ts'
import { chromium, Page } from './chromium.ts'
import { pageFunctions } from './page-functions.ts'
import { pageProgram } from './page-program.ts'

const reason =
  chromium === undefined ? ' (skipped: there is no chromium on this machine; apt-get install chromium)' : ''

describe.skipIf(chromium === undefined)(`in Chromium${reason}`, () => {
  let site: Server
  let origin: string
  let page: Page
  let gateway: Gateway

  beforeAll(async () => {
    const { code } = await bundleForBrowsers()
    site = createServer((request, response) => {
      const isModule = request.url === '/client.js'
      response.setHeader('content-type', isModule ? 'text/javascript' : 'text/html')
      response.end(isModule ? code : '<!doctype html><title>test</title>')
    })
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
    gateway = await startGateway({ port: 0, origins: [origin] })
    page = await Page.open(`${origin}/`)
  }, 120_000)
  afterAll(async () => {
    await page?.close()
    await gateway?.close()
    site?.close()
  })

  test('a page calls, reads with back-pressure, cancels and is told of errors', { timeout: 60_000 }, async () => {
    const node = computeNode({ gateway: gateway.url, id: 'n' }).registerAll(pageFunctions())
    await node.start()
    const report = await page.evaluate(
      `import('/client.js').then(({ connect }) => (${String(pageProgram)})(connect, ${JSON.stringify(gateway.url)}))`,
    )
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
    const { ahead } = report as { ahead: number }
    expect(ahead).toBeGreaterThanOrEqual(10)
    expect(ahead).toBeLessThanOrEqual(10 + 256)
    await node.close()
  })

  test('a page finds the gateway again after it was away', { timeout: 60_000 }, async () => {
    const functions = pageFunctions()
    const node = computeNode({ gateway: gateway.url, id: 'n' }).registerAll(functions)
    await node.start()
    const url = JSON.stringify(gateway.url)
    await page.evaluate(
      `import('/client.js').then(async ({ connect }) => { window.client = await connect({ gateway: ${url} }) })`,
    )
    expect(await page.evaluate('client.call.add(1, 2)')).toBe(3)
    const { port } = gateway
    await gateway.close()
    gateway = await startGateway({ port, origins: [origin] })
    expect(await page.evaluate('client.call.add(2, 2)')).toBe(4)
    await page.evaluate('client.close()')
    await node.close()
  })

  test('a page whose origin the gateway does not list calls nothing', { timeout: 60_000 }, async () => {
    const closed = await startGateway({ port: 0 })
    const functions = { add: () => ran++ }
    let ran = 0
    const node = computeNode({ gateway: closed.url, id: 'n' }).registerAll(functions)
    await node.start()
    const code = await page.evaluate(
      `import('/client.js').then(({ connect }) => connect({ gateway: ${JSON.stringify(closed.url)} })).then((client) => client.call.add(), (error) => error.code)`,
    )
    expect(code).toBe('GATEWAY_UNREACHABLE')
    expect([ran, closed.stats.clients]).toEqual([0, 0])
    await node.close()
    await closed.close()
  })
})
