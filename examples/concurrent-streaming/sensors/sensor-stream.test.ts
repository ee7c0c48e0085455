import { type CallContext, RemoteError } from '@millrace/remote'
import { describe, expect, it } from 'vitest'
import { collect, collectAll, jumpingClock } from '../case-kit.ts'
import { realClock } from '../clock.ts'
import type { SensorRecord, SensorStatistics } from '../records.ts'
import { READINGS, ROWS, rowOf } from './case-rows.ts'
import { SENSOR_LIMITS, SENSORS } from './config.ts'
import { dataFunctions } from './functions.ts'
import type { SensorInput } from './sensor-stream.ts'

const context = { signal: new AbortController().signal } as CallContext

/** All records of a stream on a clock that jumps. */
async function run(input: object, sensors = SENSORS): Promise<SensorRecord[]> {
  const { readings } = dataFunctions({ clock: jumpingClock(), sensors })
  return (await collect(readings(input as SensorInput, context))) as SensorRecord[]
}

describe('statistics of the window', () => {
  it('are, for fifteen given readings, the fifteen rows of the case, and six of them are anomalies', async () => {
    const records = await run({ replay: { temperature: READINGS } })
    expect(records.map(rowOf)).toEqual(ROWS)
    const odd = records.filter((record) => 'anomalies' in record)
    expect(odd.map(({ sample_id }) => sample_id)).toEqual([6, 7, 12, 13, 14, 15])
    for (const { anomalies, health_status } of odd)
      expect({ anomalies, health_status }).toEqual({
        anomalies: ['temperature_high_variance'],
        health_status: 'warning',
      })
  })

  it('have the variance of the population beside them', async () => {
    const records = await run({ replay: { temperature: READINGS } })
    const of = (at: number) => (records[at].statistics.temperature as SensorStatistics).variance
    // (0.4 / 2)^2; (24.6, 25, 25.4) around 25: 2 * 0.16 / 3.
    expect([of(0), of(1), of(2)]).toEqual([0, 0.04, 0.11])
  })

  it('are of each stream alone', async () => {
    const { readings } = dataFunctions({ clock: jumpingClock() })
    const first = readings({ duration: 20 }, context)
    for (let i = 0; i < 7; i++) await first.next()
    const other = (await readings({ duration: 20 }, context).next()).value as SensorRecord
    expect((other.statistics.temperature as SensorStatistics).samples).toBe(1)
  })
})

