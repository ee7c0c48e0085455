/** Rows to a URL: the sink `httpPost`. */
import {
  type Batch,
  type Duration,
  markedRow,
  messageOf,
  OperationalError,
  positiveDurationMs,
  type Sink,
  type SinkContext,
  type SinkWriter,
} from 'millrace/connector'
import { jsonText } from '../file/json-lines-encoder.ts'
import { Backoff, pause } from './backoff.ts'
import {
  type CallResult,
  type ClientOptions,
  call,
  clientHeaders,
  mayPass,
  refusedError,
  retryAfterMs,
} from './call.ts'
import { checkUrl, oneOf, shownUrl, wholeNumber } from './options.ts'

export interface HttpPostOptions<T> extends ClientOptions {
  readonly url: string | URL
  /** Default 'POST'. */
  readonly method?: 'POST' | 'PUT' | 'PATCH'
  /** 'ndjson' (default): a row per line. 'json': an array of rows. With `idempotencyKey` each request is one JSON value. */
  readonly format?: 'ndjson' | 'json'
  /**
   * Identity of a row. Each row is then a request of its own with the header `Idempotency-Key`, and a target that honours it
   * has every row once, whatever is sent again: the sink is 'idempotent'.
   */
  readonly idempotencyKey?: (row: T) => string
  /** Requests under way at a time, with `idempotencyKey`. Default 1: rows arrive in order. At most 64. */
  readonly inFlight?: number
  /** Largest body; a batch of rows is cut into as many requests as it needs. Default 1 MiB. */
  readonly maxRequestBytes?: number
  /** For one attempt. Default '10s'. */
  readonly timeout?: Duration
  /** How often a request is tried again after a failure that may pass. Default 5: about 3 seconds, without Retry-After. */
  readonly retries?: number
  /** The longest pause between two attempts, also where the target asks for more. Default '30s'. */
  readonly maxPause?: Duration
}

/** An answer is only looked at for its status and the beginning of its text. */
const ANSWER_BYTES_MAX = 1024 * 1024

/**
 * Posts rows. The flow waits for the answers: a slow target holds it back. 408, 425, 429, 500, 502, 503, 504, a lost
 * connection and a timeout are tried again, after a pause or after what Retry-After says; then, and after any other answer
 * than 2xx, the flow fails, and restarts from its last commit where the failure may pass.
 *
 * At-least-once; idempotent with `idempotencyKey`, and then no row can be taken back; else such a row has the member
 * `"$weight": -1`.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`
 * @throws OperationalError while running: `HTTP_REFUSED`, `HTTP_UNAVAILABLE`, `HTTP_UNREACHABLE`, `HTTP_TIMEOUT`, `RECORD_ENCODE`
 * @example httpPost({ url: 'http://localhost:9000/rows' }).guarantee // => 'at-least-once'
 */
export function httpPost<T>(options: HttpPostOptions<T>): Sink<T> {
  const { idempotencyKey } = options
  const url = checkUrl(options.url, ['http', 'https'])
  const settings: PostSettings<T> = {
    url,
    shown: shownUrl(url),
    method: oneOf('method', options.method ?? 'POST', ['POST', 'PUT', 'PATCH']),
    format: oneOf('format', options.format ?? 'ndjson', ['ndjson', 'json']),
    idempotencyKey,
    headers: clientHeaders(options),
    inFlightMax: wholeNumber('inFlight', options.inFlight ?? 1, 1, 64),
    requestBytesMax: wholeNumber('maxRequestBytes', options.maxRequestBytes ?? 1024 * 1024, 1, 256 * 1024 * 1024),
    timeoutMs: positiveDurationMs(options.timeout ?? '10s', 'timeout'),
    retriesMax: wholeNumber('retries', options.retries ?? 5, 0, 100),
    pauseMsMax: positiveDurationMs(options.maxPause ?? '30s', 'maxPause'),
  }
  return {
    kind: 'http.post',
    guarantee: idempotencyKey === undefined ? 'at-least-once' : 'idempotent',
    // A row and its taking back may have one identity: the target would pass over the second.
    takesChanges: idempotencyKey === undefined,
    describe: () => ({ url: settings.shown, method: settings.method }),
    open: (ctx) => new PostWriter<T>(settings, ctx),
  }
}

interface PostSettings<T> {
  readonly url: URL
  readonly shown: string
  readonly method: string
  readonly format: 'ndjson' | 'json'
  readonly idempotencyKey: ((row: T) => string) | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly inFlightMax: number
  readonly requestBytesMax: number
  readonly timeoutMs: number
  readonly retriesMax: number
  readonly pauseMsMax: number
}

