/** Rows of an answer that does not end, NDJSON or server-sent events: the source `httpStream`. */
import {
  type Duration,
  messageOf,
  OperationalError,
  positiveDurationMs,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'
import { tooLarge } from '../file/decoder.ts'
import { checkSchema, type StandardSchema } from '../file/standard-schema.ts'
import { Backoff, pause } from './backoff.ts'
import { type ClientOptions, callError, clientHeaders, mayPass, refusedError, retryAfterMs } from './call.ts'
import { checkPosition, type Entry } from './intake.ts'
import { decodeBody } from './json-rows.ts'
import { checkUrl, shownUrl, wholeNumber } from './options.ts'
import { EventLines } from './server-sent-events.ts'
import { TextLines } from './text-lines.ts'

export interface HttpStreamOptions<T> extends ClientOptions {
  readonly url: string | URL
  /** Server-sent events: only those with this name (`event:`). Default: all. */
  readonly event?: string
  /** A Standard Schema (zod, valibot, arktype, ...) that every row must fit. Without one every JSON object is taken. */
  readonly schema?: StandardSchema<T>
  /** The server must begin to answer within this time. Default '10s'. */
  readonly timeout?: Duration
  /** After this long without a byte the connection counts as dead. Servers send comments or empty lines meanwhile. Default '60s'. */
  readonly silence?: Duration
  /** Longer lines and events are skipped, and rejected. Default 1 MiB. */
  readonly maxLineBytes?: number
  /** So many failures in a row end the run (it restarts where it may). Default 20: about seven minutes. */
  readonly failuresMax?: number
}

/** `id`: of the last server-sent event, which the server is told when the connection is made anew. */
export type StreamPosition = { readonly records: number; readonly id?: string }

const PARTITION = 'http'
const PAUSE_MS_MAX = 30_000
const WAIT_MS = 500

/**
 * Reads an endless answer, and connects again when it ends or falls silent, after a growing pause. A flow that is behind
 * reads no further: TCP holds the server back.
 *
 * A server that sends event ids is told the last one that was committed (`Last-Event-ID`) and can go on from there. What
 * another server sends between two connections is missed: each such gap is logged, and counted in `gaps`. Not replayable.
 *
 * @throws UsageError `LIVE_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `HTTP_REFUSED` for an answer that another attempt would get too, and after too many
 *   failures `HTTP_UNREACHABLE`, `HTTP_TIMEOUT`, `HTTP_STREAM_LOST`
 * @example httpStream({ url: 'http://localhost:9000/events' }).replayable // => false
 */
export function httpStream<T>(options: HttpStreamOptions<T>): Source<T> {
  const { schema, event } = options
  const url = checkUrl(options.url, ['http', 'https'])
  if (schema !== undefined) checkSchema(schema)
  const settings: StreamSettings<T> = {
    url,
    shown: shownUrl(url),
    event,
    schema,
    headers: clientHeaders(options),
    timeoutMs: positiveDurationMs(options.timeout ?? '10s', 'timeout'),
    silenceMs: positiveDurationMs(options.silence ?? '60s', 'silence'),
    failuresMax: wholeNumber('failuresMax', options.failuresMax ?? 20, 1, 1_000_000),
    lineBytesMax: wholeNumber('maxLineBytes', options.maxLineBytes ?? 1024 * 1024, 1, 256 * 1024 * 1024),
  }
  return {
    kind: 'http.stream',
    replayable: false,
    onError: 'skip',
    describe: () => ({ url: settings.shown, ...(event === undefined ? {} : { event }) }),
    partitions: () => [PARTITION],
    open: (_partition, position, ctx) =>
      new StreamReader<T>(settings, checkPosition<StreamPosition>(position, ctx.step), ctx),
  }
}

interface StreamSettings<T> {
  readonly url: URL
  readonly shown: string
  readonly event: string | undefined
  readonly schema: StandardSchema<T> | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly silenceMs: number
  readonly lineBytesMax: number
  readonly failuresMax: number
}

type Read = { readonly entry: Entry<unknown>; readonly id: string | undefined }

class StreamReader<T> implements SourceReader<T> {
  readonly #settings: StreamSettings<T>
  readonly #ctx: SourceContext
  readonly #closed = new AbortController()
  readonly #backoff = new Backoff(PAUSE_MS_MAX)
  readonly #lines: TextLines
  readonly #events: EventLines
  #position: StreamPosition
  /** Decoded from the last chunk and not given; no further chunk is read meanwhile. */
  #ready: Read[] = []
  #body: ReadableStreamDefaultReader<Uint8Array> | undefined
  #connection = new AbortController()
  #isEvents = false
  #reading: Promise<void> | undefined
  #failure: unknown
  #gaps = 0

  constructor(settings: StreamSettings<T>, position: StreamPosition, ctx: SourceContext) {
    this.#settings = settings
    this.#position = position
    this.#ctx = ctx
    this.#lines = new TextLines(settings.lineBytesMax)
    this.#events = new EventLines(settings.lineBytesMax, position.id)
  }

  async read(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    if (this.#ready.length === 0 && !this.#closed.signal.aborted) {
      this.#reading ??= this.#next().finally(() => {
        this.#reading = undefined
      })
      await Promise.race([this.#reading, pause(WAIT_MS, this.#closed.signal)])
    }
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closed.signal.aborted) return 'end'
    return this.#take(maxRows)
  }

  lag(): number {
    return this.#ready.length
  }

  close(): void {
    this.#closed.abort()
    this.#connection.abort()
  }

  /** Connects when there is no connection, and decodes one chunk. What cannot pass is kept for `read` to throw. */
  async #next(): Promise<void> {
    try {
      await this.#step()
    } catch (thrown) {
      if (!this.#closed.signal.aborted) this.#failure = thrown
    }
  }

  async #step(): Promise<void> {
    let why: string
    try {
      this.#body ??= await this.#connect()
      if (this.#body === undefined) return
      const body = this.#body
      const silence = setTimeout(() => this.#connection.abort(), this.#settings.silenceMs)
      const { value, done } = await body.read().finally(() => clearTimeout(silence))
      if (!done) {
        this.#decode(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
        return
      }
      why = 'the server ended the answer'
    } catch (thrown) {
      if (thrown instanceof OperationalError) throw thrown
      why = this.#connection.signal.aborted ? 'it fell silent' : messageOf(thrown)
    }
    if (!this.#closed.signal.aborted) await this.#lose(why)
  }

  /** Undefined: it failed, may pass, and the pause is over. @throws OperationalError `HTTP_REFUSED` */
  async #connect(): Promise<ReadableStreamDefaultReader<Uint8Array> | undefined> {
    const { url, shown, headers, timeoutMs } = this.#settings
    this.#connection = new AbortController()
    const id = this.#position.id
    const accept = 'text/event-stream, application/x-ndjson'
    const late = setTimeout(() => this.#connection.abort(), timeoutMs)
    let response: Response
    try {
      response = await fetch(url, {
        headers: { accept, ...headers, ...(id === undefined ? {} : { 'last-event-id': id }) },
        redirect: 'manual',
        signal: this.#connection.signal,
      })
    } catch (thrown) {
      const isLate = this.#connection.signal.aborted
      return this.#retry(callError(thrown, shown, isLate ? timeoutMs : undefined), undefined)
    } finally {
      clearTimeout(late)
    }
    if (response.status === 200 && response.body !== null) {
      this.#isEvents = (response.headers.get('content-type') ?? '').startsWith('text/event-stream')
      this.#lines.reset()
      this.#events.reset()
      return response.body.getReader()
    }
    await response.body?.cancel()
    const refused = refusedError(shown, { status: response.status, headers: response.headers, body: Buffer.alloc(0) })
    if (response.status !== 204 && !mayPass(response.status)) throw refused
    return this.#retry(refused, retryAfterMs(response.headers, this.#ctx.now()))
  }

  /** Waits before the next attempt. @throws OperationalError what failed, when it failed too often */
  async #retry(failure: OperationalError, askedMs: number | undefined): Promise<undefined> {
    const pauseMs = Math.max(this.#backoff.next(), Math.min(PAUSE_MS_MAX, askedMs ?? this.#events.retryMs ?? 0))
    if (this.#backoff.failures > this.#settings.failuresMax) throw failure
    if (this.#backoff.failures === 1) this.#ctx.log('warn', `${failure.message} Connecting again, less and less often.`)
    this.#ctx.gauge('failures_in_a_row', this.#backoff.failures)
    await pause(pauseMs, this.#closed.signal)
    return undefined
  }

  async #lose(why: string): Promise<void> {
    this.#body = undefined
    this.#connection.abort()
    const { shown } = this.#settings
    this.#ctx.gauge('gaps', ++this.#gaps)
    const { id } = this.#position
    const missed = id === undefined ? 'What it sends meanwhile is missed.' : `It is asked for what follows ${id}.`
    const text = `the stream ${shown} was lost: ${why}. ${missed}`
    await this.#retry(
      new OperationalError('HTTP_STREAM_LOST', text, { data: { url: shown }, retryable: true }),
      undefined,
    )
  }

  #decode(chunk: Buffer): void {
    this.#backoff.reset()
    for (const { bytes, isTooLong } of this.#lines.cut(chunk)) {
      if (isTooLong) this.#put({ bad: tooLong(bytes, this.#settings.lineBytesMax) }, undefined)
      else if (this.#isEvents) this.#event(bytes)
      else if (bytes.length > 0) this.#row(bytes, undefined)
    }
  }

  #event(bytes: Buffer): void {
    const event = this.#events.line(bytes.toString('utf8'))
    if (event === undefined) return
    const { event: wanted } = this.#settings
    if (wanted === undefined || event.event === wanted) this.#row(Buffer.from(event.data), event.id)
  }

  #row(bytes: Buffer, id: string | undefined): void {
    const { entries } = decodeBody(bytes, 'json', this.#settings.schema)
    // An array is several rows of one event: the last of them moves the position behind it.
    for (const [i, entry] of entries.entries()) this.#put(entry, i === entries.length - 1 ? id : undefined)
  }

  #put(entry: Entry<unknown>, id: string | undefined): void {
    this.#ready.push({ entry, id })
  }

  #take(maxRows: number): SourceBatch<T> {
    const rows: T[] = []
    const at: number[] = []
    let { records: count, id } = this.#position
    let n = 0
    for (; n < this.#ready.length && rows.length < maxRows; n++) {
      const read = this.#ready[n]
      count++
      id = read.id ?? id
      if ('row' in read.entry) {
        rows.push(read.entry.row as T)
        at.push(count)
      } else this.#ctx.reject({ ...read.entry.bad, partition: PARTITION, at: count })
    }
    this.#ready.splice(0, n)
    this.#position = id === undefined ? { records: count } : { records: count, id }
    return { rows, next: this.#position, caughtUp: this.#ready.length === 0, at: (i) => at[i] }
  }
}

function tooLong(bytes: Buffer, bytesMax: number) {
  return { code: 'RECORD_TOO_LARGE', message: tooLarge('line', bytesMax), raw: bytes.toString('utf8') }
}
