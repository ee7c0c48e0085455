/** What a user of mapAsync sees. */

import type { Duration } from '../time/duration.ts'
import type { StepOptions } from './step-options.ts'

/**
 * 'ordered': results come out in the order of the input.
 * 'perKey': in the order of the input within each key; the stream must be keyed.
 * 'unordered': as they come.
 */
export type AsyncOrder = 'ordered' | 'perKey' | 'unordered'

export interface CallContext<K = unknown> {
  /**
   * Id of this call: the same when the call is made again after a restart, different from that of any other call.
   * Give it to the other side as idempotency key.
   */
  readonly id: string
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Aborted when the attempt times out and when the step closes: pass it on, e.g. to fetch. */
  readonly signal: AbortSignal
  readonly key: K
  /** Event time of the record. */
  readonly time: number
}

export type AsyncFn<T, R, K = unknown> = (row: T, ctx: CallContext<K>) => Promise<R> | R

export interface Retry {
  /** Attempts after the first one: 1 to 100. */
  readonly times: number
  /** Wait before the first of them. Default '100ms'. */
  readonly delay?: Duration
  /** Each wait is this many times the one before: 1 to 10. Default 2. */
  readonly factor?: number
  /** Share of each wait that is random, 0 to 1, so that calls that failed together do not return together. Default 0.2. */
  readonly jitter?: number
}

export interface MapAsyncOptions<T, R> extends StepOptions {
  /** Most calls in flight, 1 to 10 000, and most records held before the step's input waits. Default 16. */
  readonly capacity?: number
  /** Default 'ordered'. */
  readonly order?: AsyncOrder
  /** An attempt that takes longer has failed with CALL_TIMEOUT. Default '60s'. */
  readonly timeout?: Duration
  /** Default: none. A waiting retry keeps its place among the calls in flight, so a failing service slows the stream. */
  readonly retry?: Retry
  /** Result for a record whose last attempt timed out. Default: the record has failed. */
  readonly onTimeout?: (row: T) => R
  /**
   * Does the function give the same result for the same row whenever it is called? Sinks that rely on it ask.
   * Default: true, unless order is 'unordered' or onTimeout is given.
   */
  readonly deterministic?: boolean
}
