/** What `mapAsync` gives its function beside the row: `stream.mapAsync('assess', client.call.assess)` works as it is. */
import type { CallOptions } from './client.ts'

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
): { readonly args: readonly unknown[]; readonly options: CallOptions } {
  const last = given.at(-1)
  if (!isStepContext(last)) return { args: given, options: defaults }
  const { signal: own } = defaults
  const signal = own === undefined ? last.signal : AbortSignal.any([own, last.signal])
  return { args: given.slice(0, -1), options: { ...defaults, id: last.id, signal } }
}

function isStepContext(value: unknown): value is StepContext {
  if (typeof value !== 'object' || value === null) return false
  const { id, attempt, signal } = value as Partial<StepContext>
  return signal instanceof AbortSignal && typeof id === 'string' && typeof attempt === 'number'
}
