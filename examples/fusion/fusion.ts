/**
 * Sensors of several vehicles fused by event time: for each motion record the position of at most half a second before,
 * which must be there, and the laser frame of at most 200 ms before, which may be missing.
 * The sensors are simulated by a formula, so that every run gives the same rows. Results are in fused.jsonl.
 */
import { jsonLines } from '@millrace/connectors/file'
import { dataflow } from 'millrace'
import { arraySource } from 'millrace/testing'

const SECONDS = 20
const START = 1_700_000_000_000
const vehicles = ['north', 'south']

/** 100 Hz. */
const motion = series(10, (vehicle, at, i) => ({ vehicle, at, yaw: Math.round(Math.sin(i / 50) * 1000) / 1000 }))
/** 5 Hz, silent in a tunnel from second 8 to second 10. */
const positions = series(200, (vehicle, at, i) => ({ vehicle, at, lat: 48 + i / 10_000 })).filter(
  (p) => p.at < START + 8_000 || p.at >= START + 10_000,
)
/** 30 Hz, every fourth frame lost. */
const frames = series(1000 / 30, (vehicle, at, i) => ({ vehicle, at, frame: i })).filter((f) => f.frame % 4 !== 3)

const flow = dataflow('fusion')
const imu = flow.source('imu', arraySource(motion), { time: (s) => s.at, disorder: '20ms' }).keyBy((s) => s.vehicle)
const gps = flow.source('gps', arraySource(positions), { time: (s) => s.at, disorder: '20ms' }).keyBy((s) => s.vehicle)
const lidar = flow.source('lidar', arraySource(frames), { time: (s) => s.at, disorder: '20ms' }).keyBy((s) => s.vehicle)

const fused = imu.asOf('fuse', {
  gps: { stream: gps, within: '500ms', required: true },
  lidar: { stream: lidar, within: '200ms' },
})
fused
  .map((f) => ({ vehicle: f.key, at: f.left.at, yaw: f.left.yaw, lat: f.gps.lat, frame: f.lidar?.frame ?? null }))
  .sink('out', jsonLines({ path: 'fused.jsonl' }))
fused
  .output('unmatched')
  .map((left) => ({ vehicle: left.vehicle, at: left.at }))
  .sink('without position', jsonLines({ path: 'without-position.jsonl' }))

export default flow

function series<T>(everyMs: number, row: (vehicle: string, at: number, i: number) => T): T[] {
  const count = Math.floor((SECONDS * 1000) / everyMs)
  return Array.from({ length: count }, (_, i) => vehicles.map((vehicle) => row(vehicle, START + i * everyMs, i))).flat()
}
