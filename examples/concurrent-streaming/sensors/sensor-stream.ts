/**
 * The sensor stream: readings at a true rate, their statistics, and what is odd about them.
 *
 * Sample k is due at `start + (k - 1) / rate`, whatever happened before: a rate is kept, not approached, and samples that
 * a slow reader held up come late but come.
 */
import { Arguments, refused } from '../arguments.ts'
import { type Clock, localIso } from '../clock.ts'
import { roundEven } from '../numbers.ts'
import { type Random, randomOf } from '../random.ts'
import type { SensorErrorRecord, SensorRecord, SensorStatistics } from '../records.ts'
import {
  AnomalyRules,
  EWMA,
  type Injection,
  injected,
  RULES,
  type Rule,
  type RuleOptions,
  Z_SCORE,
} from './anomalies.ts'
import { type Sensor, type Sensors, UNKNOWN } from './config.ts'
import { SensorWindow, statisticsOf } from './window.ts'

/** What a caller sends; every field may be left out. Fields in snake_case are accepted too. */
export interface SensorInput {
  /** Default ['temperature']. */
  readonly sensors?: readonly string[]
  /** Hz. Default 1. */
  readonly sampleRate?: number
  /** Seconds. Default 30. */
  readonly duration?: number
  /** Makes the readings repeatable, and starts their slow drift at the same point. Default: by chance. */
  readonly seed?: number
  readonly anomalies?: Partial<Injection>
  /** Default ['variance']. */
  readonly rules?: readonly Rule[]
  readonly zScore?: number
  readonly ewma?: number
  /** Readings that are taken as they are, instead of the sensor's; the stream ends with the longest list. */
  readonly replay?: Readonly<Record<string, readonly number[]>>
}

export interface SensorConfig extends RuleOptions {
  readonly sensors: readonly string[]
  readonly sampleRate: number
  readonly samples: number
  readonly seed: number | undefined
  readonly injection: Injection
  readonly replay: Readonly<Record<string, readonly number[]>> | undefined
}

export interface SensorLimits {
  readonly sampleRateMax: number
  readonly durationSMax: number
  readonly sensorsMax: number
  readonly replayMax: number
}

const INPUT = ['sensors', 'sampleRate', 'duration', 'seed', 'anomalies', 'rules', 'zScore', 'ewma', 'replay']

/** @throws RemoteError `INVALID_ARGUMENT` */
export function sensorConfig(input: SensorInput | undefined, limits: SensorLimits): SensorConfig {
  const given = new Arguments(input, INPUT)
  const sampleRate = given.number('sampleRate', 1, { min: 0, above: true, max: limits.sampleRateMax })
  const duration = given.number('duration', 30, { min: 0, max: limits.durationSMax })
  const rules = given.texts('rules', ['variance'], RULES.length)
  const unknown = rules.find((rule) => !(RULES as readonly string[]).includes(rule))
  if (unknown !== undefined) throw refused('rules', `there is no rule "${unknown}". There are ${RULES.join(', ')}.`)
  const anomalies = new Arguments(given.maybe('anomalies'), ['rate', 'magnitude'], 'anomalies.')
  const replay = replayOf(given.maybe('replay'), limits.replayMax)
  const lengths = Object.values(replay ?? {}).map((list) => list.length)
  // Samples fall on 0, 1/rate, 2/rate... below the duration; the margin is for products like 0.1 * 30.
  const due = Math.ceil(duration * sampleRate - 1e-9)
  return {
    sensors: given.texts('sensors', replay === undefined ? ['temperature'] : Object.keys(replay), limits.sensorsMax),
    sampleRate,
    samples: replay === undefined ? due : Math.min(due, Math.max(0, ...lengths)),
    seed: given.maybe('seed') === undefined ? undefined : given.number('seed', 0, { whole: true }),
    injection: {
      rate: anomalies.number('rate', 0, { min: 0, max: 1 }),
      magnitude: anomalies.number('magnitude', 10),
    },
    rules: rules as Rule[],
    zScore: given.number('zScore', Z_SCORE, { min: 0, above: true }),
    ewma: given.number('ewma', EWMA, { min: 0, above: true }),
    replay,
  }
}

function replayOf(value: unknown, sizeMax: number): SensorConfig['replay'] {
  if (value === undefined) return undefined
  const lists = Object.entries(typeof value === 'object' && value !== null ? value : {})
  if (lists.length === 0) throw refused('replay', '"replay" must be an object of lists: { temperature: [25, 25.4] }.')
  for (const [sensor, list] of lists) {
    const isList = Array.isArray(list) && list.length <= sizeMax && list.every((each) => Number.isFinite(each))
    if (!isList) throw refused(`replay.${sensor}`, `"replay.${sensor}" must be a list of at most ${sizeMax} numbers.`)
  }
  return value as Readonly<Record<string, readonly number[]>>
}

