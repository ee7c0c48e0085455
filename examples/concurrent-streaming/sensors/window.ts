/** The last readings of one sensor in one stream, and what they say. Pushing costs O(1), statistics O(window). */
import { mean, roundEven, variance } from '../numbers.ts'
import type { SensorStatistics, Trend } from '../records.ts'
import { WINDOW_SIZE } from './config.ts'

export class SensorWindow {
  readonly #size: number
  #values: number[] = []

  constructor(size = WINDOW_SIZE) {
    this.#size = size
  }

  get values(): readonly number[] {
    return this.#values
  }

  push(value: number): void {
    this.#values.push(value)
    if (this.#values.length > this.#size) this.#values.shift()
  }

  clear(): void {
    this.#values = []
  }
}

/** Of a window that is not empty. */
export function statisticsOf(values: readonly number[]): SensorStatistics {
  const spread = variance(values)
  return {
    mean: roundEven(mean(values), 2),
    std: roundEven(Math.sqrt(spread), 2),
    min: roundEven(Math.min(...values), 2),
    max: roundEven(Math.max(...values), 2),
    trend: trendOf(values),
    samples: values.length,
    variance: roundEven(spread, 2),
  }
}

/** The last reading against the third-last. */
export function trendOf(values: readonly number[]): Trend {
  if (values.length < 3) return 'insufficient_data'
  const last = values[values.length - 1]
  const before = values[values.length - 3]
  return last > before ? 'increasing' : last < before ? 'decreasing' : 'stable'
}
