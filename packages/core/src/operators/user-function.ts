/** Calling the functions a user gave to a step: what they may return, and what an error says about the record. */
import { type Batch, describeOrigin } from '../batch/batch.ts'
import { type CanonicalKey, canonicalKey } from '../batch/key.ts'
import { InvariantError, MillraceError, OperationalError, UsageError } from '../errors.ts'
import type { OperatorContext } from '../graph/operator.ts'

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** @throws OperationalError `CALLBACK_RETURN` when a function that must be synchronous returned a promise */
export function refusePromise(returned: unknown, step: string, what: string): void {
  if (isPromise(returned)) throw wrongReturn(returned, step, what, 'it must do its work before it returns')
}

/** @throws OperationalError `CALLBACK_RETURN` */
export function booleanFrom(returned: unknown, step: string, what: string): boolean {
  if (typeof returned === 'boolean') return returned
  throw wrongReturn(returned, step, what, 'it must return a boolean')
}

/** @throws OperationalError `CALLBACK_RETURN` when what was returned cannot be a key */
export function keyFrom(returned: unknown, step: string, what: string): CanonicalKey {
  try {
    return canonicalKey(returned)
  } catch {
    const must = 'it must return a string, a number that is not NaN, a bigint, a boolean, or a non-empty tuple of them'
    throw wrongReturn(returned, step, what, must)
  }
}

export function wrongReturn(returned: unknown, step: string, what: string, must: string): OperationalError {
  const hint = isPromise(returned)
    ? ' It is async here: give asynchronous work to mapAsync.'
    : returned === undefined
      ? ' Did you forget `return`?'
      : ''
  const got = isPromise(returned) ? 'a promise' : shown(returned)
  return new OperationalError('CALLBACK_RETURN', `${what} returned ${got}; ${must}.${hint}`, { step, data: { got } })
}

/** Errors that no policy may skip: they are the flow's or ours, not the record's. */
export function isFatal(error: unknown): boolean {
  if (error instanceof UsageError || error instanceof InvariantError) return true
  return error instanceof MillraceError && error.code === 'STATE_LIMIT'
}

/** Gives a failing record to the step's error policy: returns when it is skipped, throws when the step fails. */
export function reportFailure(ctx: OperatorContext, error: unknown, batch: Batch, i: number): void {
  if (isFatal(error)) throw error
  ctx.onError(error, batch.keep(i), batch.times[i], batch.keys?.[i], describeOrigin(batch.origin, i))
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}
