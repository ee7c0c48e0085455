/** Latencies in a histogram of three significant digits, 1 µs to 1 minute; longer ones count as a minute. */
import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js'

const US_MAX = 60_000_000

export interface Percentiles {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

export class Latencies {
  readonly #histogram: Histogram

  constructor(encoded?: string) {
    this.#histogram =
      encoded === undefined
        ? build({ lowestDiscernibleValue: 1, highestTrackableValue: US_MAX, numberOfSignificantValueDigits: 3 })
        : decodeFromCompressedBase64(encoded)
  }

  /** `count` records that took `ms` each. */
  record(ms: number, count = 1): void {
    this.#histogram.recordValueWithCount(Math.min(US_MAX, Math.max(0, Math.round(ms * 1000))), count)
  }

  add(other: Latencies): void {
    this.#histogram.add(other.#histogram)
  }

  /** A text that the constructor takes: for files and messages. */
  encode(): string {
    return encodeIntoCompressedBase64(this.#histogram)
  }

  percentiles(): Percentiles {
    const at = (percentile: number): number => this.#histogram.getValueAtPercentile(percentile) / 1000
    return {
      count: this.#histogram.totalCount,
      p50Ms: at(50),
      p99Ms: at(99),
      p999Ms: at(99.9),
      maxMs: this.#histogram.maxValue / 1000,
    }
  }
}
