/** What `mapAsync` gives its function beside the row: `stream.mapAsync('assess', client.call.assess)` works as it is. */
import { fromPlainError, RemoteError, toPlainError } from '../remote-error.ts'
import type { CallOptions } from './client.ts'

/** Not mended by calling again. */
const FINAL: readonly string[] = ['INVALID_ARGUMENT', 'PAYLOAD_TOO_LARGE', 'PERMISSION_DENIED', 'UNAUTHENTICATED']

/**
 * What a step is told of a call that failed. It calls again where its `retry` says so, and after a restart anyway: what the
 * function threw, and a node that was lost, are failures of an attempt, as an exception of a local function is.
 */
export function failureOfAttempt(error: unknown): unknown {
  if (!(error instanceof RemoteError) || error.retryable || FINAL.includes(error.code)) return error
  return fromPlainError({ ...toPlainError(error), retryable: true })
}

/** The part of a step's call context that a remote call uses. An AbortSignal can not be sent: it is no argument. */
interface StepContext {
  readonly id: string
  readonly attempt: number
  readonly signal: AbortSignal
}

/** Arguments without a step's context at their end; its id and signal become options of the call. */
export function splitStepContext(
  given: readonly unknown[],
  defaults: CallOptions,
): { readonly args: readonly unknown[]; readonly options: CallOptions; readonly isStep: boolean } {
  const last = given.at(-1)
  if (!isStepContext(last)) return { args: given, options: defaults, isStep: false }
  const { signal: own } = defaults
  const signal = own === undefined ? last.signal : AbortSignal.any([own, last.signal])
  return { args: given.slice(0, -1), options: { ...defaults, id: last.id, signal }, isStep: true }
}

function isStepContext(value: unknown): value is StepContext {
  if (typeof value !== 'object' || value === null) return false
  const { id, attempt, signal } = value as Partial<StepContext>
  return signal instanceof AbortSignal && typeof id === 'string' && typeof attempt === 'number'
}