/** One sensor in one stream. */
export class SensorTrack {
  readonly window: SensorWindow | undefined
  readonly rules: AnomalyRules
  readonly sensor: Sensor
  readonly noise: Random
  readonly faults: Random

  constructor(name: string, sensors: Sensors, seed: number, rules: RuleOptions) {
    const known = Object.hasOwn(sensors, name) ? sensors[name] : undefined
    this.sensor = known ?? UNKNOWN
    this.window = known === undefined ? undefined : new SensorWindow()
    this.rules = new AnomalyRules(rules)
    this.noise = randomOf(seed, name)
    this.faults = randomOf(seed, name, 'faults')
  }
}

export type SensorTracks = ReadonlyMap<string, SensorTrack>

export function tracksOf(config: SensorConfig, sensors: Sensors, seed: number): SensorTracks {
  return new Map(config.sensors.map((name) => [name, new SensorTrack(name, sensors, seed, config)]))
}

export interface SensorStreamOptions {
  readonly clock: Clock
  readonly node: string
  readonly signal: AbortSignal | undefined
}

/** Ends with an error record and the error when a sensor fails. */
export async function* sensorStream(
  config: SensorConfig,
  tracks: SensorTracks,
  { clock, node, signal }: SensorStreamOptions,
): AsyncGenerator<SensorRecord | SensorErrorRecord> {
  const startMs = clock.now()
  const startEpochMs = config.seed === undefined ? clock.epoch() : 0
  const stepMs = 1000 / config.sampleRate
  try {
    for (let sampleId = 1; sampleId <= config.samples; sampleId++) {
      const dueMs = (sampleId - 1) * stepMs
      if (startMs + dueMs > clock.now()) await clock.until(startMs + dueMs, signal)
      yield sampleOf(config, tracks, { sampleId, seconds: dueMs / 1000, startEpochMs, atMs: clock.epoch(), node })
    }
  } catch (error) {
    if (signal?.aborted === true) return
    yield {
      timestamp: localIso(clock.epoch()),
      error: error instanceof Error ? error.message : String(error),
      health_status: 'error',
      node_id: node,
    }
    throw error
  }
}

interface Moment {
  readonly sampleId: number
  /** Since the stream began. */
  readonly seconds: number
  readonly startEpochMs: number
  readonly atMs: number
  readonly node: string
}

function sampleOf(config: SensorConfig, tracks: SensorTracks, moment: Moment): SensorRecord {
  const readings: Record<string, number> = {}
  const statistics: Record<string, SensorStatistics | Record<string, never>> = {}
  const anomalies: string[] = []
  const changed: string[] = []
  for (const [name, track] of tracks) {
    const change = injected(config.injection, track.faults)
    const value = readingOf(name, track, config, moment, change)
    if (value === undefined) continue
    if (change !== 0) changed.push(name)
    readings[name] = value
    statistics[name] = {}
    if (track.window === undefined) continue
    const before = [...track.window.values]
    track.window.push(value)
    const after = statisticsOf(track.window.values)
    statistics[name] = after
    anomalies.push(...track.rules.check(name, value, before, after))
  }
  return {
    timestamp: localIso(moment.atMs),
    sampled_at_ms: moment.atMs,
    sample_id: moment.sampleId,
    elapsed_time: roundEven(moment.seconds, 2),
    readings,
    statistics,
    health_status: anomalies.length === 0 ? 'healthy' : 'warning',
    node_id: moment.node,
    ...(anomalies.length === 0 ? {} : { anomalies }),
    ...(changed.length === 0 ? {} : { injected: changed }),
  }
}

/** Undefined when a replay of this sensor is over. */
function readingOf(
  name: string,
  { sensor, noise }: SensorTrack,
  { replay }: SensorConfig,
  { sampleId, seconds, startEpochMs }: Moment,
  change: number,
): number | undefined {
  if (replay !== undefined && Object.hasOwn(replay, name)) {
    const value = replay[name][sampleId - 1]
    return value === undefined ? undefined : value + change
  }
  if (sensor.read !== undefined) return roundEven(sensor.read({ sampleId, seconds, random: noise }) + change, 2)
  const drift = 0.1 * Math.sin((startEpochMs / 1000 + seconds) / 100)
  return roundEven(sensor.base + noise.normal() * (sensor.sigma ?? 0.5) + drift + change, 2)
}
