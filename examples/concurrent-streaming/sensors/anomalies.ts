/** Rules that call a reading an anomaly, and the anomalies that a stream is asked to put into its own readings. */
import { mean, variance } from '../numbers.ts'
import type { Random } from '../random.ts'
import type { SensorStatistics } from '../records.ts'

export const RULES = ['variance', 'zscore', 'ewma'] as const
export type Rule = (typeof RULES)[number]

export interface RuleOptions {
  readonly rules: readonly Rule[]
  /** Standard deviations from the mean of the window before the reading. */
  readonly zScore: number
  /** Standard deviations from the exponentially weighted mean. */
  readonly ewma: number
}

/**
 * With nine readings before it, three standard deviations would alarm at 3 of 100 ordinary readings (Student's t with 8
 * degrees of freedom); five alarm at 2 of 1,000.
 */
export const Z_SCORE = 5
export const EWMA = 4

const STD_MAX = 2.0
const Z_READINGS_MIN = 5
const EWMA_WEIGHT = 0.1
const EWMA_READINGS_MIN = 10

/** One sensor's rules; `ewma` remembers, so every stream has its own. */
export class AnomalyRules {
  readonly #options: RuleOptions
  #mean = 0
  #variance = 0
  #seen = 0

  constructor(options: RuleOptions) {
    this.#options = options
  }

  /**
   * @param before the window without the reading
   * @param after statistics of the window with it
   */
  check(sensor: string, value: number, before: readonly number[], after: SensorStatistics): string[] {
    const { rules, zScore } = this.#options
    const found: string[] = []
    if (rules.includes('variance') && after.std > STD_MAX) found.push(`${sensor}_high_variance`)
    if (rules.includes('zscore') && before.length >= Z_READINGS_MIN) {
      const std = Math.sqrt(variance(before))
      if (std > 0 && Math.abs(value - mean(before)) / std > zScore) found.push(`${sensor}_zscore`)
    }
    if (rules.includes('ewma') && this.#isFarOff(value)) found.push(`${sensor}_ewma`)
    return found
  }

  /** Finch, "Incremental calculation of weighted mean and variance", 2009, section 9. */
  #isFarOff(value: number): boolean {
    const gap = this.#seen === 0 ? 0 : value - this.#mean
    const isFar = this.#seen >= EWMA_READINGS_MIN && gap * gap > this.#options.ewma ** 2 * this.#variance
    if (this.#seen++ === 0) this.#mean = value
    // What is far off teaches less, or one outlier would hide the next.
    const weight = isFar ? EWMA_WEIGHT / 10 : EWMA_WEIGHT
    this.#mean += weight * gap
    this.#variance = (1 - weight) * (this.#variance + weight * gap * gap)
    return isFar
  }
}

export interface Injection {
  /** Share of readings, 0 to 1. */
  readonly rate: number
  /** Added to them or taken away, in the sensor's unit. */
  readonly magnitude: number
}

/** What is added to a reading; the numbers are drawn from a `random` of their own, so that readings stay as they were. */
export function injected({ rate, magnitude }: Injection, random: Random): number {
  if (random.uniform() >= rate) return 0
  return random.uniform() < 0.5 ? -magnitude : magnitude
}
