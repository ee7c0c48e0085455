/** What the data node offers. `millrace node` can serve the default export as well. */
import { type CallContext, type ComputeNode, callContext } from '@millrace/remote'
import { type Clock, localIso, realClock } from '../clock.ts'
import type { SensorErrorRecord, SensorRecord, SensorStatus } from '../records.ts'
import { SENSOR_LIMITS, SENSORS, type Sensors, WINDOW_SIZE } from './config.ts'
import { type SensorInput, type SensorTracks, sensorConfig, sensorStream, tracksOf } from './sensor-stream.ts'

export interface DataNodeOptions {
  /** Default 'data-node'. */
  readonly id?: string
  readonly sensors?: Sensors
  readonly clock?: Clock
  /** For streams that bring none. */
  readonly seed?: number | undefined
}

export type DataFunctions = ReturnType<typeof dataFunctions>

export function dataFunctions({
  id = 'data-node',
  sensors = SENSORS,
  clock = realClock(),
  seed: nodeSeed,
}: DataNodeOptions = {}) {
  const running = new Set<SensorTracks>()
  /** Windows of the stream that ended last, for when none runs. */
  let ended: SensorTracks | undefined

  const lengthOf = (sensor: string): number => {
    const all = running.size > 0 ? [...running] : ended === undefined ? [] : [ended]
    return Math.max(0, ...all.map((tracks) => tracks.get(sensor)?.window?.values.length ?? 0))
  }

  return {
    /** Readings with their statistics and anomalies, at a true rate. Every stream has windows of its own. */
    async *readings(input?: SensorInput, context?: CallContext): AsyncGenerator<SensorRecord | SensorErrorRecord> {
      const given = sensorConfig(input, SENSOR_LIMITS)
      const config = { ...given, seed: given.seed ?? nodeSeed }
      const tracks = tracksOf(config, sensors, config.seed ?? Math.floor(Math.random() * 2 ** 32))
      running.add(tracks)
      try {
        yield* sensorStream(config, tracks, { clock, node: id, signal: (context ?? callContext())?.signal })
      } finally {
        running.delete(tracks)
        ended = tracks
      }
    },

    get_sensor_status(): SensorStatus {
      const names = Object.keys(sensors)
      return {
        node_id: id,
        status: 'online',
        available_sensors: names,
        buffer_size: WINDOW_SIZE,
        current_data: Object.fromEntries(names.map((name) => [name, lengthOf(name)])),
        capabilities: {
          max_sample_rate: SENSOR_LIMITS.sampleRateMax,
          max_duration: SENSOR_LIMITS.durationSMax,
          real_time_analysis: true,
          anomaly_detection: true,
        },
        units: Object.fromEntries(names.map((name) => [name, sensors[name].unit])),
        active_streams: running.size,
      }
    },

    /** Empties the windows of every stream. */
    reset_data_buffer(): { node_id: string; status: 'buffer_reset'; timestamp: string } {
      for (const tracks of [...running, ...(ended === undefined ? [] : [ended])])
        for (const { window } of tracks.values()) window?.clear()
      return { node_id: id, status: 'buffer_reset', timestamp: localIso(clock.epoch()) }
    },
  }
}

/** With the limits that the status reports. */
export function registerData(node: ComputeNode, functions: DataFunctions): ComputeNode {
  return node
    .register('readings', functions.readings, {
      description: 'Sensor readings with statistics and anomalies, at a true rate',
      concurrency: SENSOR_LIMITS.streamsMax,
      queueMax: 0,
    })
    .register('get_sensor_status', functions.get_sensor_status, { description: 'Sensors, windows and limits' })
    .register('reset_data_buffer', functions.reset_data_buffer, { description: 'Empties every window' })
}

export default dataFunctions()
