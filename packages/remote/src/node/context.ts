/** What a function on a node knows of the call it serves. */
import { AsyncLocalStorage } from 'node:async_hooks'

export interface CallContext {
  /** Aborted when the caller cancels, its deadline strikes, or the link to the gateway breaks. */
  readonly signal: AbortSignal
  /** Id of this node. */
  readonly node: string
  readonly function: string
  /** Unique per call, the same when an idempotent call runs again. */
  readonly id: string
  /** Time left, ms; undefined without a deadline. */
  remainingMs(): number | undefined
  /** W3C traceparent of the caller. */
  readonly trace: string | undefined
}

const storage = new AsyncLocalStorage<CallContext>()

/**
 * The call that the running function serves; undefined outside of one. Functions that declare one parameter more than
 * they are given receive it as their last argument too.
 */
export function callContext(): CallContext | undefined {
  return storage.getStore()
}

export function runInContext<R>(context: CallContext, fn: () => R): R {
  return storage.run(context, fn)
}
