/** The programs users write must compile without an annotation, and what must not compile must not. */
import { jsonLines } from '@millrace/connectors/file'
import { count, type Duration, dataflow, hopping, mean, type Source, tumbling } from 'millrace'
import { arraySink, arraySource } from 'millrace/testing'
import { expectTypeOf, test } from 'vitest'

interface Reading {
  readonly sensor: string
  readonly value: number
  readonly at: number
}
declare const readingsSource: Source<Reading>

test('the first program compiles as it stands in the design', () => {
  const flow = dataflow('sensor-averages')
  flow
    .source('readings', jsonLines<Reading>({ path: 'readings.jsonl' }), {
      time: (r) => r.at,
      disorder: '2s',
      idleAfter: '30s',
    })
    .filter((r) => r.value > 0)
    .keyBy((r) => r.sensor)
    .window(tumbling('10s'))
    .aggregate('average', { mean: mean((r) => r.value), n: count() })
    .sink('out', jsonLines({ path: 'averages.jsonl' }))
})

test('aggregates name the fields of the result row', () => {
  const keyed = dataflow('f')
    .source('in', readingsSource, { time: (r) => r.at, disorder: '0s' })
    .keyBy((r) => r.sensor)
  const averages = keyed.window(tumbling('10s')).aggregate('average', { mean: mean((r) => r.value), n: count() })
  averages.map((row) => {
    expectTypeOf(row.key).toEqualTypeOf<string>()
    expectTypeOf(row.window).toEqualTypeOf<{ readonly start: number; readonly end: number }>()
    expectTypeOf(row.mean).toEqualTypeOf<number>()
    expectTypeOf(row.n).toEqualTypeOf<number>()
    return row
  })
  keyed
    .window(tumbling('10s'))
    .aggregate('list', (rows) => rows.map((r) => r.value))
    .map((row) => {
      expectTypeOf(row.value).toEqualTypeOf<number[]>()
      return row
    })
  // @ts-expect-error no such field
  averages.map((row) => row.median)
})

test('the fusion program infers every side', () => {
  const flow = dataflow('fusion')
  const imu = flow
    .source('imu', arraySource([{ vehicle: 'a', yaw: 1, at: 1 }]), { time: (s) => s.at, disorder: '50ms' })
    .keyBy((s) => s.vehicle)
  const gps = flow
    .source('gps', arraySource([{ vehicle: 'a', lat: 1, at: 1 }]), { time: (s) => s.at, disorder: '50ms' })
    .keyBy((s) => s.vehicle)
  const lidar = flow
    .source('lidar', arraySource([{ vehicle: 'a', frame: new Uint8Array(1), at: 1 }]), {
      time: (s) => s.at,
      disorder: '50ms',
    })
    .keyBy((s) => s.vehicle)
  const fused = imu.asOf('fuse', {
    gps: { stream: gps, within: '500ms', required: true },
    lidar: { stream: lidar, within: '200ms' },
  })
  const rows = fused.map((f) => ({ yaw: f.left.yaw, lat: f.gps.lat, frame: f.lidar?.frame }))
  rows.sink('out', arraySink<{ yaw: number; lat: number; frame: Uint8Array | undefined }>([]))
  // @ts-expect-error the lidar may be missing
  fused.map((f) => f.lidar.frame)
})

test('what must not compile does not', () => {
  const flow = dataflow('wrong')
  const stream = flow.source('in', readingsSource, { time: (r) => r.at, disorder: '0s' })
  const keyed = stream.keyBy((r) => r.sensor)
  // @ts-expect-error event time is required
  flow.source('in', readingsSource, {})
  // @ts-expect-error how much disorder there may be is required
  flow.source('in', readingsSource, { time: (r) => r.at })
  // @ts-expect-error a window needs keyBy first; windowAll is the un-keyed one
  stream.window(tumbling('10s'))
  // @ts-expect-error wrong field
  stream.filter((r) => r.valeu > 0)
  // @ts-expect-error bad duration
  tumbling('10 seconds')
  // @ts-expect-error bad duration
  hopping('10s', '5')
  // @ts-expect-error a stateful step has a name
  keyed.window(tumbling('10s')).aggregate({ n: count() })
  // @ts-expect-error a sink has a name
  stream.sink(arraySink<Reading>([]))
  // @ts-expect-error `key` is taken by the result row
  keyed.window(tumbling('10s')).aggregate('a', { key: count() })
  // @ts-expect-error `window` is taken by the result row
  keyed.window(tumbling('10s')).aggregate('a', { window: count() })
  // @ts-expect-error the sink takes other rows
  stream.sink('out', arraySink<string>([]))
  const duration: Duration = '10s'
  return duration
})
