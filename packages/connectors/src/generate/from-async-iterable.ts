/**
 * Rows of an async generator, a ReadableStream of the web, a Readable of Node, or anything else `for await` takes.
 *
 * Invariant:
 *  A1  At most `bufferRows` rows are taken that the flow has not asked for; then nothing is pulled until it asks.
 */
import type { Position, Source, SourceBatch, SourceContext, SourceReader } from 'millrace/connector'
import { wholeNumber } from '../http/options.ts'
import { rowsBefore, spentError } from './spent.ts'

export interface FromAsyncIterableOptions {
  /** The function gives the same rows every time: a restart passes over those that were committed. Default false. */
  readonly replayable?: boolean
  /** Rows taken ahead of the flow. Default 1000. */
  readonly bufferRows?: number
}

/**
 * A source over an async iterable, or a function that makes one. It is pulled as the flow asks, which holds back whoever
 * fills the stream. After a restart a function is called again, and gives what it then gives; anything else is used up
 * (`ITERABLE_SPENT`). What it throws ends the flow.
 * @throws UsageError `LIVE_OPTION`
 * @throws OperationalError while running: `ITERABLE_SPENT`, `GENERATE_POSITION`
 * @example fromAsyncIterable(async function* () { yield 1 }).bounded // => true
 */
export function fromAsyncIterable<T>(
  items: AsyncIterable<T> | (() => AsyncIterable<T>),
  options: FromAsyncIterableOptions = {},
): Source<T> {
  const { replayable = false } = options
  const bufferRows = wholeNumber('bufferRows', options.bufferRows ?? 1000, 1, 1_000_000)
  let isSpent = false
  return {
    kind: 'generate.asyncIterable',
    bounded: true,
    replayable,
    describe: () => ({}),
    partitions: () => ['rows'],
    open(_partition, position, ctx) {
      if (typeof items !== 'function') {
        if (isSpent) throw spentError(ctx)
        isSpent = true
      }
      const iterable = typeof items === 'function' ? items() : items
      const isPassing = replayable && typeof items === 'function'
      return new AsyncReader<T>(iterable[Symbol.asyncIterator](), { bufferRows, isPassing }, position, ctx)
    },
  }
}

/** A reader with nothing to give says so after this long. */
const WAIT_MS = 500

class AsyncReader<T> implements SourceReader<T> {
  readonly #iterator: AsyncIterator<T>
  readonly #bufferRows: number
  readonly #ctx: SourceContext
  #buffer: T[] = []
  #given: number
  /** Rows that were committed before, still to be passed over. */
  #toPass: number
  #isPulling = false
  #hasEnded = false
  #isClosed = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined
  #tick: Promise<void> | undefined

  constructor(
    iterator: AsyncIterator<T>,
    { bufferRows, isPassing }: { bufferRows: number; isPassing: boolean },
    position: Position | undefined,
    ctx: SourceContext,
  ) {
    this.#iterator = iterator
    this.#bufferRows = bufferRows
    this.#ctx = ctx
    this.#given = rowsBefore(position, ctx)
    this.#toPass = isPassing ? this.#given : 0
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    if (this.#buffer.length > 0) return this.#batch(maxRows)
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#hasEnded || this.#isClosed) return 'end'
    return this.#wait(maxRows)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ring()
    // Not awaited: a generator that waits for something ends only when that comes.
    if (!this.#hasEnded) this.#iterator.return?.().catch(() => {})
  }

  async #wait(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    void this.#pull()
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(() => {
      this.#tick = undefined
    })
    await Promise.race([this.#tick, new Promise<void>((resolve) => (this.#wake = resolve))])
    if (this.#buffer.length > 0) return this.#batch(maxRows)
    if (this.#failure !== undefined) throw this.#failure.error
    return this.#hasEnded || this.#isClosed ? 'end' : this.#batch(maxRows)
  }

  /** Pulls until the buffer is full; `read` starts it again. */
  async #pull(): Promise<void> {
    if (this.#isPulling) return
    this.#isPulling = true
    try {
      while (this.#buffer.length < this.#bufferRows && !this.#isClosed && !this.#hasEnded) {
        const next = await this.#iterator.next()
        if (next.done === true) this.#hasEnded = true
        else if (this.#toPass > 0) this.#toPass--
        else this.#buffer.push(next.value)
        this.#ring()
      }
    } catch (error) {
      this.#failure = { error }
      this.#ring()
    } finally {
      this.#isPulling = false
    }
  }

  #batch(maxRows: number): SourceBatch<T> {
    const start = this.#given
    const rows = this.#buffer.slice(0, maxRows)
    this.#buffer = this.#buffer.slice(rows.length)
    this.#given += rows.length
    if (this.#failure === undefined) void this.#pull()
    return {
      rows,
      next: this.#given,
      caughtUp: this.#buffer.length === 0,
      at: (i) => start + i,
    }
  }

  #ring(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
