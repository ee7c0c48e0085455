/**
 * What a number of points costs as one batch and as a stream: latency, throughput and memory, from five figures.
 *
 * The model has one step that works on one point at a time. Points arrive at a fixed interval, and the step takes the
 * same time for each. A batch is collected, then worked through, then given; the next one begins after that. A stream
 * gives each point when it is done. `single-server.test.ts` beside this file holds it to a simulation, point by point.
 */
import { UsageError } from '../errors.ts'

export interface CapacityOptions {
  /** Points of a batch, 1 to 1e9; of the stream, as many are looked at. */
  readonly points: number
  /** From one arrival to the next, ms, fractions allowed, 0 to 3,600,000. 0: all are there at once, as in a backlog. */
  readonly intervalMs: number
  /** Work on one point, ms, fractions allowed, 0 to 3,600,000. 0 only when there is an interval. */
  readonly processMs: number
  /** Of one point, 1 to 1e12. */
  readonly sizeBytes: number
  /**
   * Points of the stream that memory is kept for, 1 to `points`: those in work, and those in buffers. Default: as many
   * as are there at once, see `StreamCapacity.pointsAtOnce`.
   */
  readonly inFlight?: number
}

export interface BatchCapacity {
  /** From the beginning of the collection to the result, which is how long the first point waits for it. */
  readonly latencyMs: number
  readonly throughputPerSecond: number
  /** All points of the batch. */
  readonly memoryBytes: number
}

export interface StreamCapacity {
  /** Of the last point, from its arrival to its result; where the step keeps up, of every point. */
  readonly latencyMs: number
  readonly throughputPerSecond: number
  /** `inFlight` points. */
  readonly memoryBytes: number
  readonly inFlight: number
  /** Is the step done with each point when the next one arrives? */
  readonly canKeepUp: boolean
  /** Largest number of points that have arrived and are not done: 1 where the step keeps up. */
  readonly pointsAtOnce: number
  /** Given where the step does not keep up. */
  readonly queue?: QueueGrowth
}

/** Of the queue in front of the step. */
export interface QueueGrowth {
  /** Points; undefined when all arrive at once. */
  readonly growthPerSecond: number | undefined
  /** From the first arrival until more than `inFlight` points are there; undefined when that never happens. */
  readonly fullAfterMs: number | undefined
  /** So many steps side by side keep up; undefined when all points arrive at once. */
  readonly workersNeeded: number | undefined
}

export interface CapacityComparison {
  /** Share of the batch's latency that the stream saves, 0 to 1. */
  readonly latencyReduction: number
  /** Throughput of the stream over that of the batch, 1 to 2. */
  readonly throughputGain: number
  /** Share of the batch's memory that the stream saves, 0 to 1. */
  readonly memoryReduction: number
}

/** What the comparison tends to as the number of points grows, with everything else as it is. */
export interface CapacityLimits extends CapacityComparison {
  /**
   * `interval / (interval + process)`: the share of a batch's latency in which it is only collected. The stream saves
   * at least that, however many points there are: it is the latency reduction for a single one.
   */
  readonly collectingShare: number
}

export interface Capacity {
  readonly batch: BatchCapacity
  readonly stream: StreamCapacity
  readonly comparison: CapacityComparison
  readonly limits: CapacityLimits
}

const MS_MAX = 3_600_000
const POINTS_MAX = 1e9
const SIZE_BYTES_MAX = 1e12

/**
 * Compares a batch of points with a stream of them. Latencies and sizes are exact for whole numbers up to 2^53. Pure.
 * @throws UsageError `CAPACITY_RANGE` when a figure is out of its range, naming figure and range
 * @example
 * const { batch, stream, comparison } = capacity({
 *   points: 100, intervalMs: 100, processMs: 50, sizeBytes: 1_000_000, inFlight: 5,
 * })
 * batch.latencyMs // => 15_000
 * stream.latencyMs // => 50
 * comparison.memoryReduction // => 0.95
 */
