/** What a test sees of a hosted operator: its options, its handle, and what came out. */
import type { Batch } from '../batch/batch.ts'
import type { Key } from '../batch/key.ts'
import type { Operator, OperatorContext, StepMetrics } from '../graph/operator.ts'

export type CreateOperator = (ctx: OperatorContext) => Operator

export interface OperatorHostOptions {
  readonly step?: string
  /** Number of inputs; default that of the node, else 1. */
  readonly inputs?: number
  /** Side outputs that may be asked for; default those of the node, else any. */
  readonly outputs?: readonly string[]
  /** Processing time at the start, ms since the epoch; default 0. */
  readonly now?: number
  readonly seed?: number
  readonly instance?: { readonly index: number; readonly count: number }
  /** Event time of rows sent without one. */
  readonly time?: (row: never) => number
  /** Key of rows sent without one. */
  readonly key?: (row: never) => Key
  /** What a failing callback does; default 'fail': the call that met it throws. */
  readonly onError?: 'fail' | 'skip'
  /** True while the reader of the output takes no more: the operator gets neither input nor wake-ups. */
  readonly isFull?: () => boolean
  /** False: hand out rows themselves instead of views that expire. */
  readonly views?: boolean
}

export interface EmittedRow<T = unknown> {
  readonly row: T
  readonly time: number
  readonly key: Key | undefined
  readonly weight: 1 | -1
}

export type TimedRow<T = unknown> = readonly [time: number, row: T, key?: Key]

export type HostMetrics = Readonly<Record<Exclude<keyof StepMetrics, 'dropped'>, number>> & {
  readonly dropped: number
  readonly droppedBy: Readonly<Record<string, number>>
}

export interface HostError {
  readonly error: unknown
  readonly row: unknown
  readonly time: number
  readonly key: Key | undefined
  readonly origin: string | undefined
}

export interface OperatorHost {
  readonly operator: Operator
  readonly instance: { readonly index: number; readonly count: number }
  /** Processing time of the host, ms. */
  readonly now: number
  /** Watermark the runtime would forward: min(combined input watermark, hold()). */
  readonly watermarkOut: number
  /** Rows emitted with a time behind the watermark forwarded before: late for whoever reads the output. */
  readonly emittedLate: number
  readonly metrics: HostMetrics
  readonly errors: readonly HostError[]
  /** What the operator says of itself; true and 0 where it says nothing. */
  readonly isReady: boolean
  readonly held: number
  /** Batches and watermarks that wait because the operator is not ready. */
  readonly waiting: number

  /** Gives the operator one batch: tuples `[time, row, key?]`, or rows where the options tell time and key. */
  send(rows: readonly TimedRow[] | readonly unknown[], input?: number): void
  sendBatch(batch: Batch, input?: number): void
  /** Moves the watermark of one input, or of all; the operator sees the minimum over the inputs that are not idle. */
  watermark(time: number, input?: number): void
  /** Takes an input out of the minimum until its next row or watermark. */
  idle(input: number): void
  /** Lets `ms` of processing time pass, with the wake-ups that fall due, and the ones requested. */
  advance(ms: number): void
  /** Sets the clock without waking anybody: a clock that jumps. */
  setNow(timeMs: number): void
  /** Waits for promises and runs requested wake-ups until nothing moves any more. */
  settle(): Promise<void>
  /** End of one input, or of all: its watermark becomes Infinity. */
  end(input?: number): void
  /** Rows emitted since the last take of this output. */
  take<T = unknown>(output?: string): EmittedRow<T>[]
  /** Barrier and state, as bytes. */
  snapshot(): Uint8Array
  /** A new host with a fresh operator on the state of these snapshots, of which it takes the keys it owns. */
  restore(snapshot: Uint8Array | readonly Uint8Array[], options?: Pick<OperatorHostOptions, 'instance'>): OperatorHost
  close(): void
}
