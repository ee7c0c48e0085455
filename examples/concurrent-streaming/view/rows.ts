/** What the screen knows of the streams: rows that records are added to. Pure; times are handed in. */
import { RemoteError } from '@millrace/remote'
import type { InferenceRecord, SensorErrorRecord, SensorRecord } from '../records.ts'

export type RowStatus = 'waiting' | 'active' | 'completed' | 'failed' | 'stopped'

/** A line of the table. */
export interface Line {
  readonly title: string
  readonly status: RowStatus | ''
  readonly progress: string
  /** Facts, the most important first: a narrow terminal shows fewer. */
  readonly latest: readonly string[]
}

export abstract class StreamRow {
  /** Short name, in JSON lines. */
  abstract readonly name: string
  abstract readonly title: string
  status: RowStatus = 'waiting'
  failure: { readonly code: string; readonly message: string } | undefined
  startMs: number | undefined
  endMs: number | undefined
  records = 0

  begin(nowMs: number): void {
    this.status = 'active'
    this.startMs = nowMs
  }

  complete(nowMs: number): void {
    this.status = 'completed'
    this.endMs = nowMs
  }

  /** By the user. */
  stop(nowMs: number): void {
    this.status = 'stopped'
    this.endMs = nowMs
  }

  fail(error: unknown, nowMs: number): void {
    this.status = 'failed'
    this.endMs = nowMs
    this.failure = {
      code: error instanceof RemoteError ? error.code : 'ERROR',
      message: error instanceof Error ? error.message : String(error),
    }
  }

  secondsAt(nowMs: number): number {
    return this.startMs === undefined ? 0 : ((this.endMs ?? nowMs) - this.startMs) / 1000
  }

  /** The stream, then its parts. */
  abstract lines(): Line[]

  protected latestOr(facts: readonly string[]): readonly string[] {
    return this.failure === undefined ? facts : [this.failure.code]
  }
}

export class DataRow extends StreamRow {
  readonly name = 'data'
  readonly title = 'Data Processing'
  readonly #units: Readonly<Record<string, string>>
  /** Sample to client, ms; a circle of the last ones. */
  readonly latencies: number[] = []
  last: SensorRecord | undefined
  samples = 0
  warnings = 0

  constructor(units: Readonly<Record<string, string>>) {
    super()
    this.#units = units
  }

  add(record: SensorRecord | SensorErrorRecord, nowEpochMs: number): void {
    this.records++
    if (record.health_status === 'error') return
    this.latencies[this.samples++ % LATENCIES_MAX] = nowEpochMs - record.sampled_at_ms
    if (record.health_status === 'warning') this.warnings++
    this.last = record
  }

  /** `25.12 C`, or an empty text before the first reading. */
  reading(sensor: string): string {
    const value = this.last?.readings[sensor]
    if (value === undefined) return ''
    const unit = this.#units[sensor] ?? ''
    return `${value.toFixed(2)}${unit === '' ? '' : ` ${unit}`}`
  }

  lines(): Line[] {
    const { last } = this
    const sensors = Object.keys(last?.readings ?? {})
    const first = sensors[0]
    const label = first === 'temperature' ? 'Temp' : first
    const facts = first === undefined ? [] : [`${label}: ${this.reading(first)}`]
    const head = {
      title: this.title,
      status: this.status,
      progress: `${this.samples} samples`,
      latest: this.latestOr([...facts, ...(last?.anomalies ?? [])]),
    }
    return [head, ...sensors.map((sensor) => this.#sensorLine(sensor))]
  }

  #sensorLine(sensor: string): Line {
    const found = this.last?.statistics[sensor] ?? {}
    const isKnown = 'mean' in found
    const facts = isKnown
      ? [`mean ${found.mean.toFixed(2)}`, `std ${found.std.toFixed(2)}`, trendWord(found.trend)]
      : []
    return {
      title: `  ${sensor}`,
      status: '',
      progress: isKnown ? `window of ${found.samples}` : 'no window',
      latest: [this.reading(sensor), ...facts],
    }
  }
}

const LATENCIES_MAX = 10_000

function trendWord(trend: string): string {
  return trend === 'insufficient_data' ? 'too few to tell' : trend
}

export class InferenceRow extends StreamRow {
  readonly name: string
  readonly title: string
  readonly requested: string
  batches = 0
  images = 0
  /** Seconds of all batches. */
  inferenceSeconds = 0
  progress = 0
  latest: { readonly name: string; readonly confidence: number; readonly score: number | undefined } | undefined
  runs: string
  isSimulated: boolean

  constructor(requested: string, runs: { readonly what: string; readonly isSimulated: boolean }, count: number) {
    super()
    this.requested = requested
    this.name = count === 1 ? 'ml' : `ml:${requested}`
    this.title = count === 1 ? 'ML Inference' : `ML ${requested}`
    this.runs = runs.what
    this.isSimulated = runs.isSimulated
  }

  add(record: InferenceRecord): void {
    this.records++
    if (record.status !== 'processing') return
    this.batches++
    this.images += record.batch_size
    this.inferenceSeconds += record.batch_time
    this.progress = record.progress
    const found = record.results.at(-1)?.classification
    if (found !== undefined)
      this.latest = { name: found.top_class, confidence: found.top_confidence, score: found.top_score }
  }

  lines(): Line[] {
    return [
      {
        title: this.title,
        status: this.status,
        progress: `${this.batches} batches`,
        latest: this.latestOr(this.batches === 0 ? [] : [`Progress: ${this.progress.toFixed(1)}%`]),
      },
      { title: `  ${this.runs}`, status: '', progress: `${this.images} images`, latest: this.latestFacts() },
    ]
  }

  latestFacts(): readonly string[] {
    const honest = this.isSimulated ? ['simulated'] : []
    if (this.latest === undefined) return honest
    const { name, confidence, score } = this.latest
    if (score === undefined) return [`${name} ${confidence.toFixed(3)}`, ...honest]
    return [`${name} ${score.toFixed(3)}`, `${Math.round(confidence * 100)} % of the five`]
  }
}
