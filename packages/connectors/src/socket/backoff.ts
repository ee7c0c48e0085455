/** Pauses between attempts to connect: they double, up to a limit, and are spread so that many clients do not come at once. */
import { type Duration, positiveDurationMs, UsageError } from 'millrace/connector'

export interface ReconnectOptions {
  /** The first pause. Default '100ms'. */
  readonly first?: Duration
  /** The longest pause. Default '10s': a peer that comes back is found soon, and one that is gone costs little. */
  readonly most?: Duration
}

export class Backoff {
  readonly #firstMs: number
  readonly #mostMs: number
  #attempts = 0

  /** @throws UsageError `DURATION`, `LIVE_OPTION` */
  constructor({ first = '100ms', most = '10s' }: ReconnectOptions = {}) {
    this.#firstMs = positiveDurationMs(first, 'reconnect.first')
    this.#mostMs = positiveDurationMs(most, 'reconnect.most')
    if (this.#mostMs < this.#firstMs) {
      throw new UsageError('LIVE_OPTION', `reconnect.most (${most}) is shorter than reconnect.first (${first}).`)
    }
  }

  /** Attempts since the last success. */
  get attempts(): number {
    return this.#attempts
  }

  /** The next pause, between half and all of its length. @param random from 0 up to 1 */
  nextMs(random: number): number {
    const whole = Math.min(this.#mostMs, this.#firstMs * 2 ** Math.min(this.#attempts++, 30))
    return whole * (0.5 + random / 2)
  }

  succeeded(): void {
    this.#attempts = 0
  }
}