export function capacity(options: CapacityOptions): Capacity {
  const { points, intervalMs, processMs, sizeBytes } = options
  checkWhole('points', points, POINTS_MAX)
  checkPace({ intervalMs, processMs })
  checkWhole('sizeBytes', sizeBytes, SIZE_BYTES_MAX)
  const pointsAtOnce = atOnce(points, intervalMs, processMs)
  const inFlight = options.inFlight ?? pointsAtOnce
  checkWhole('inFlight', inFlight, points, 'points')

  const slowerMs = Math.max(intervalMs, processMs)
  const batch = {
    latencyMs: points * intervalMs + points * processMs,
    throughputPerSecond: 1000 / (intervalMs + processMs),
    memoryBytes: points * sizeBytes,
  }
  const stream = {
    latencyMs: latencyAt(points, intervalMs, processMs),
    throughputPerSecond: 1000 / slowerMs,
    memoryBytes: inFlight * sizeBytes,
    inFlight,
    canKeepUp: processMs <= intervalMs,
    pointsAtOnce,
  }
  const throughputGain = (intervalMs + processMs) / slowerMs
  return {
    batch,
    stream:
      processMs <= intervalMs ? stream : { ...stream, queue: growth(inFlight, pointsAtOnce, intervalMs, processMs) },
    comparison: {
      latencyReduction: (batch.latencyMs - stream.latencyMs) / batch.latencyMs,
      throughputGain,
      memoryReduction: (points - inFlight) / points,
    },
    limits: {
      latencyReduction: processMs <= intervalMs ? 1 : (2 * intervalMs) / (intervalMs + processMs),
      collectingShare: intervalMs / (intervalMs + processMs),
      throughputGain,
      memoryReduction: 1,
    },
  }
}

/**
 * Latency of one point of a stream, from its arrival to its result. Where the step takes longer than the interval, each
 * point waits for those before it.
 * @param point from 1
 * @throws UsageError `CAPACITY_RANGE`
 * @example pointLatencyMs(100, { intervalMs: 50, processMs: 100 }) // => 5_050
 */
export function pointLatencyMs(point: number, pace: Pick<CapacityOptions, 'intervalMs' | 'processMs'>): number {
  checkWhole('point', point, POINTS_MAX)
  checkPace(pace)
  return latencyAt(point, pace.intervalMs, pace.processMs)
}

function latencyAt(point: number, intervalMs: number, processMs: number): number {
  return processMs <= intervalMs ? processMs : (point - 1) * (processMs - intervalMs) + processMs
}

/** Counted right after an arrival; a point that is done at that moment has left. */
function atOnce(points: number, intervalMs: number, processMs: number): number {
  return processMs <= intervalMs ? 1 : points - Math.floor(((points - 1) * intervalMs) / processMs)
}

function growth(inFlight: number, pointsAtOnce: number, intervalMs: number, processMs: number): QueueGrowth {
  const isBacklog = intervalMs === 0
  return {
    growthPerSecond: isBacklog ? undefined : 1000 / intervalMs - 1000 / processMs,
    fullAfterMs: pointsAtOnce <= inFlight ? undefined : arrivalsUntil(inFlight, intervalMs, processMs) * intervalMs,
    workersNeeded: isBacklog ? undefined : Math.ceil(processMs / intervalMs),
  }
}

/**
 * The least number of arrivals after the first with which more than `inFlight` points are there. With a arrivals after
 * the first, ceil(a * (process - interval) / process) + 1 are.
 */
function arrivalsUntil(inFlight: number, intervalMs: number, processMs: number): number {
  return Math.floor(((inFlight - 1) * processMs) / (processMs - intervalMs)) + 1
}

function checkPace({ intervalMs, processMs }: Pick<CapacityOptions, 'intervalMs' | 'processMs'>): void {
  for (const [name, got] of Object.entries({ intervalMs, processMs })) {
    if (typeof got !== 'number' || !(got >= 0 && got <= MS_MAX)) refuse(name, got, 0, MS_MAX, 'ms')
  }
  if (intervalMs + processMs > 0) return
  throw new UsageError(
    'CAPACITY_RANGE',
    'intervalMs and processMs are both 0: no time passes, so there is nothing to compute. Give at least one of them.',
    { data: { parameter: 'intervalMs', got: 0 } },
  )
}

function checkWhole(name: string, got: number, max: number, maxName = ''): void {
  if (Number.isInteger(got) && got >= 1 && got <= max) return
  refuse(name, got, 1, max, maxName === '' ? 'whole' : `whole, ${maxName} at most`)
}

function refuse(name: string, got: unknown, min: number, max: number, what: string): never {
  throw new UsageError('CAPACITY_RANGE', `${name} is ${String(got)}; it must be ${min} to ${max} (${what}).`, {
    data: { parameter: name, got: got as number, min, max },
  })
}
