/** Options of mapAsync, checked and in ms. */
import { UsageError } from '../errors.ts'
import type { OnError } from '../graph/node.ts'
import { durationMs, positiveDurationMs } from '../time/duration.ts'
import type { AsyncOrder, MapAsyncOptions } from './map-async-types.ts'

export interface RetrySettings {
  readonly times: number
  readonly delayMs: number
  readonly factor: number
  readonly jitter: number
}

export interface AsyncSettings {
  readonly capacity: number
  readonly order: AsyncOrder
  readonly timeoutMs: number
  readonly retry: RetrySettings | undefined
  readonly onTimeout: ((row: unknown) => unknown) | undefined
  readonly onError: OnError
  readonly isDeterministic: boolean
}

const orders: readonly AsyncOrder[] = ['ordered', 'perKey', 'unordered']

/** However often a call failed, the next attempt is at most this far away. */
const pauseMsMax = 5 * 60_000

/** @throws UsageError `MAP_ASYNC` */
export function asyncSettings<T, R>(options: MapAsyncOptions<T, R>, step: string, isKeyed: boolean): AsyncSettings {
  const { capacity = 16, order = 'ordered', timeout = '60s', onTimeout } = options
  inRange('capacity', capacity, 1, 10_000, true, step)
  if (!orders.includes(order))
    throw wrong(`order is ${JSON.stringify(order)}; it must be one of ${orders.join(', ')}.`, step)
  if (order === 'perKey' && !isKeyed) {
    throw wrong(
      `order is 'perKey', but the stream has no keys. Call keyBy first, or use 'ordered' or 'unordered'.`,
      step,
    )
  }
  const { retry, onError } = policies(options, step)
  return {
    capacity,
    order,
    timeoutMs: positiveDurationMs(timeout, `timeout of step "${step}"`),
    retry,
    onTimeout: onTimeout as ((row: unknown) => unknown) | undefined,
    onError,
    isDeterministic: options.deterministic ?? (order !== 'unordered' && onTimeout === undefined),
  }
}

/** Wait before attempt `attempt + 1`; `random` is in [0, 1). */
export function pauseMs(retry: RetrySettings, attempt: number, random: number): number {
  const full = Math.min(retry.delayMs * retry.factor ** (attempt - 1), pauseMsMax)
  return full * (1 - retry.jitter * random)
}

/** The policy `retry` of the step is a retry of the call; it cannot be given beside the option of that name. */
function policies<T, R>(
  options: MapAsyncOptions<T, R>,
  step: string,
): { retry: RetrySettings | undefined; onError: OnError } {
  const { retry, onError = 'fail' } = options
  if (typeof onError === 'object' && onError.type === 'retry') {
    if (retry !== undefined) throw wrong(`retry is given twice, as option and as onError. Leave one of them out.`, step)
    return {
      retry: { times: onError.times, delayMs: onError.delayMs, factor: 2, jitter: 0.2 },
      onError: onError.otherwise,
    }
  }
  if (retry === undefined) return { retry: undefined, onError }
  const { times, delay = '100ms', factor = 2, jitter = 0.2 } = retry
  inRange('retry.times', times, 1, 100, true, step)
  inRange('retry.factor', factor, 1, 10, false, step)
  inRange('retry.jitter', jitter, 0, 1, false, step)
  return { retry: { times, delayMs: durationMs(delay, `retry.delay of step "${step}"`), factor, jitter }, onError }
}

function inRange(name: string, value: number, from: number, to: number, isWhole: boolean, step: string): void {
  if (value >= from && value <= to && (!isWhole || Number.isInteger(value))) return
  throw wrong(
    `${name} is ${String(value)}; it must be ${isWhole ? 'an integer' : 'a number'} from ${from} to ${to}.`,
    step,
  )
}

function wrong(message: string, step: string): UsageError {
  return new UsageError('MAP_ASYNC', message, { step })
}
