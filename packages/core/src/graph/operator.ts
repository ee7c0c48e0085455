/**
 * The operator contract: what the runtime knows of a step, and all it knows.
 *
 * Invariants:
 *  O1  `process`, `watermark`, `wake` and `barrier` are synchronous and run to completion; nothing else runs meanwhile.
 *  O2  An operator emits only during one of these calls. Work that ends elsewhere (a promise) is kept, `ctx.requestWake()`
 *      is called, and it is emitted in `wake`.
 *  O3  Everything that must survive a crash lies in tables of `ctx.state` when `barrier` returns.
 *  O4  Watermark W promises that every record with event time < W has been given to `process`, late ones excepted.
 *      Calls have rising W; the last one is Infinity, at the end of bounded input.
 *  O5  Rows given to `emit` are owned by the runtime afterwards; rows read from a batch are kept with `batch.keep(i)`.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { StateAccess } from '../state/table.ts'

export interface Operator {
  /** Takes a batch from input `input` (index into the node's inputs). */
  process(batch: Batch, input: number): void
  /**
   * The watermark of one input advanced to `time`; called before `watermark`, which may follow or not. For steps that can
   * decide on some inputs alone: an as-of join need not wait for its left input. Also called, with the watermark as it
   * is, when the input falls idle: see `ctx.isIdle`.
   */
  inputWatermark?(input: number, time: number): void
  /** Event time advanced to `time` on all inputs together. Default: nothing; the runtime forwards it afterwards. */
  watermark?(time: number): void
  /** Holds the watermark back: the runtime forwards min(time, hold()). For operators with records in flight. */
  hold?(): number
  /** Called once after `requestWake`, or when the time given to `wakeAt` has come. `now` is processing time, ms. */
  wake?(now: number): void
  /** False: give this step no more input now. After it turned true again the operator calls `requestWake`. */
  isReady?(): boolean
  /** Records the operator holds that have not come out yet; the `held` part of the balance. Read at commits. */
  held?(): number
  /** Before a snapshot: write what is only in memory into tables. */
  barrier?(): void
  /** After the last call, also when the run fails. */
  close?(): void
}

export interface Output {
  /** Emits one row. `key` is needed on keyed outputs; default weight +1. */
  emit(row: unknown, time: number, key?: CanonicalKey, weight?: 1 | -1): void
  /** Forwards a whole batch. */
  emitBatch(batch: Batch): void
}

export interface OperatorContext {
  readonly step: string
  /** The main output. */
  readonly out: Output
  /** A named side output (`late`, `unmatched`, ...) listed in the node's `outputs`; rows vanish if nobody reads it. */
  side(name: string): Output
  readonly state: StateAccess
  readonly metrics: StepMetrics
  /** Processing time in ms since the epoch, from the clock port. */
  now(): number
  /** Ask for `wake` as soon as possible (any number of requests, one call). */
  requestWake(): void
  /** Ask for `wake` at a processing time; the earliest pending request wins, later ones are asked for again in `wake`. */
  wakeAt(timeMs: number): void
  /** Last watermark given to this operator; -Infinity before the first. */
  currentWatermark(): number
  /** Watermark of one input, for joins. */
  inputWatermark(input: number): number
  /** True while nothing is to be expected from an input: do not wait for its watermark. */
  isIdle(input: number): boolean
  /** Index of this instance and how many there are. */
  readonly instance: { readonly index: number; readonly count: number }
  /** True when this instance owns `key` (all true when not keyed). */
  owns(key: CanonicalKey): boolean
  /** Seeded randomness from the random port, 0 <= x < 1. */
  random(): number
  /**
   * Handles a failing user callback by the step's error policy: returns when the record is skipped or dead-lettered,
   * throws when the step's policy is 'fail'. `row` must be kept.
   */
  onError(error: unknown, row: unknown, time: number, key: CanonicalKey | undefined, origin: string | undefined): void
}

/** Counters of the record balance: in = out + late + dropped + dead + held + filtered + merged. */
export interface StepMetrics {
  late(n: number): void
  dropped(n: number, reason: DropReason): void
  dead(n: number): void
  retried(n: number): void
  /** Records that an operator took and that never come out one to one: filtered by meaning, merged into an aggregate. */
  merged(n: number): void
  filtered(n: number): void
  deduplicated(n: number): void
}

export type DropReason = 'buffer-full' | 'expired' | 'unmatched' | 'throttled' | 'sampled' | 'error'
