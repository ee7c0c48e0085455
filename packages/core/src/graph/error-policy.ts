/** Error policies of steps, beside the plain words 'fail' and 'skip'. */
import type { Sink } from '../connector.ts'
import { UsageError } from '../errors.ts'
import type { DeadLetter, ErrorPolicy, OnError } from './node.ts'

/**
 * Records that fail go to `sink`, with the error, the step and where they came from; the flow goes on.
 * Several steps may share one sink.
 * @example dlq({ kind: 'none', guarantee: 'idempotent', describe: () => ({}), open: () => ({ write() {}, close() {} }) }).type // => 'dead-letter'
 */
export function dlq(sink: Sink<DeadLetter>): ErrorPolicy {
  return { type: 'dead-letter', sink }
}

/**
 * Calls the function again, up to `times` more, then does what `otherwise` says (default 'fail'). Steps without state
 * (map, filter, flatMap, keyBy, withTime, the time function of a source) retry at once, since they cannot wait;
 * `mapAsync` waits between attempts; steps with state refuse it (`RETRY_STATEFUL`).
 * @throws UsageError `RETRY_TIMES` unless `times` is a whole number from 1 to 100
 * @example retry({ times: 2, otherwise: 'skip' }).type // => 'retry'
 */
export function retry(options: { readonly times: number; readonly otherwise?: OnError }): ErrorPolicy {
  if (!Number.isInteger(options.times) || options.times < 1 || options.times > 100) {
    throw new UsageError(
      'RETRY_TIMES',
      `retry was given times: ${options.times}; it must be a whole number from 1 to 100.`,
    )
  }
  const otherwise = options.otherwise ?? 'fail'
  return {
    type: 'retry',
    times: options.times,
    delayMs: 0,
    otherwise: typeof otherwise === 'string' ? { type: otherwise } : otherwise,
  }
}
