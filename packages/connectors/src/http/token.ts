/** The token that clients must show. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Does the request carry the token in its header? Takes as long for every wrong one. */
export function isAuthorized(request: Pick<IncomingMessage, 'headers'>, token: string | undefined): boolean {
  return token === undefined || isToken(bearerOf(request) ?? '', token)
}

export function bearerOf(request: Pick<IncomingMessage, 'headers'>): string | undefined {
  return /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

export function isToken(given: string, token: string): boolean {
  return timingSafeEqual(digest(given), digest(token))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
