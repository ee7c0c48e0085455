/** One HTTP request as a client: with limits in time and bytes, and errors that say what happened. */
import { messageOf, OperationalError } from 'millrace/connector'

export interface CallOptions {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly timeoutMs: number
  readonly bytesMax: number
  readonly signal: AbortSignal
}

export interface CallResult {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** Statuses that a later attempt may not meet: the peer is busy, restarting, or behind a proxy that says so. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504])

export function mayPass(status: number): boolean {
  return PASSING.has(status)
}

/**
 * Redirects are not followed: a POST would arrive as a GET.
 * @throws OperationalError `HTTP_UNREACHABLE`, `HTTP_TIMEOUT`, `HTTP_BODY_TOO_LARGE`
 */
export async function call(url: URL, shown: string, options: CallOptions): Promise<CallResult> {
  const { method, headers, body, timeoutMs, bytesMax, signal } = options
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
      signal: AbortSignal.any([timeout, signal]),
    })
    return { status: response.status, headers: response.headers, body: await bodyOf(response, shown, bytesMax) }
  } catch (thrown) {
    if (thrown instanceof OperationalError) throw thrown
    throw callError(thrown, shown, timeout.aborted ? timeoutMs : undefined)
  }
}

/** What `fetch` threw, in words. `timeoutMs`: the time that was over. */
export function callError(thrown: unknown, shown: string, timeoutMs: number | undefined): OperationalError {
  const details = { data: { url: shown }, cause: thrown, retryable: true }
  if (timeoutMs !== undefined) {
    const text = `${shown} did not answer within ${timeoutMs} ms. Look whether it is overloaded, or give { timeout } more.`
    return new OperationalError('HTTP_TIMEOUT', text, details)
  }
  const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown
  const text = `${shown} cannot be reached: ${messageOf(cause)}. Look at the address, and whether the service runs.`
  return new OperationalError('HTTP_UNREACHABLE', text, details)
}

async function bodyOf(response: Response, shown: string, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > bytesMax) {
      throw new OperationalError(
        'HTTP_BODY_TOO_LARGE',
        `the answer of ${shown} is larger than ${bytesMax} bytes, and was not read further. Ask for less at once, or raise { maxBodyBytes }.`,
        { data: { url: shown, bytesMax } },
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** An answer that another attempt would get too. */
export function refusedError(shown: string, { status, body }: CallResult): OperationalError {
  const said = body.toString('utf8', 0, 300)
  return new OperationalError(
    'HTTP_REFUSED',
    `${shown} answered ${status}${said === '' ? '' : `: ${said}`}. Asking again would not change that: look at the address, the headers and the rows.`,
    { data: { url: shown, status } },
  )
}

/** Milliseconds of a Retry-After header: seconds, or a date. Undefined when there is none, or none that can be read. */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** Options of every HTTP client. */
export interface ClientOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as `Authorization: Bearer TOKEN`. */
  readonly token?: string
}

export function clientHeaders({ headers = {}, token }: ClientOptions): Record<string, string> {
  return { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
}
