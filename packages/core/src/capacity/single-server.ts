/**
 * The oracle of the capacity model: one step, played point by point. No formula of the model is used here.
 */

export interface Played {
  /** From each point's arrival to its result. */
  readonly latenciesMs: readonly number[]
  /** From the first arrival to the last result. */
  readonly elapsedMs: number
  /** Largest number of points that had arrived and had no result; results leave before arrivals of the same moment. */
  readonly pointsAtOnce: number
  /** When there were first more than `inFlight` points, after the first arrival. */
  readonly fullAtMs: number | undefined
}

interface Pace {
  readonly points: number
  readonly intervalMs: number
  readonly processMs: number
}

/** Each point is worked on as soon as it is there and those before it are done, and given when it is done. */
export function playStream({ points, intervalMs, processMs, inFlight }: Pace & { readonly inFlight: number }): Played {
  const doneAtMs: number[] = []
  const latenciesMs: number[] = []
  let pointsAtOnce = 0
  let fullAtMs: number | undefined
  let left = 0
  let arrivedMs = 0
  let freeMs = 0
  for (let arrived = 1; arrived <= points; arrived++) {
    while (left < doneAtMs.length && doneAtMs[left] <= arrivedMs) left++
    const there = arrived - left
    pointsAtOnce = Math.max(pointsAtOnce, there)
    if (there > inFlight) fullAtMs ??= arrivedMs
    freeMs = Math.max(freeMs, arrivedMs) + processMs
    doneAtMs.push(freeMs)
    latenciesMs.push(freeMs - arrivedMs)
    arrivedMs += intervalMs
  }
  return { latenciesMs, elapsedMs: freeMs, pointsAtOnce, fullAtMs }
}

/** Points are collected until `points` intervals have passed, then worked on one after the other, then given together. */
export function playBatch({ points, intervalMs, processMs }: Pace): Played {
  const arrivedAtMs: number[] = []
  let nowMs = 0
  for (let i = 0; i < points; i++) {
    arrivedAtMs.push(nowMs)
    nowMs += intervalMs
  }
  for (let i = 0; i < points; i++) nowMs += processMs
  return {
    latenciesMs: arrivedAtMs.map((at) => nowMs - at),
    elapsedMs: nowMs,
    pointsAtOnce: arrivedAtMs.length,
    fullAtMs: undefined,
  }
}
