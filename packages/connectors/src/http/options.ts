/** Checks of options that live connectors have in common. */
import { UsageError } from 'millrace/connector'

/** @throws UsageError `LIVE_OPTION` when it is no whole number in the range */
export function wholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new UsageError('LIVE_OPTION', `${name} is ${value}; it must be a whole number from ${min} to ${max}.`)
}

/** @throws UsageError `LIVE_OPTION` when it is none of the words */
export function oneOf<W extends string>(name: string, value: W, words: readonly W[]): W {
  if (words.includes(value)) return value
  const list = words.map((word) => `'${word}'`).join(', ')
  throw new UsageError('LIVE_OPTION', `${name} is ${JSON.stringify(value)}; it must be one of ${list}.`)
}

/** @throws UsageError `LIVE_OPTION` when it is no URL of these schemes */
export function checkUrl(value: string | URL, schemes: readonly string[]): URL {
  const text = String(value)
  if (URL.canParse(text)) {
    const url = new URL(text)
    if (schemes.includes(url.protocol.slice(0, -1))) return url
  }
  throw new UsageError(
    'LIVE_OPTION',
    `url is ${JSON.stringify(text)}; it must be a whole URL that begins with ${schemes.join(':// or ')}://.`,
  )
}

/** A URL for plans and logs: without user, password and query, which may hold secrets. */
export function shownUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`
}

/** @throws UsageError `LIVE_OPTION` for a path no request can have, or an empty token */
export function checkDoor(path: string, token: string | undefined): void {
  if (!path.startsWith('/') || path === '/health' || path.includes('?')) {
    const rule = 'it must begin with "/", have no query, and not be "/health"'
    throw new UsageError('LIVE_OPTION', `path is ${JSON.stringify(path)}; ${rule}.`)
  }
  if (token === '') throw new UsageError('LIVE_OPTION', 'token is empty; leave it out, or give it a text.')
}