interface Request {
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

class PostWriter<T> implements SinkWriter<T> {
  readonly #settings: PostSettings<T>
  readonly #ctx: SinkContext
  readonly #closed = new AbortController()
  #retries = 0

  constructor(settings: PostSettings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#ctx = ctx
  }

  async write(batch: Batch<T>): Promise<void> {
    // Rows are encoded before the first wait: a batch is only good until then.
    const requests = this.#settings.idempotencyKey === undefined ? this.#together(batch) : this.#apart(batch)
    let next = 0
    const send = async (): Promise<void> => {
      while (next < requests.length) await this.#send(requests[next++])
    }
    await Promise.all(Array.from({ length: Math.min(this.#settings.inFlightMax, requests.length) }, send))
  }

  close(): void {
    this.#closed.abort()
  }

  /** Bodies of many rows. */
  #together(batch: Batch<T>): Request[] {
    const { format, requestBytesMax } = this.#settings
    const isLines = format === 'ndjson'
    const headers = { 'content-type': isLines ? 'application/x-ndjson' : 'application/json' }
    const requests: Request[] = []
    let texts: string[] = []
    let bytes = 2
    const cut = (): void => {
      if (texts.length === 0) return
      requests.push({ headers, body: isLines ? `${texts.join('\n')}\n` : `[${texts.join(',')}]` })
      texts = []
      bytes = 2
    }
    for (let i = 0; i < batch.length; i++) {
      const text = this.#encode(markedRow(batch, i))
      const size = Buffer.byteLength(text) + 1
      if (bytes + size > requestBytesMax) cut()
      texts.push(text)
      bytes += size
    }
    cut()
    return requests
  }

  /** A body of its own for each row, with its identity. */
  #apart(batch: Batch<T>): Request[] {
    return Array.from({ length: batch.length }, (_, i) => {
      const row = batch.row(i)
      const key = this.#settings.idempotencyKey?.(row) ?? ''
      return { headers: { 'content-type': 'application/json', 'idempotency-key': key }, body: this.#encode(row) }
    })
  }

  #encode(row: T): string {
    try {
      return jsonText(row)
    } catch (thrown) {
      throw new OperationalError(
        'RECORD_ENCODE',
        `a row for ${this.#settings.shown} cannot be written as JSON: ${messageOf(thrown)}. Map such rows to plain values before the sink.`,
        { step: this.#ctx.step, cause: thrown },
      )
    }
  }

  async #send(request: Request): Promise<void> {
    const { shown, retriesMax, pauseMsMax } = this.#settings
    const backoff = new Backoff(pauseMsMax)
    for (;;) {
      const outcome = await this.#attempt(request)
      if (!(outcome instanceof OperationalError) && outcome.status >= 200 && outcome.status < 300) return
      if (!(outcome instanceof OperationalError) && !mayPass(outcome.status)) throw refusedError(shown, outcome)
      if (backoff.failures >= retriesMax) throw unavailable(outcome, shown, backoff.failures + 1)
      const asked = outcome instanceof OperationalError ? undefined : retryAfterMs(outcome.headers, Date.now())
      const pauseMs = Math.min(pauseMsMax, Math.max(backoff.next(), asked ?? 0))
      this.#ctx.gauge('retries', ++this.#retries)
      await pause(pauseMs, this.#closed.signal)
      if (this.#closed.signal.aborted) throw unavailable(outcome, shown, backoff.failures)
    }
  }

  async #attempt({ body, headers }: Request): Promise<CallResult | OperationalError> {
    const { url, shown, method, timeoutMs } = this.#settings
    try {
      return await call(url, shown, {
        method,
        headers: { ...this.#settings.headers, ...headers },
        body,
        timeoutMs,
        bytesMax: ANSWER_BYTES_MAX,
        signal: this.#closed.signal,
      })
    } catch (thrown) {
      if (thrown instanceof OperationalError && thrown.retryable) return thrown
      throw thrown
    }
  }
}

function unavailable(outcome: CallResult | OperationalError, shown: string, attempts: number): OperationalError {
  const [what, cause] =
    outcome instanceof OperationalError
      ? [outcome.message, outcome]
      : [`it answered ${outcome.status}.`, new Error(outcome.body.toString('utf8', 0, 300))]
  return new OperationalError(
    'HTTP_UNAVAILABLE',
    `${shown} took no rows in ${attempts} attempts: ${what} Nothing is lost: the flow goes on from its last commit when the target is back; { retries, maxPause } say how long it waits.`,
    { data: { url: shown, attempts }, cause, retryable: true },
  )
}
