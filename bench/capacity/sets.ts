/** What is run: the worked figures of the capacity model, with what the model says of them. */
import { type CapacityComparison, capacity } from 'millrace'

export interface CapacitySet {
  readonly title: string
  readonly points: number
  readonly intervalMs: number
  readonly sizeBytes: number
  readonly inFlight: number
  readonly batch: { readonly processMs: number }
  /** Each of `steps` steps in a row works for `processMs` on a point. */
  readonly stream: { readonly processMs: number; readonly steps: number }
}

/** Latency, throughput and memory of one design. */
export interface Figures {
  readonly latencyMs: number
  readonly throughputPerSecond: number
  readonly memoryBytes: number
}

export interface Prediction {
  readonly batch: Figures
  readonly stream: Figures
  readonly canKeepUp: boolean
}

const MB = 1_000_000
/** 1920 x 1080 of 3 bytes. */
const FRAME_BYTES = 6_220_800

/** @param scale 1 for the figures as they are; 0.1 makes interval and work ten times shorter */
export function capacitySets(scale: number): CapacitySet[] {
  const set = (points: number, intervalMs: number, processMs: number, inFlight: number): CapacitySet => {
    const seconds = (ms: number): string => `${Number((ms * scale).toFixed(3)) / 1000} s`
    return {
      title: `${points} points of 1 MB, one every ${seconds(intervalMs)}, ${seconds(processMs)} of work, ${inFlight} in flight`,
      ...{ points, intervalMs: intervalMs * scale, sizeBytes: MB, inFlight },
      batch: { processMs: processMs * scale },
      stream: { processMs: processMs * scale, steps: 1 },
    }
  }
  return [
    set(10, 1000, 500, 1),
    set(100, 100, 50, 5),
    set(100, 50, 100, 20),
    {
      title: 'frames at 30/s: a second of them with 2 s of work, against two steps of 30 ms for each, 3 in flight',
      ...{ points: 30, intervalMs: 1000 / 30, sizeBytes: FRAME_BYTES, inFlight: 3 },
      batch: { processMs: 2000 / 30 },
      stream: { processMs: 30, steps: 2 },
    },
  ]
}

/** Steps in a row that keep up add their latencies; none makes another one wait. */
export function predict({ batch, stream, points, intervalMs, sizeBytes, inFlight }: CapacitySet): Prediction {
  const given = { points, intervalMs, sizeBytes, inFlight }
  const streamed = capacity({ ...given, processMs: stream.processMs }).stream
  return {
    batch: capacity({ ...given, processMs: batch.processMs }).batch,
    stream: { ...streamed, latencyMs: streamed.latencyMs * stream.steps },
    canKeepUp: streamed.canKeepUp,
  }
}

export function compare(batch: Figures, stream: Figures): CapacityComparison {
  return {
    latencyReduction: 1 - stream.latencyMs / batch.latencyMs,
    throughputGain: stream.throughputPerSecond / batch.throughputPerSecond,
    memoryReduction: 1 - stream.memoryBytes / batch.memoryBytes,
  }
}
