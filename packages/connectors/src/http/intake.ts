/**
 * The buffer between senders and the flow: what came in and was not read yet, and whom to tell once it is committed.
 *
 * Invariants:
 *  I1  Parcels are read in the order they were added, and their records are numbered in that order, refused ones included.
 *  I2  `isCommitted` of a parcel is called once, after a commit whose position lies behind the parcel's last record.
 *  I3  A parcel that was not committed when the reader closes gets `isLost` instead: its sender must send again.
 *  I4  Nothing is added while the buffer is full, except by a sender that was let in before: the limits are exceeded by
 *      one parcel at most.
 */
import {
  type BadRecord,
  OperationalError,
  type Position,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'

/** A record that came in, or one that cannot be used. */
export type Entry<T> = { readonly row: T } | { readonly bad: Omit<BadRecord, 'partition' | 'at'> }

/** What a sender handed over at once: the records of a request, or one message. */
export interface Parcel<T> {
  readonly entries: readonly Entry<T>[]
  /** What it takes of the buffer. */
  readonly bytes: number
  /** Tells the sender that a commit holds everything. */
  readonly isCommitted?: (() => void) | undefined
  /** Tells the sender that the flow stopped before a commit held everything. */
  readonly isLost?: (() => void) | undefined
  /** So many of its records have gone to the flow, refused ones included; more follow unless these are all. */
  readonly isTaken?: ((count: number) => void) | undefined
}

export interface IntakeLimits {
  readonly records: number
  readonly bytes: number
}

/** A reader with nothing to give says so after this long. */
const WAIT_MS = 500

/** What is committed of a live source: how many records came in. `memo` is what the source keeps beside it. */
export type IntakePosition = { readonly records: number; readonly memo?: Position }

export class Intake<T> implements Omit<SourceReader<T>, 'close'> {
  readonly #limits: IntakeLimits
  readonly #partition: string
  readonly #ctx: SourceContext
  /** Not read, or not read to its end. O(1) at both ends: `#head` is the first that counts. */
  #queue: Parcel<T>[] = []
  #head = 0
  /** Entries of the first parcel that were read. */
  #offset = 0
  /** Those who wait for a commit, with the number of their last record. The records themselves are let go. */
  #unconfirmed: { readonly sender: Pick<Parcel<T>, 'isCommitted' | 'isLost'>; readonly last: number }[] = []
  #records = 0
  #bytes = 0
  #given: number
  #wakeRead: (() => void) | undefined
  #tick: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #isClosed = false
  /** Called when a full buffer has room again. */
  onRoom: () => void = () => {}
  /** What the source wants kept with the position that ends here. */
  memo: (() => Position | undefined) | undefined

  constructor(limits: IntakeLimits, partition: string, position: Position | undefined, ctx: SourceContext) {
    this.#limits = limits
    this.#partition = partition
    this.#ctx = ctx
    this.#given = checkPosition<IntakePosition>(position, ctx.step).records
  }

  get isFull(): boolean {
    return this.isFullOfRecords || this.#bytes >= this.#limits.bytes
  }

  get isFullOfRecords(): boolean {
    return this.#records >= this.#limits.records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Takes a parcel with one entry or more. */
  add(parcel: Parcel<T>): void {
    this.#queue.push(parcel)
    this.#records += parcel.entries.length
    this.#bytes += parcel.bytes
    this.#wakeRead?.()
  }

  /** Bytes of a body that is still coming: they count as held. A negative number gives them back. */
  hold(bytes: number): void {
    const wasFull = this.isFull
    this.#bytes += bytes
    if (wasFull && !this.isFull) this.onRoom()
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    if (this.#records > 0 || this.#isClosed || this.#failure !== undefined) return this.#batch(maxRows)
    return this.#wait(maxRows)
  }

  committed(position: Position): void {
    const { records } = checkPosition<IntakePosition>(position, this.#ctx.step)
    let n = 0
    while (n < this.#unconfirmed.length && this.#unconfirmed[n].last <= records) n++
    for (const { sender } of this.#unconfirmed.splice(0, n)) sender.isCommitted?.()
  }

  lag(): number {
    return this.#records
  }

  /** The next read throws this, once what came before is read: code of the user's failed where no read was under way. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wakeRead?.()
  }

  /** Ends it: whoever waits for a commit is told that it will not come. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { sender } of this.#unconfirmed) sender.isLost?.()
    for (const { isLost } of this.#queue.slice(this.#head)) isLost?.()
    this.#unconfirmed = []
    this.#queue = []
    this.#head = 0
    this.#records = 0
    this.#wakeRead?.()
  }

  async #wait(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    // One wait of the runtime at a time: records may come a thousand times while it lasts.
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(() => {
      this.#tick = undefined
    })
    const arrival = new Promise<void>((resolve) => {
      this.#wakeRead = resolve
    })
    await Promise.race([this.#tick, arrival])
    this.#wakeRead = undefined
    return this.#batch(maxRows)
  }

  #batch(maxRows: number): SourceBatch<T> | 'end' {
    if (this.#isClosed) return 'end'
    if (this.#failure !== undefined && this.#records === 0) throw this.#failure.error
    const wasFull = this.isFull
    const rows: T[] = []
    const at: number[] = []
    while (rows.length < maxRows && this.#head < this.#queue.length) {
      const parcel = this.#queue[this.#head]
      while (this.#offset < parcel.entries.length && rows.length < maxRows) this.#take(parcel, rows, at)
      parcel.isTaken?.(this.#offset)
      if (this.#offset < parcel.entries.length) break
      this.#bytes -= parcel.bytes
      this.#offset = 0
      this.#head++
      const { isCommitted, isLost } = parcel
      if (isCommitted !== undefined) this.#unconfirmed.push({ sender: { isCommitted, isLost }, last: this.#given })
    }
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    if (wasFull && !this.isFull) this.onRoom()
    const memo = this.memo?.()
    const next: IntakePosition = memo === undefined ? { records: this.#given } : { records: this.#given, memo }
    return { rows, next, caughtUp: this.#records === 0, at: (i) => at[i] }
  }

  #take(parcel: Parcel<T>, rows: T[], at: number[]): void {
    const entry = parcel.entries[this.#offset++]
    this.#given++
    this.#records--
    if ('row' in entry) {
      rows.push(entry.row)
      at.push(this.#given)
    } else {
      this.#ctx.reject({ ...entry.bad, partition: this.#partition, at: this.#given })
    }
  }
}

/** @throws OperationalError `LIVE_POSITION` when another connector wrote it */
export function checkPosition<P extends { readonly records: number }>(position: Position | undefined, step: string): P {
  if (position === undefined) return { records: 0 } as P
  const { records } = (position ?? {}) as { records?: unknown }
  if (Number.isSafeInteger(records) && (records as number) >= 0) return position as unknown as P
  throw new OperationalError(
    'LIVE_POSITION',
    `the position ${JSON.stringify(position)} is none of a live source, which counts its records: { records }. It was written by another connector; start without the old state, or give the step its old connector.`,
    { step, data: { position } },
  )
}
