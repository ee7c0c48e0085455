/** How clients of sockets connect again. */
import { type Duration, positiveDurationMs, UsageError } from 'millrace/connector'
import { Backoff } from '../http/backoff.ts'

export interface ReconnectOptions {
  /** The first pause. Default '100ms'. */
  readonly first?: Duration
  /** The longest pause. Default '10s': a peer that comes back is found soon, and one that is gone costs little. */
  readonly most?: Duration
}

/** Pauses that double, spread by half. @throws UsageError `DURATION`, `LIVE_OPTION` */
export function backoffOf({ first = '100ms', most = '10s' }: ReconnectOptions = {}): Backoff {
  const firstMs = positiveDurationMs(first, 'reconnect.first')
  const mostMs = positiveDurationMs(most, 'reconnect.most')
  if (mostMs < firstMs) {
    throw new UsageError('LIVE_OPTION', `reconnect.most (${most}) is shorter than reconnect.first (${first}).`)
  }
  return new Backoff(mostMs, firstMs)
}