describe('the sensor stream', () => {
  it('gives every sample that is due before the end, at the time it is due', async () => {
    const records = await run({ sensors: ['temperature', 'humidity', 'pressure'], sampleRate: 2, duration: 20 })
    expect(records.map(({ sample_id }) => sample_id)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
    expect(records.map(({ elapsed_time }) => elapsed_time)).toEqual(Array.from({ length: 40 }, (_, i) => i / 2))
    expect(records.map(({ statistics }) => (statistics.pressure as SensorStatistics).samples)).toEqual(
      Array.from({ length: 40 }, (_, i) => Math.min(i + 1, 10)),
    )
    expect(await run({ sampleRate: 30, duration: 0.1 })).toHaveLength(3)
    expect(await run({ duration: 0 })).toEqual([])
  })

  it('keeps its rate when a reader is slow, and owes nothing to the time it took', async () => {
    const clock = jumpingClock()
    const times: number[] = []
    for await (const _ of dataFunctions({ clock }).readings({ sampleRate: 10, duration: 1 }, context)) {
      times.push(clock.now())
      if (times.length === 3) await clock.until(clock.now() + 350)
      await clock.until(clock.now() + 7)
    }
    // At 557 ms three samples are owed; they come at once, and the next is on time again.
    expect(times).toEqual([0, 100, 200, 557, 564, 571, 600, 700, 800, 900])
  })

  it('defaults to the temperature once a second for 30 seconds', async () => {
    const records = await run({})
    expect(records).toHaveLength(30)
    expect(Object.keys(records[0].readings)).toEqual(['temperature'])
    expect(records[0]).toMatchObject({ node_id: 'data-node', sample_id: 1, elapsed_time: 0, health_status: 'healthy' })
    expect(records[0].timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/)
  })

  it('reads around its base values, drifting by a tenth', async () => {
    const records = await run({ sensors: ['temperature', 'humidity', 'pressure'], duration: 1000, seed: 5 })
    for (const [name, { base }] of Object.entries(SENSORS)) {
      const values = records.map(({ readings }) => readings[name])
      const mean = values.reduce((sum, each) => sum + each, 0) / values.length
      // The standard error of 1,000 readings is 0.016; the drift averages to 0.018 over 1,000 seconds.
      expect(Math.abs(mean - base - 0.018)).toBeLessThan(0.08)
      const spread = Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length)
      expect(spread).toBeGreaterThan(0.45)
      expect(spread).toBeLessThan(0.56)
      expect(values.every((each) => Number((each * 100).toFixed(6)) % 1 === 0)).toBe(true)
    }
  })

  it('reads unknown sensors around zero, without statistics', async () => {
    const [record] = await run({ sensors: ['wind'], duration: 1 })
    expect(Math.abs(record.readings.wind)).toBeLessThan(5)
    expect(record.statistics).toEqual({ wind: {} })
  })

  it('repeats itself with a seed, whatever other sensors there are', async () => {
    const one = await run({ sensors: ['humidity'], duration: 5, seed: 7 })
    const two = await run({ sensors: ['temperature', 'humidity'], duration: 5, seed: 7 })
    expect(two.map(({ readings }) => readings.humidity)).toEqual(one.map(({ readings }) => readings.humidity))
    const other = await run({ sensors: ['humidity'], duration: 5, seed: 8 })
    expect(other.map(({ readings }) => readings)).not.toEqual(one.map(({ readings }) => readings))
  })

  it('takes a sensor of the user’s by one entry, with window, statistics, anomalies and status', async () => {
    const sensors = {
      ...SENSORS,
      tank: { unit: 'l', base: 0, read: ({ sampleId }: { sampleId: number }) => sampleId * 10 },
    }
    const records = await run({ sensors: ['tank'], duration: 3 }, sensors)
    expect(records.map(({ readings }) => readings.tank)).toEqual([10, 20, 30])
    expect(records[2].statistics.tank).toMatchObject({ mean: 20, std: 8.16, trend: 'increasing', samples: 3 })
    expect(records[2].anomalies).toEqual(['tank_high_variance'])
    expect(dataFunctions({ sensors }).get_sensor_status().available_sensors).toContain('tank')
  })

  it('gives an error record and then fails when a sensor throws', async () => {
    const read = ({ sampleId }: { sampleId: number }) => {
      if (sampleId === 3) throw new Error('the bus is gone')
      return 1
    }
    const { readings } = dataFunctions({ clock: jumpingClock(), sensors: { bus: { unit: '', base: 0, read } } })
    const { items, error } = await collectAll(readings({ sensors: ['bus'] }, context))
    expect(items).toHaveLength(3)
    expect(items[2]).toEqual({
      timestamp: expect.any(String),
      error: 'the bus is gone',
      health_status: 'error',
      node_id: 'data-node',
    })
    expect((error as Error).message).toBe('the bus is gone')
  })

  it('ends at once, and quietly, when the caller wants no more', async () => {
    const abort = new AbortController()
    const stream = dataFunctions({ clock: realClock() }).readings({ sampleRate: 0.01, duration: 3600 }, {
      signal: abort.signal,
    } as CallContext)
    await stream.next()
    const next = stream.next()
    abort.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })
})

