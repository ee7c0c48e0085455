/** A stream of a node as a source: `remoteStream`. */
import {
  messageOf,
  OperationalError,
  type Position,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
  UsageError,
} from 'millrace/connector'
import type { Functions, FunctionsOf, Streams } from '../client/types.ts'
import { RemoteError } from '../remote-error.ts'
import { type Remote, remote } from './remote.ts'

export interface RemoteStreamOptions {
  /**
   * True when `open(streams, position)` gives the items from number `position` on, each time the same: nothing is missed or
   * doubled then, whatever breaks. Default false: a stream that breaks is opened anew, and what came between is missed.
   */
  readonly replayable?: boolean
  /** Does the stream end by itself? Default false. It is for the plan: an end is an end either way. */
  readonly bounded?: boolean
  /** Items that wait for the flow; when there are so many, the node is not asked for more. Default 1024. */
  readonly bufferRecords?: number
  /** So many failures in a row end the run. Default 20: about a minute and a half. */
  readonly failuresMax?: number
}

/** What may pass by itself. */
const PASSING: readonly string[] = [
  'CONNECTION_LOST',
  'GATEWAY_UNREACHABLE',
  'NODE_LOST',
  'RESOURCE_EXHAUSTED',
  'STREAM_LOST',
  'UNAVAILABLE',
]

const PARTITION = 'stream'
const WAIT_MS = 500
const PAUSE_FIRST_MS = 50
const PAUSE_MAX_MS = 5_000

/**
 * Reads a stream of a node. Credit is the back-pressure: a flow that is behind is a generator that is not asked for more. A stream that
 * breaks is opened again after a growing pause, and the position counts the items that the flow has taken.
 *
 * `from` is a `remote(...)`, a client, or the address of a gateway; `open` opens the stream, from item `position` on
 * where it can.
 *
 * @throws UsageError `REMOTE_STREAM`
 * @throws OperationalError while running: `REMOTE_STREAM_FAILED`, with the error of the stream as its cause
 * @example
 * const counts = remoteStream<number>('ws://127.0.0.1:8080', (s, position) => s.count(position), { replayable: true })
 * counts.replayable // => true
 */
export function remoteStream<T, F extends Functions = Functions>(
  from: string | Pick<Remote<F>, 'stream'>,
  open: (streams: Streams<FunctionsOf<F>>, position: number) => AsyncIterable<T>,
  options: RemoteStreamOptions = {},
): Source<T> {
  const { replayable = false, bounded = false } = options
  const streams = (typeof from === 'string' ? remote<F>({ gateway: from }) : from).stream
  const settings: Settings<T> = {
    open: (position) => open(streams, position),
    replayable,
    bufferRecords: whole('bufferRecords', options.bufferRecords ?? 1024, 1, 1_000_000),
    failuresMax: whole('failuresMax', options.failuresMax ?? 20, 1, 1_000_000),
  }
  return {
    kind: 'remote.stream',
    replayable,
    bounded,
    describe: () => ({ replayable, ...(typeof from === 'string' ? { gateway: from } : {}) }),
    partitions: () => [PARTITION],
    open: (_partition, position, ctx) => new RemoteStreamReader(settings, position, ctx),
  }
}

interface Settings<T> {
  readonly open: (position: number) => AsyncIterable<T>
  readonly replayable: boolean
  readonly bufferRecords: number
  readonly failuresMax: number
}

class RemoteStreamReader<T> implements SourceReader<T> {
  readonly #settings: Settings<T>
  readonly #ctx: SourceContext
  #rows: T[] = []
  /** Items given to the flow, and items received. */
  #given: number
  #received: number
  /** The stream has been there, now or before a restart: a function that is missing will come back. */
  #isKnown: boolean
  #failures = 0
  #gaps = 0
  #iterator: AsyncIterator<T> | undefined
  #outcome: 'end' | { readonly error: unknown } | undefined
  #isClosed = false
  #tick: Promise<void> | undefined
  #wakeReader = (): void => {}
  #wakeStream = (): void => {}

