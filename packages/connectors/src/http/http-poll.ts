/** Rows that a URL gives when it is asked: the source `httpPoll`. */
import {
  type Duration,
  messageOf,
  OperationalError,
  type Position,
  positiveDurationMs,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'
import { checkSchema, type StandardSchema, validate } from '../file/standard-schema.ts'
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
import { checkPosition } from './intake.ts'
import { checkUrl, shownUrl, wholeNumber } from './options.ts'

export interface HttpPollOptions<T> extends ClientOptions {
  /** What to ask; a function gets the cursor of the last row that was read, undefined at first. */
  readonly url: string | URL | ((cursor: Position | undefined) => string | URL)
  /** Pause between two questions. With a cursor there is none as long as new rows come. */
  readonly every: Duration
  /** The rows of an answer, JSON. Default: the elements of an array, or the one value. */
  readonly rows?: (body: unknown) => readonly unknown[]
  /**
   * What `url` needs to give the rows after this one: an id, a time. It is kept with the position. Rows must come in its
   * order, and be given again when asked for again; the source then counts as replayable.
   */
  readonly cursor?: (row: T) => Position
  /** A Standard Schema (zod, valibot, arktype, ...) that every row must fit; others go to the source's `onError`. */
  readonly schema?: StandardSchema<T>
  /** For one question. Default '10s'. */
  readonly timeout?: Duration
  /** Largest answer. Default 16 MiB: it is held in memory whole. */
  readonly maxBodyBytes?: number
  /** So many failures in a row end the run (it restarts where it may). Default 20: about five minutes. */
  readonly failuresMax?: number
}

export type PollPosition = {
  readonly cursor?: Position
  readonly etag?: string
  readonly modified?: string
  readonly records: number
}

const PARTITION = 'http'
const PAUSE_MS_MAX = 30_000
/** A read with nothing to give says so after this long. */
const WAIT_MS = 500
const RAW_CHARS = 4096

/**
 * Asks a URL again and again. ETag and Last-Modified of the last answer are sent back, so an answer that did not change
 * (304) costs nothing and gives nothing. A failure that may pass is retried after a growing pause or what Retry-After says,
 * and the flow runs on meanwhile.
 *
 * With `cursor` a restart goes on behind the last committed row. Without, every answer that changed gives all its rows, and
 * a restart in the middle of one gives it again.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `HTTP_REFUSED`, `HTTP_UNREACHABLE`, `HTTP_TIMEOUT`, `HTTP_BODY_TOO_LARGE`, `HTTP_BODY`,
 *   `LIVE_POSITION`
 * @example httpPoll({ url: 'http://localhost:9000/rows', every: '10s' }).replayable // => false
 */
export function httpPoll<T>(options: HttpPollOptions<T>): Source<T> {
  const { url, schema, cursor, every } = options
  if (typeof url !== 'function') checkUrl(url, ['http', 'https'])
  if (schema !== undefined) checkSchema(schema)
  const settings: PollSettings<T> = {
    url: (at) => checkUrl(typeof url === 'function' ? url(at) : url, ['http', 'https']),
    everyMs: positiveDurationMs(every, 'every'),
    rows: options.rows ?? ((body) => (Array.isArray(body) ? body : [body])),
    cursor,
    schema,
    headers: clientHeaders(options),
    timeoutMs: positiveDurationMs(options.timeout ?? '10s', 'timeout'),
    bytesMax: wholeNumber('maxBodyBytes', options.maxBodyBytes ?? 16 * 1024 * 1024, 1, 1024 ** 3),
    failuresMax: wholeNumber('failuresMax', options.failuresMax ?? 20, 1, 1_000_000),
  }
  return {
    kind: 'http.poll',
    replayable: cursor !== undefined,
    describe: () => ({ url: typeof url === 'function' ? 'by cursor' : shownUrl(new URL(String(url))), every }),
    partitions: () => [PARTITION],
    open: (_partition, position, ctx) =>
      new PollReader<T>(settings, checkPosition<PollPosition>(position, ctx.step), ctx),
  }
}

interface PollSettings<T> {
  readonly url: (cursor: Position | undefined) => URL
  readonly everyMs: number
  readonly rows: (body: unknown) => readonly unknown[]
  readonly cursor: ((row: T) => Position) | undefined
  readonly schema: StandardSchema<T> | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly bytesMax: number
  readonly failuresMax: number
}

interface Validators {
  readonly etag?: string | undefined
  readonly modified?: string | undefined
}

/** An answer: what is left of its rows, and what to say the next time when all of them are read. */
interface Page extends Validators {
  readonly values: readonly unknown[]
}

class PollReader<T> implements SourceReader<T> {
  readonly #settings: PollSettings<T>
  readonly #ctx: SourceContext
  readonly #closed = new AbortController()
  readonly #backoff = new Backoff(PAUSE_MS_MAX)
  #position: PollPosition
  #page: Page | undefined
  #read = 0
  #asking: Promise<void> | undefined
  #failure: unknown
  /** The last answer said that there is nothing new. */
  #isCaughtUp = false
  /** Rows came, and the cursor moved: there may be more at once. */
  #mayHaveMore = true

  constructor(settings: PollSettings<T>, position: PollPosition, ctx: SourceContext) {
    this.#settings = settings
    this.#position = position
    this.#ctx = ctx
  }

  async read(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    if (this.#page === undefined && !this.#closed.signal.aborted) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined
      })
      await Promise.race([this.#asking, pause(WAIT_MS, this.#closed.signal)])
    }
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closed.signal.aborted) return 'end'
    return this.#take(maxRows)
  }

  lag(): number | undefined {
    return this.#page === undefined ? undefined : this.#page.values.length - this.#read
  }

  close(): void {
    this.#closed.abort()
  }

  /** One question, when it is time. Failures that may pass are kept for later; others for `read` to throw. */
  async #ask(): Promise<void> {
    const { everyMs, cursor } = this.#settings
    if (!this.#mayHaveMore) await pause(everyMs, this.#closed.signal)
    if (this.#closed.signal.aborted) return
    try {
      const url = this.#settings.url(this.#position.cursor)
      const result = await this.#call(url)
      this.#mayHaveMore = false
      if (result === undefined) return
      this.#backoff.reset()
      if (result.status === 304) {
        this.#isCaughtUp = true
        return
      }
      const values = this.#valuesOf(result, shownUrl(url))
      this.#isCaughtUp = cursor === undefined || values.length === 0
      this.#read = 0
      this.#page = {
        values,
        etag: result.headers.get('etag') ?? undefined,
        modified: result.headers.get('last-modified') ?? undefined,
      }
    } catch (thrown) {
      if (!this.#closed.signal.aborted) this.#failure = thrown
    }
  }

  /** Undefined: it failed, may pass, and the pause is over. */
  async #call(url: URL): Promise<CallResult | undefined> {
    const { headers, timeoutMs, bytesMax, failuresMax } = this.#settings
    const { etag, modified } = this.#position
    const shown = shownUrl(url)
    let asked: number | undefined
    let failure: unknown
    try {
      const result = await call(url, shown, {
        method: 'GET',
        headers: {
          accept: 'application/json',
          ...headers,
          ...(etag === undefined ? {} : { 'if-none-match': etag }),
          ...(modified === undefined ? {} : { 'if-modified-since': modified }),
        },
        timeoutMs,
        bytesMax,
        signal: this.#closed.signal,
      })
      if (result.status === 304 || (result.status >= 200 && result.status < 300)) return result
      failure = refusedError(shown, result)
      if (!mayPass(result.status)) throw failure
      asked = retryAfterMs(result.headers, this.#ctx.now())
    } catch (thrown) {
      if (!(thrown instanceof OperationalError) || !thrown.retryable) throw thrown
      failure = thrown
    }
    const pauseMs = Math.max(this.#backoff.next(), Math.min(asked ?? 0, PAUSE_MS_MAX))
    if (this.#backoff.failures >= failuresMax) throw failure
    this.#ctx.gauge('failures_in_a_row', this.#backoff.failures)
    if (this.#backoff.failures === 1) this.#ctx.log('warn', `${messageOf(failure)} Asking again, less and less often.`)
    await pause(pauseMs, this.#closed.signal)
    return undefined
  }

  #valuesOf(result: CallResult, shown: string): readonly unknown[] {
    try {
      return this.#settings.rows(JSON.parse(result.body.toString('utf8')))
    } catch (thrown) {
      throw new OperationalError(
        'HTTP_BODY',
        `the answer of ${shown} has no rows that can be read: ${messageOf(thrown)}. It must be JSON; { rows } says where the rows are in it.`,
        { data: { url: shown }, cause: thrown },
      )
    }
  }

  #take(maxRows: number): SourceBatch<T> {
    const page = this.#page
    const rows: T[] = []
    const at: number[] = []
    let { cursor, records: count } = this.#position
    for (; page !== undefined && this.#read < page.values.length && rows.length < maxRows; this.#read++) {
      const row = this.#check(page.values[this.#read], ++count)
      if (row === undefined) continue
      rows.push(row.value)
      at.push(count)
      cursor = this.#settings.cursor?.(row.value) ?? cursor
    }
    const isWhole = page !== undefined && this.#read === page.values.length
    const hasMoved = JSON.stringify(cursor) !== JSON.stringify(this.#position.cursor)
    this.#mayHaveMore ||= hasMoved
    if (isWhole && !hasMoved) this.#isCaughtUp = true
    // What the server said of this address says nothing of the next one.
    const kept: Validators = hasMoved ? {} : isWhole ? page : this.#position
    this.#position = {
      records: count,
      ...(cursor === undefined ? {} : { cursor }),
      ...(kept.etag === undefined ? {} : { etag: kept.etag }),
      ...(kept.modified === undefined ? {} : { modified: kept.modified }),
    }
    if (isWhole) this.#page = undefined
    return {
      rows,
      next: this.#position,
      caughtUp: this.#isCaughtUp && this.#page === undefined,
      at: (i) => at[i],
    }
  }

  #check(value: unknown, at: number): { readonly value: T } | undefined {
    const { schema } = this.#settings
    if (schema === undefined) return { value: value as T }
    const checked = validate(schema, value)
    if (checked.problem === undefined) return { value: checked.value }
    const message = `the row does not fit the schema: ${checked.problem}`
    const raw = JSON.stringify(value)?.slice(0, RAW_CHARS)
    this.#ctx.reject({ code: 'SCHEMA_MISS', message, partition: PARTITION, at, raw })
    return undefined
  }
}