describe('anomalies', () => {
  it('that are put in are said, and found by the rules that look for them', async () => {
    const records = await run({
      ...{ duration: 400, seed: 3, anomalies: { rate: 0.03, magnitude: 20 } },
      rules: ['variance', 'zscore', 'ewma'],
    })
    const put = records.filter(({ injected }) => injected !== undefined)
    expect(put.length).toBeGreaterThan(4)
    expect(put.length).toBeLessThan(30)
    // The first readings teach the rules what is ordinary; later ones may hide behind another within ten readings.
    const found = (rule: string) => put.filter(({ anomalies = [] }) => anomalies.includes(`temperature_${rule}`)).length
    expect(found('high_variance')).toBeGreaterThanOrEqual(put.length - 1)
    expect(found('ewma')).toBeGreaterThan(put.length / 2)
    const alone = put.filter(({ sample_id }) => {
      return sample_id > 10 && !put.some((other) => other.sample_id < sample_id && other.sample_id >= sample_id - 10)
    })
    expect(alone.length).toBeGreaterThan(0)
    for (const { anomalies } of alone) expect(anomalies).toContain('temperature_zscore')
  })

  it('are rare where none was put in', async () => {
    const records = await run({ duration: 1000, seed: 4, rules: ['variance', 'zscore', 'ewma'] })
    expect(records.filter(({ anomalies }) => anomalies !== undefined).length).toBeLessThan(20)
    expect(records.some(({ injected }) => injected !== undefined)).toBe(false)
  })

  it('leave the other readings as they were', async () => {
    const calm = await run({ duration: 100, seed: 9 })
    const odd = await run({ duration: 100, seed: 9, anomalies: { rate: 0.1, magnitude: 10 } })
    for (const [i, { readings, injected }] of odd.entries()) {
      const change = Math.abs(readings.temperature - calm[i].readings.temperature)
      expect(change).toBeCloseTo(injected === undefined ? 0 : 10, 6)
    }
  })
})

describe('the configuration of a stream', () => {
  it('may be in snake_case', async () => {
    expect(await run({ sample_rate: 4, duration: 1, z_score: 3 })).toHaveLength(4)
  })

  it.each<[object, string]>([
    [{ sampleRate: 0 }, 'sampleRate'],
    [{ sampleRate: SENSOR_LIMITS.sampleRateMax + 1 }, 'sampleRate'],
    [{ duration: SENSOR_LIMITS.durationSMax + 1 }, 'duration'],
    [{ duration: -1 }, 'duration'],
    [{ sensors: [] }, 'sensors'],
    [{ sensors: 'temperature' }, 'sensors'],
    [{ rate: 3 }, 'rate'],
    [{ sampleRate: 1, sample_rate: 2 }, 'sample_rate'],
    [{ rules: ['sum'] }, 'rules'],
    [{ anomalies: { rate: 2 } }, 'anomalies.rate'],
    [{ seed: 'x' }, 'seed'],
    [{ replay: { temperature: ['x'] } }, 'replay.temperature'],
  ])('is refused where it does not fit: %j', async (input, path) => {
    const error = await run(input).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RemoteError)
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', data: { path } })
  })
})

describe('the status', () => {
  it('tells of sensors, windows and the limits that are enforced; a reset empties the windows', async () => {
    const { readings, get_sensor_status, reset_data_buffer } = dataFunctions({ clock: jumpingClock() })
    expect(get_sensor_status()).toEqual({
      node_id: 'data-node',
      status: 'online',
      available_sensors: ['temperature', 'humidity', 'pressure'],
      buffer_size: 10,
      current_data: { temperature: 0, humidity: 0, pressure: 0 },
      capabilities: { max_sample_rate: 10_000, max_duration: 3600, real_time_analysis: true, anomaly_detection: true },
      units: { temperature: 'C', humidity: '%', pressure: 'hPa' },
      active_streams: 0,
    })
    const stream = readings({}, context)
    for (let i = 0; i < 12; i++) await stream.next()
    expect(get_sensor_status()).toMatchObject({ current_data: { temperature: 10, humidity: 0 }, active_streams: 1 })
    expect(reset_data_buffer()).toEqual({
      node_id: 'data-node',
      status: 'buffer_reset',
      timestamp: expect.any(String),
    })
    expect(get_sensor_status().current_data.temperature).toBe(0)
    const record = (await stream.next()).value as SensorRecord
    expect(record.statistics.temperature).toMatchObject({ samples: 1, trend: 'insufficient_data' })
  })
})
