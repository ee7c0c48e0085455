/** Histograms of commit durations by phase, with fixed buckets: constant memory, constant time per commit. */

/** Upper bounds in seconds; 0.1 is the objective of exactly-once latency. */
export const BUCKETS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10] as const

export interface Histogram {
  /** Observations at or below each bound, not cumulative; the last entry is beyond the largest bound. */
  readonly counts: number[]
  sumSeconds: number
  count: number
}

export class CommitTimes {
  readonly byPhase = new Map<string, Histogram>()

  add(phasesMs: Readonly<Record<string, number>>): void {
    for (const [phase, ms] of Object.entries(phasesMs)) {
      let histogram = this.byPhase.get(phase)
      if (histogram === undefined) {
        histogram = { counts: new Array<number>(BUCKETS_SECONDS.length + 1).fill(0), sumSeconds: 0, count: 0 }
        this.byPhase.set(phase, histogram)
      }
      const seconds = Math.max(0, ms) / 1000
      const bucket = BUCKETS_SECONDS.findIndex((bound) => seconds <= bound)
      histogram.counts[bucket < 0 ? BUCKETS_SECONDS.length : bucket]++
      histogram.sumSeconds += seconds
      histogram.count++
    }
  }
}
