/**
 * Reads rows that a function makes of their index: all at once, or each at its intended time.
 *
 * Invariants:
 *  X1  Row `i` is due at `start + i * periodMs`, whatever happened before: a late row makes no later one late.
 *  X2  `start` is part of the position, so that a restart goes on with the same times.
 *  X3  Seeking costs the same for every index.
 *  X4  Under 'skip' every index is given or counted as lost.
 */
import {
  OperationalError,
  type Position,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'

/** What happens to rows whose time went by while the flow was slower, or did not run. */
export type Missed = 'deliver' | 'skip'

export interface IndexedSettings<T> {
  /** Undefined: rows are due at once. */
  readonly periodMs: number | undefined
  readonly missed: Missed
  /** Indices below this; Infinity: without end. */
  readonly count: number
  /** This partition gives `first`, `first + step`, `first + 2 * step` ... */
  readonly first: number
  readonly step: number
  readonly row: (i: number, time: number) => T
}

/** A reader with nothing to give says so after this long. */
const WAIT_MS = 500
/** Timers of a busy process come this late without anybody being slow. */
const LATE_MS = 100

export class IndexedReader<T> implements SourceReader<T> {
  readonly #settings: IndexedSettings<T>
  readonly #ctx: SourceContext
  readonly #startMs: number
  readonly #from: number
  #next: number
  #isClosed = false

  /** @throws OperationalError `GENERATE_POSITION` */
  constructor(settings: IndexedSettings<T>, position: Position | undefined, ctx: SourceContext) {
    this.#settings = settings
    this.#ctx = ctx
    const { next, start } = placeOf(position, settings, ctx)
    this.#next = next
    this.#from = next
    this.#startMs = start
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    if (this.#isClosed || this.#next >= this.#settings.count) return 'end'
    const now = this.#ctx.now()
    this.#skip(now)
    const dueInMs = this.#timeOf(this.#next) - now
    if (!(dueInMs > 0) || this.#next >= this.#settings.count) return this.#batch(maxRows, now)
    return this.#ctx.wait(Math.min(WAIT_MS, Math.max(1, Math.ceil(dueInMs)))).then(() => {
      const later = this.#ctx.now()
      this.#skip(later)
      return this.#batch(maxRows, later)
    })
  }

  lag(): number | undefined {
    const { periodMs, step, count } = this.#settings
    if (periodMs === undefined) return count === Number.POSITIVE_INFINITY ? undefined : this.#left(count)
    return this.#left(Math.min(count, Math.floor((this.#ctx.now() - this.#startMs) / periodMs) + step))
  }

  progress(): number | undefined {
    const { count } = this.#settings
    if (count === Number.POSITIVE_INFINITY) return undefined
    return count <= this.#from ? 1 : Math.min(1, (this.#next - this.#from) / (count - this.#from))
  }

  close(): void {
    this.#isClosed = true
  }

  #timeOf(i: number): number {
    const { periodMs } = this.#settings
    return periodMs === undefined ? this.#startMs : this.#startMs + i * periodMs
  }

  #left(end: number): number {
    return Math.max(0, Math.ceil((end - this.#next) / this.#settings.step))
  }

  /** Leaves out what is more than a period late. */
  #skip(now: number): void {
    const { periodMs, missed, step, count } = this.#settings
    if (missed !== 'skip' || periodMs === undefined) return
    const oldest = (now - Math.max(periodMs * step, LATE_MS) - this.#startMs) / periodMs
    const steps = Math.ceil((Math.min(oldest, count) - this.#next) / step)
    if (!(steps > 0)) return
    this.#next += steps * step
    this.#ctx.lost(steps)
  }

  #batch(maxRows: number, now: number): SourceBatch<T> {
    const { count, step, row, periodMs } = this.#settings
    const first = this.#next
    const rows: T[] = []
    let i = first
    for (; i < count && rows.length < maxRows && this.#timeOf(i) <= now; i += step) rows.push(row(i, this.#timeOf(i)))
    this.#next = i
    const next = periodMs === undefined ? i : { next: i, start: this.#startMs }
    return { rows, next, caughtUp: i >= count || this.#timeOf(i) > now, at: (k) => first + k * step }
  }
}

function placeOf<T>(
  position: Position | undefined,
  { periodMs, first, step }: IndexedSettings<T>,
  ctx: SourceContext,
): { next: number; start: number } {
  if (position === undefined) return { next: first, start: ctx.now() }
  const place = periodMs === undefined ? { next: position, start: 0 } : (position as Record<string, unknown> | null)
  const { next, start } = (place ?? {}) as { next?: unknown; start?: unknown }
  const isIndex = Number.isSafeInteger(next) && (next as number) >= first && ((next as number) - first) % step === 0
  if (isIndex && Number.isFinite(start)) return { next: next as number, start: start as number }
  throw new OperationalError(
    'GENERATE_POSITION',
    `"${ctx.step}" cannot go on at ${JSON.stringify(position)}: it was written by another source, or with another number of partitions. Start without the old state.`,
    { step: ctx.step, data: { position } },
  )
}
