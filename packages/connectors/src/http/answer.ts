/** What an ingesting server answers, and how it turns a request away without reading it to its end. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Refusal } from './body.ts'

/** A client that is turned away gets this long, and may send so much, before its connection is cut. */
const LINGER_MS = 1000
const LINGER_BYTES = 1024 * 1024

/** Seconds after which a client may try again what did not fit now. */
const RETRY_AFTER_S = 1

export function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, headersOf(status, text))
  response.end(text)
}

/**
 * Answers a request whose body is not wanted. The answer goes out whole, but the connection is closed only when the
 * client has sent its body, or much of it, or for a second: closing at once would throw the answer away on its way.
 */
export function turnAway(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) return
  const body = { error: { code: refusal.code, message: refusal.message } }
  // A client that asks before it sends (100-continue) has sent nothing.
  if (request.complete || request.headers.expect !== undefined) {
    if (!request.complete) response.setHeader('connection', 'close')
    answer(response, refusal.status, body)
    return
  }
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(refusal.status, { ...headersOf(refusal.status, text), connection: 'close' })
  response.write(text)
  let discarded = 0
  const finish = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(finish, LINGER_MS)
  request.on('data', (chunk: Buffer) => {
    discarded += chunk.length
    if (discarded > LINGER_BYTES) finish()
  })
  request.once('end', finish)
  request.once('close', finish)
  request.resume()
}

function headersOf(status: number, text: string): Record<string, string | number> {
  return {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(status === 503 ? { 'retry-after': RETRY_AFTER_S } : {}),
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(status === 405 ? { allow: 'POST' } : {}),
  }
}