  constructor(settings: Settings<T>, position: Position | undefined, ctx: SourceContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#given = positionOf(position, ctx.step)
    this.#received = this.#given
    this.#isKnown = this.#given > 0
    void this.#receive()
  }

  async read(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    if (this.#rows.length === 0 && this.#outcome === undefined) await this.#arrival()
    if (this.#rows.length === 0 && this.#outcome !== undefined) {
      if (this.#outcome === 'end') return 'end'
      throw this.#outcome.error
    }
    const rows = this.#rows.length <= maxRows ? this.#rows : this.#rows.slice(0, maxRows)
    this.#rows = this.#rows.length <= maxRows ? [] : this.#rows.slice(maxRows)
    const first = this.#given
    this.#given += rows.length
    this.#wakeStream()
    return { rows, next: this.#given, caughtUp: this.#rows.length === 0, at: (i) => first + i }
  }

  lag(): number {
    return this.#rows.length
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#wakeReader()
    this.#wakeStream()
    await this.#iterator?.return?.()
  }

  async #receive(): Promise<void> {
    while (!this.#isClosed && this.#outcome === undefined) {
      try {
        this.#iterator = this.#settings.open(this.#received)[Symbol.asyncIterator]()
        await this.#items(this.#iterator)
      } catch (error) {
        if (!this.#isClosed) await this.#failed(error)
      }
    }
    this.#wakeReader()
  }

  async #items(iterator: AsyncIterator<T>): Promise<void> {
    for (;;) {
      while (this.#rows.length >= this.#settings.bufferRecords && !this.#isClosed) {
        await new Promise<void>((resolve) => {
          this.#wakeStream = resolve
        })
      }
      const step = await iterator.next()
      if (this.#isClosed) return
      if (step.done === true) {
        this.#outcome = 'end'
        return
      }
      this.#isKnown = true
      this.#failures = 0
      this.#received++
      this.#rows.push(step.value)
      this.#wakeReader()
    }
  }

  /** Waits before the next attempt, or ends the reading. */
  async #failed(error: unknown): Promise<void> {
    const { replayable, failuresMax } = this.#settings
    const code = error instanceof RemoteError ? error.code : undefined
    const mayPass = code !== undefined && (PASSING.includes(code) || (code === 'NOT_FOUND' && this.#isKnown))
    if (!mayPass || ++this.#failures >= failuresMax) {
      const times = this.#failures > 1 ? ` ${this.#failures} times in a row` : ''
      this.#outcome = {
        error: new OperationalError('REMOTE_STREAM_FAILED', `the stream failed${times}: ${messageOf(error)}`, {
          step: this.#ctx.step,
          cause: error,
          retryable: mayPass,
          data: { code },
        }),
      }
      return
    }
    if (this.#failures === 1) {
      if (!replayable && this.#isKnown) this.#ctx.gauge('gaps', ++this.#gaps)
      const consequence = replayable ? '' : ' What it gives meanwhile is missed.'
      this.#ctx.log('warn', `the stream broke: ${messageOf(error)} Opening it again.${consequence}`, { code })
    }
    await this.#ctx.wait(Math.min(PAUSE_FIRST_MS * 2 ** (this.#failures - 1), PAUSE_MAX_MS))
  }

  async #arrival(): Promise<void> {
    // One wait of the runtime at a time: items may come a thousand times while it lasts.
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(() => {
      this.#tick = undefined
    })
    const arrival = new Promise<void>((resolve) => {
      this.#wakeReader = resolve
    })
    await Promise.race([this.#tick, arrival])
  }
}

/** @throws OperationalError `REMOTE_STREAM_FAILED` when another connector wrote it */
function positionOf(position: Position | undefined, step: string): number {
  if (position === undefined) return 0
  if (Number.isSafeInteger(position) && (position as number) >= 0) return position as number
  throw new OperationalError(
    'REMOTE_STREAM_FAILED',
    `the position ${JSON.stringify(position)} is none of a remote stream, which counts its items. It was written by another connector; start without the old state, or give the step its old connector.`,
    { step, data: { position } },
  )
}

export function whole(name: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new UsageError('REMOTE_STREAM', `${name} is ${String(value)}; it must be a whole number from ${min} to ${max}.`)
}
