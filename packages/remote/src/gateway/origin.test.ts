/** Web pages and the port: a browser says where a page is from, and the gateway looks. */
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Gateway, startGateway } from '../index.ts'

let gateway: Gateway
afterEach(() => gateway.close())

/** What a page of this origin is answered, as an HTTP status; 101 is the link. */
async function knock(origin: string | undefined, host?: string): Promise<number> {
  const socket = new WebSocket(gateway.url, 'millrace.remote.1', {
    ...(origin === undefined ? {} : { origin }),
    ...(host === undefined ? {} : { headers: { host } }),
  })
  socket.on('error', () => {})
  const open = once(socket, 'open').then(() => 101)
  const refused = once(socket, 'unexpected-response').then(
    ([, response]) => (response as { statusCode: number }).statusCode,
  )
  open.catch(() => {})
  refused.catch(() => {})
  const status = await Promise.race([open, refused])
  socket.terminate()
  return status
}

test('no web page connects unless its origin is listed', async () => {
  gateway = await startGateway({ port: 0 })
  expect(await knock('https://evil.example')).toBe(403)
  // A name that was made to point here, so that page and port look like one site.
  expect(await knock(`http://evil.example:${gateway.port}`, `evil.example:${gateway.port}`)).toBe(403)
  expect(await knock('null')).toBe(403)
  expect(await knock(undefined)).toBe(101)
})

test('pages of listed origins connect, of others not', async () => {
  gateway = await startGateway({ port: 0, origins: ['https://app.example'] })
  expect(await knock('https://app.example')).toBe(101)
  expect(await knock('https://app.example:8443')).toBe(403)
  expect(await knock('http://app.example')).toBe(403)
})

test("'*' lets all pages in", async () => {
  gateway = await startGateway({ port: 0, origins: ['*'] })
  expect(await knock('https://anyone.example')).toBe(101)
})
