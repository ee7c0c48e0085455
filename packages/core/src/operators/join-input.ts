/** What all joins ask of a batch before they look at its rows. */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { InvariantError, UsageError } from '../errors.ts'
import type { OperatorContext } from '../graph/operator.ts'

/**
 * Rows of this input with a lower time are late. A join judges a row by the watermark of its own input, so that what is
 * late does not depend on how far the other inputs happen to be; after an idle spell the common watermark may be ahead.
 */
export function lateBefore(ctx: OperatorContext, input: number): number {
  return Math.max(ctx.inputWatermark(input), ctx.currentWatermark())
}

/** Counts late rows and gives them to the `late` output, as they came. */
export function emitLate(ctx: OperatorContext, batch: Batch, i: number): void {
  ctx.metrics.late(1)
  ctx.side('late').emit(batch.keep(i), batch.times[i], batch.keys?.[i], weightAt(batch, i))
}

export function weightAt(batch: Batch, i: number): 1 | -1 {
  return batch.weights === undefined ? 1 : (batch.weights[i] as 1 | -1)
}

/** Keys of a batch that has come over a keyed edge. */
export function keysOf(batch: Batch, ctx: OperatorContext): ArrayLike<CanonicalKey> {
  if (batch.keys !== undefined) return batch.keys
  throw new InvariantError('JOIN_NO_KEYS', `step "${ctx.step}" received a batch without keys over a keyed edge.`, {
    step: ctx.step,
  })
}

/** @throws UsageError `RETRACTION` when the batch holds a row of weight -1 */
export function refuseRetractions(batch: Batch, ctx: OperatorContext, what: string): void {
  if (batch.weights === undefined) return
  for (let i = 0; i < batch.length; i++) {
    if (batch.weights[i] !== -1) continue
    throw new UsageError(
      'RETRACTION',
      `step "${ctx.step}" received a retraction (weight -1 at event time ${batch.times[i]}), and ${what} cannot take a result back. Join before the step that retracts, or aggregate the changes first.`,
      { step: ctx.step, data: { time: batch.times[i] } },
    )
  }
}
