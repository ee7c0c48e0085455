/** The sensors of the data node. An entry more is a sensor more: window, statistics, anomalies, status and table row. */
import type { Random } from '../random.ts'

export interface Sample {
  /** From 1. */
  readonly sampleId: number
  /** Since the stream began. */
  readonly seconds: number
  readonly random: Random
}

export interface Sensor {
  readonly unit: string
  /** Readings lie around it. */
  readonly base: number
  /** Standard deviation of the noise. Default 0.5. */
  readonly sigma?: number
  /** A reading of your own device, instead of `base` and noise. What it throws ends the stream, after an error record. */
  readonly read?: (sample: Sample) => number
}

export type Sensors = Readonly<Record<string, Sensor>>

export const SENSORS: Sensors = {
  temperature: { unit: 'C', base: 25.0 },
  humidity: { unit: '%', base: 60.0 },
  pressure: { unit: 'hPa', base: 1013.25 },
}

/** A name that has no entry reads as this one; it has no window and no statistics. */
export const UNKNOWN: Sensor = { unit: '', base: 0 }

/** Readings per sensor that statistics are made of. */
export const WINDOW_SIZE = 10

export const SENSOR_LIMITS = {
  /** Samples per second of a stream. Timers wake a thousand times a second; beyond this, bursts would be too long. */
  sampleRateMax: 10_000,
  durationSMax: 3_600,
  sensorsMax: 64,
  /** Streams at once; more are refused with RESOURCE_EXHAUSTED. */
  streamsMax: 16,
  replayMax: 100_000,
}
