/** What a run of the control loop is given, what it measures, and what must hold. */
import type { Percentiles } from '../lib/histogram.ts'

export interface ControlSettings {
  /** Of the run, with what is not measured. */
  readonly seconds: number
  readonly folder: string
}

/** Not measured: the compiler warms up, the camera draws its first frames. */
export const WARM_UP_MS = 2000
export const MINUTE_MS = 60_000

export interface ControlRun {
  readonly seconds: number
  /** From a frame's intended exposure to its action. */
  readonly latency: Percentiles
  /** The same by minute; the last one may be shorter. */
  readonly minutes: readonly Percentiles[]
  /** Frames the camera has given, and those it had to let go. */
  readonly frames: number
  readonly framesDropped: number
  /** Frames that an action answers, and those in which nothing was seen. */
  readonly answered: number
  readonly unseen: number
  /** Records of all three sources, a second. */
  readonly pointsPerSecond: number
  /** Resident memory when the measured time began, and at the end of each minute. */
  readonly rssMiB: readonly number[]
  readonly commits: number
  /** The largest commit: frames that waited in state would be 6 MB each. */
  readonly commitBytesMax: number
  readonly cpuPercent: number
}

export const P99_MUST_MS = 50
export const P99_GOAL_MS = 15
export const POINTS_MUST = 1000
/** No drift: p99 of the last whole minute is at most this much of the first one's, or that far below the goal. */
export const DRIFT_MAX = 1.5

/** What of the musts a run misses, as sentences. `slack` multiplies what time is allowed to take. */
export function missed(run: ControlRun, slack = 1): string[] {
  const { latency, minutes, frames, framesDropped, answered, unseen, pointsPerSecond, commitBytesMax } = run
  const last = minutes.findLast((minute) => minute.count >= minutes[0].count / 2)?.p99Ms ?? Number.NaN
  const complaints: [isMissed: boolean, text: string][] = [
    [!(latency.p99Ms < P99_MUST_MS * slack), `p99 is ${latency.p99Ms} ms; it must be below ${P99_MUST_MS * slack} ms`],
    [framesDropped > 0, `${framesDropped} of ${frames + framesDropped} frames were dropped`],
    [
      answered + unseen !== frames,
      `${frames} frames came, ${answered} were answered and in ${unseen} nothing was seen`,
    ],
    [!(pointsPerSecond > POINTS_MUST), `${pointsPerSecond} points/s; there must be more than ${POINTS_MUST}`],
    [
      last > Math.max(P99_GOAL_MS, minutes[0].p99Ms) * DRIFT_MAX * slack,
      `p99 drifts: ${minutes[0].p99Ms} ms in the first minute, ${last} ms in the last`,
    ],
    [commitBytesMax > 1e6, `a commit of ${commitBytesMax} bytes: pixels are in the state`],
  ]
  return complaints.filter(([isMissed]) => isMissed).map(([, text]) => text)
}
