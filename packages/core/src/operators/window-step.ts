/**
 * What all window operators share: reading rows under the error policy, counting late ones, and emitting results.
 */
import { type Batch, describeOrigin } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { InvariantError, MillraceError } from '../errors.ts'
import type { OperatorContext, Output } from '../graph/operator.ts'
import type { Columns } from '../window/numeric.ts'
import { type AggregatePlan, noKey, resultError } from '../window/plan.ts'
import type { Arrival, Pane, WindowBounds } from '../window/types.ts'

/** Accumulators of the object aggregates of one key and window part, with the last arrival they took. */
export interface ObjectCell {
  s: number
  readonly a: unknown[]
}

export interface WindowSettings {
  readonly plan: AggregatePlan
  readonly isKeyed: boolean
  readonly latenessMs: number
  /** Processing time between early results; 0 for none. */
  readonly earlyMs: number
}

export class WindowStep {
  readonly ctx: OperatorContext
  readonly plan: AggregatePlan
  readonly latenessMs: number
  readonly earlyMs: number
  readonly arrival: Arrival = { time: 0, sequence: 0, source: '', partition: '', at: 0 }
  /** Watermark of which everything due has been emitted. */
  watermark: number
  #sequence = 0
  readonly #isKeyed: boolean
  readonly #hasPanes: boolean
  readonly #late: Output

  constructor(ctx: OperatorContext, settings: WindowSettings) {
    this.ctx = ctx
    this.plan = settings.plan
    this.latenessMs = settings.latenessMs
    this.earlyMs = settings.earlyMs
    this.watermark = ctx.currentWatermark()
    this.#isKeyed = settings.isKeyed
    this.#hasPanes = settings.latenessMs > 0 || settings.earlyMs > 0
    this.#late = ctx.side('late')
  }

  /** The batch as the step sees it: without the keys of a stream that is windowed as a whole. */
  input(batch: Batch): Batch {
    return this.#isKeyed || batch.keys === undefined ? batch : batch.rekey(undefined)
  }

  keyOf(batch: Batch, i: number): CanonicalKey {
    return batch.keys === undefined ? noKey : batch.keys[i]
  }

  /** Reads row `i` for the plan's `add` calls; false when it went to the error policy. */
  read(batch: Batch, i: number, weight: number): boolean {
    try {
      this.plan.read(batch, i, weight)
      return true
    } catch (thrown) {
      this.fail(thrown, batch, i)
      return false
    }
  }

  /** Moves `arrival` to row `i`. */
  arrive(batch: Batch, i: number): Arrival {
    const { arrival } = this
    arrival.time = batch.times[i]
    arrival.sequence = ++this.#sequence
    if (batch.origin !== undefined) {
      arrival.source = batch.origin.source
      arrival.partition = batch.origin.partition
      arrival.at = batch.origin.at(i)
    }
    return arrival
  }

  /** Arrivals go on after `sequence`, which was found in restored state. */
  continueAfter(sequence: number): void {
    if (sequence > this.#sequence) this.#sequence = sequence
  }

  /** Gives what reading or adding row `i` threw to the error policy. Errors of state and engine are not a row's fault. */
  fail(thrown: unknown, batch: Batch, i: number): void {
    if (thrown instanceof InvariantError || (thrown instanceof MillraceError && thrown.code.startsWith('STATE_'))) {
      throw thrown
    }
    this.ctx.onError(thrown, batch.keep(i), batch.times[i], batch.keys?.[i], describeOrigin(batch.origin, i))
  }

  /** Row `i` is too late for every window it belongs to. */
  late(batch: Batch, i: number): void {
    this.ctx.metrics.late(1)
    const weight = batch.weights?.[i] === -1 ? -1 : 1
    this.#late.emit(batch.keep(i), batch.times[i], batch.keys?.[i], weight)
  }

  /** Emits the result of a window; nothing for windows whose rows were all retracted. */
  emit(
    key: CanonicalKey,
    window: WindowBounds,
    columns: Columns,
    slot: number,
    objects: readonly unknown[] | undefined,
    pane: Pane,
    time: number = window.end - 1,
  ): void {
    if (!(columns[0][slot] > 0)) return
    let row: unknown
    try {
      row = this.plan.result(key, window, columns, slot, objects, this.#hasPanes ? pane : undefined)
    } catch (thrown) {
      this.failResult(thrown, key, time)
      return
    }
    this.ctx.out.emit(row, time, this.#isKeyed ? key : undefined)
  }

  /** Gives what merging or answering threw to the error policy; the result of this key and window is skipped. */
  failResult(thrown: unknown, key: CanonicalKey, time: number): void {
    this.ctx.onError(resultError(this.ctx.step, thrown), { key }, time, this.#isKeyed ? key : undefined, undefined)
    // The policy let it go and counted a record, which was merged before.
    this.ctx.metrics.merged(-1)
  }
}

/** A window's bounds, shared by all its rows. */
export function bounds(start: number, end: number): WindowBounds {
  return Object.freeze({ start, end })
}
