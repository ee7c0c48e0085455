/**
 * How elements pass from step to step inside a stage: plain function calls. Markers travel in band, so a receiver sees
 * a watermark exactly after the records it speaks about.
 */
import { type Batch, RowBatch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { InvariantError } from '../errors.ts'
import type { Output } from '../graph/operator.ts'

export interface Receiver {
  batch(batch: Batch): void
  watermark(time: number): void
  /** True: nothing is to be expected from here for now, do not wait for its watermark. */
  idle(isIdle: boolean): void
}

/** Nobody reads it. */
export const NOBODY: Receiver = { batch() {}, watermark() {}, idle() {} }

/** One receiver for several. */
export function fanOut(receivers: readonly Receiver[]): Receiver {
  if (receivers.length === 0) return NOBODY
  if (receivers.length === 1) return receivers[0]
  return {
    batch(batch) {
      for (const r of receivers) r.batch(batch)
    },
    watermark(time) {
      for (const r of receivers) r.watermark(time)
    },
    idle(isIdle) {
      for (const r of receivers) r.idle(isIdle)
    },
  }
}

/** Largest batch an operator's output is cut to. */
export const MAX_BATCH = 4096

/** Collects what an operator emits during one call and hands it on as batches. */
export class Collector implements Output {
  readonly #next: Receiver
  readonly #onRows: (n: number) => void
  /** Set while the operator is inside a call; emission outside is a defect of the operator (invariant O2). */
  isOpen = false
  readonly #where: string
  #rows: unknown[] = []
  #times: number[] = []
  #keys: CanonicalKey[] = []
  #weights: number[] | undefined
  #hasKeys = false

  constructor(next: Receiver, onRows: (n: number) => void, where: string) {
    this.#next = next
    this.#onRows = onRows
    this.#where = where
  }

  emit(row: unknown, time: number, key?: CanonicalKey, weight: 1 | -1 = 1): void {
    if (!this.isOpen) throw emittedOutside(this.#where)
    if (this.#rows.length > 0 && this.#hasKeys !== (key !== undefined)) this.flush()
    if (weight === -1 && this.#weights === undefined) this.#weights = new Array(this.#rows.length).fill(1)
    this.#rows.push(row)
    this.#times.push(time)
    this.#hasKeys = key !== undefined
    if (key !== undefined) this.#keys.push(key)
    if (this.#weights !== undefined) this.#weights.push(weight)
    if (this.#rows.length >= MAX_BATCH) this.flush()
  }

  emitBatch(batch: Batch): void {
    if (!this.isOpen) throw emittedOutside(this.#where)
    if (this.#rows.length > 0) this.flush()
    if (batch.length === 0) return
    this.#onRows(batch.length)
    this.#next.batch(batch)
  }

  flush(): void {
    if (this.#rows.length === 0) return
    const weights = this.#weights === undefined ? undefined : Int8Array.from(this.#weights)
    const batch = new RowBatch(this.#rows, this.#times, this.#hasKeys ? this.#keys : undefined, weights)
    this.#rows = []
    this.#times = []
    this.#keys = []
    this.#weights = undefined
    this.#onRows(batch.length)
    this.#next.batch(batch)
  }
}

function emittedOutside(where: string): InvariantError {
  return new InvariantError(
    'EMIT_OUTSIDE_CALL',
    `${where} emitted a record outside process, watermark and wake. Keep the result, call ctx.requestWake() and emit it in wake().`,
    { step: where },
  )
}
