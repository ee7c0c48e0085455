/** Where the time goes and when it will be over. Pure functions over messages; the terminal and the console say them. */
import type { PlanMessage, SampleMessage, SourcesMessage } from './contract.ts'

export interface LimitingStep {
  readonly step: number
  /** 'computing': its functions. 'waiting': calls or writes it awaits. 'reading': the source itself. */
  readonly cause: 'computing' | 'waiting' | 'reading'
  /** Share of its tasks' time it is busy or waiting, 0 to 1. */
  readonly share: number
}

/** A queue this full says that the step behind it cannot follow. */
const FULL = 0.5
/** Below this share of time nothing limits. */
const BUSY = 0.3

/**
 * The step that decides how fast the flow is: the busiest of those whose input is waiting and whose output is not held
 * up. Steps in front of it are blocked and only look bad. Undefined when records come slower than they are handled.
 */
export function limitingStep(
  plan: PlanMessage,
  sample: SampleMessage,
  sources?: SourcesMessage,
): LimitingStep | undefined {
  const { busy, queueFill, await: awaits } = sample.cols
  const hasBacklog =
    sources === undefined || sources.partitions.some((p) => isBehind(p.lag, p.progress) && !p.idle && !p.ended)
  const stages = new Map<number, number[]>()
  for (const step of plan.steps) stages.set(step.stage, [...(stages.get(step.stage) ?? []), step.i])
  const fillOf = (i: number): number => queueFill[i] ?? 0
  let best: LimitingStep | undefined
  let total = 0
  for (const steps of stages.values()) {
    const receives = plan.edges.some((e) => e.kind !== 'fused' && steps.includes(e.to))
    const heldUp = plan.edges.some((e) => e.kind !== 'fused' && steps.includes(e.from) && fillOf(e.to) >= FULL)
    const hasInput = receives ? steps.some((i) => fillOf(i) >= FULL) : hasBacklog
    for (const step of steps) {
      const share = busy[step] + awaits[step]
      total += busy[step]
      if (heldUp || share < (hasInput ? BUSY : 0.8) || share <= (best?.share ?? 0)) continue
      best = { step, share, cause: awaits[step] > busy[step] ? 'waiting' : 'computing' }
    }
  }
  if (best !== undefined || !hasBacklog || sources === undefined) return best
  // There is more to read, and no step is busy: the time goes into reading and decoding.
  if (total > 1 - BUSY) return undefined
  const behind = sources.partitions.find(
    (p) => isBehind(p.lag, p.progress) && !p.idle && !p.ended && !p.pausedByAlignment,
  )
  return behind === undefined ? undefined : { step: behind.source, share: Math.max(0, 1 - total), cause: 'reading' }
}

function isBehind(lag: number | null, progress: number | null): boolean {
  return lag === null ? progress !== null && progress < 1 : lag > 0
}

/** One point of a lag curve. */
export interface LagPoint {
  readonly at: number
  /** Records behind, null when unknown. */
  readonly lag: number | null
  /** Share that has been read, null when unknown. */
  readonly progress: number | null
}

export interface CatchUp {
  readonly state: 'caught up' | 'catching up' | 'falling behind' | 'steady' | 'unknown'
  readonly lag: number | null
  /** Estimated ms until nothing is left; null when there is no end at this rate. */
  readonly leftMs: number | null
}

/** A lag below this many records is the normal coming and going. */
const NOISE_RECORDS = 100

/**
 * Whether the flow keeps up, and when it will have caught up: the slope of the lag (or of the share read) over the
 * points given, by least squares. Give it the points of the last 10 to 60 s.
 */
export function catchUp(points: readonly LagPoint[]): CatchUp {
  const last = points[points.length - 1]
  if (last === undefined) return { state: 'unknown', lag: null, leftMs: null }
  const { lag, progress } = last
  if (lag === 0 || (lag === null && progress === 1)) return { state: 'caught up', lag, leftMs: 0 }
  const known = points.filter((p) => (lag === null ? p.progress : p.lag) !== null)
  const left = lag ?? (progress === null ? null : 1 - progress)
  if (left === null) return { state: 'unknown', lag, leftMs: null }
  const slope = slopeOf(known.map((p) => ({ x: p.at, y: lag === null ? 1 - (p.progress ?? 0) : (p.lag ?? 0) })))
  if (slope === undefined) return { state: 'unknown', lag, leftMs: null }
  const spanMs = last.at - known[0].at
  const moved = slope * spanMs
  if (slope < 0 && -moved > left * 0.001) return { state: 'catching up', lag, leftMs: left / -slope }
  if (lag === null) return { state: 'steady', lag, leftMs: null }
  if (moved > Math.max(NOISE_RECORDS, left * 0.05)) return { state: 'falling behind', lag, leftMs: null }
  return { state: 'steady', lag, leftMs: null }
}

function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number | undefined {
  if (points.length < 2) return undefined
  const meanX = points.reduce((s, p) => s + p.x, 0) / points.length
  const meanY = points.reduce((s, p) => s + p.y, 0) / points.length
  let xy = 0
  let xx = 0
  for (const { x, y } of points) {
    xy += (x - meanX) * (y - meanY)
    xx += (x - meanX) ** 2
  }
  return xx === 0 ? undefined : xy / xx
}
