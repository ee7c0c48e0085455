import { UsageError } from '../errors.ts'

export type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd'

/** A length of time as a checked literal: `'500ms'`, `'10s'`, `'5m'`, `'1h'`, `'7d'`. */
export type Duration = `${number}${DurationUnit}`

const unitMs: Readonly<Record<DurationUnit, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/**
 * Milliseconds of a duration literal. Fractions are allowed as long as the result is a whole number of milliseconds.
 * @param what what the duration is for, named in the error
 * @throws UsageError `DURATION` when it is not a number followed by ms, s, m, h or d, or not a whole number of ms
 * @example durationMs('1.5s', 'window size') // => 1500
 */
export function durationMs(duration: Duration, what = 'duration'): number {
  const match = typeof duration === 'string' ? pattern.exec(duration) : null
  const ms = match === null ? Number.NaN : Math.round(Number(match[1]) * unitMs[match[2] as DurationUnit] * 1e6) / 1e6
  if (!Number.isSafeInteger(ms)) {
    throw new UsageError(
      'DURATION',
      `${what} is ${JSON.stringify(duration)}, which is not a whole number of milliseconds. Write a number and a unit: '500ms', '10s', '5m', '1h' or '7d'.`,
      { data: { what, got: duration } },
    )
  }
  return ms
}

/** Like `durationMs`, and refuses zero. @throws UsageError `DURATION` */
export function positiveDurationMs(duration: Duration, what = 'duration'): number {
  const ms = durationMs(duration, what)
  if (ms === 0)
    throw new UsageError('DURATION', `${what} is 0; it must be at least 1ms.`, { data: { what, got: duration } })
  return ms
}

/** A short text for milliseconds, in the largest unit that divides them: `formatMs(90_000)` is `'90s'`. */
export function formatMs(ms: number): Duration {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms !== 0 && ms % unitMs[unit] === 0 && (unit === 's' || ms / unitMs[unit] < 1e4))
      return `${ms / unitMs[unit]}${unit}`
  }
  return `${ms}ms`
}
