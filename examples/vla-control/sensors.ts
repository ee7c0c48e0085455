/** Ten sensors of an arm, read together 100 times a second: angles of six joints, three forces, the gripper. */
import type { Source, SourceBatch, SourceContext } from 'millrace/connector'
import type { SensorRecord } from './records.ts'

export const SENSORS = ['j1', 'j2', 'j3', 'j4', 'j5', 'j6', 'fx', 'fy', 'force', 'gripper'] as const

export interface SensorOptions {
  readonly robot: string
  /** Readings of all ten, per second. */
  readonly hz: number
  /** Ends after so many of them; undefined: never. */
  readonly ticks: number | undefined
  readonly now: () => number
}

/** What sensor `s` shows at tick `tick`: angles in radians, forces in newtons, the gripper 0..1. */
export function readingOf(s: number, tick: number): number {
  if (s < 6) return Math.sin(tick / (50 + 7 * s))
  return s < 9 ? 5 + 5 * Math.sin(tick / (90 + s)) : 0.5
}

/** Reads when a reading is due, in real time. Readings nobody took in time come late, but come. */
export function sensors({ robot, hz, ticks = Number.POSITIVE_INFINITY, now }: SensorOptions): Source<SensorRecord> {
  const end = ticks * SENSORS.length
  return {
    kind: 'vla.sensors',
    bounded: ticks !== Number.POSITIVE_INFINITY,
    replayable: false,
    describe: () => ({ robot, sensors: SENSORS.length, hz }),
    partitions: () => ['0'],
    open(_partition, position, ctx: SourceContext) {
      let next = typeof position === 'number' ? position : 0
      const startMs = now() - (Math.floor(next / SENSORS.length) * 1000) / hz
      const dueMs = (row: number): number => startMs + (Math.floor(row / SENSORS.length) * 1000) / hz

      const take = (maxRows: number): SourceBatch<SensorRecord> | 'end' => {
        const first = next
        const rows: SensorRecord[] = []
        const until = now()
        for (; rows.length < maxRows && next < end && dueMs(next) <= until; next++) {
          const s = next % SENSORS.length
          const value = readingOf(s, Math.floor(next / SENSORS.length))
          rows.push({ robot, at: dueMs(next), sensor: SENSORS[s], value })
        }
        return { rows, next, caughtUp: rows.length < maxRows, at: (i) => first + i }
      }
      return {
        read(maxRows) {
          if (next >= end) return 'end'
          const waitMs = dueMs(next) - now()
          if (waitMs <= 0) return take(maxRows)
          return ctx.wait(Math.min(500, Math.ceil(waitMs))).then(() => take(maxRows))
        },
        close() {},
      }
    },
  }
}
