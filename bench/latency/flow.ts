/**
 * The flow whose latency is measured: a stateless path from the source to a sink, and beside it 100 keys in windows of
 * 10 ms. Worker threads import this module again, so its settings come through the environment; `run.ts` sets them.
 */
import { count, dataflow, mean, tumbling } from 'millrace'
import { latencySink } from '../lib/latency-sink.ts'
import { dueMs, openLoop, type Pace } from '../lib/open-loop.ts'

export interface LatencySettings {
  readonly rate: number
  readonly startMs: number
  readonly durationMs: number
  /** Records due earlier warm the process up and are not measured. */
  readonly measureFromMs: number
  readonly partitions: number
  readonly pace: Pace
  /** Where the sinks write their histograms. */
  readonly folder: string
}

interface Reading {
  readonly at: number
  readonly key: number
  readonly value: number
}

const settings: LatencySettings = JSON.parse(process.env.MILLRACE_LATENCY as string)
const { partitions, measureFromMs, folder } = settings
const KEYS = 100

export const latency = dataflow('latency')

const readings = latency
  .source(
    'readings',
    openLoop<Reading>({ ...settings, make: (number, at) => ({ at, key: number % KEYS, value: number % 97 }) }),
    { time: (reading) => reading.at, disorder: '0ms' },
  )
  .filter((reading) => reading.value >= 0)
  .map((reading) => ({ ...reading, value: reading.value * 1.8 + 32 }))

readings.sink(
  'stateless',
  latencySink(folder, ({ at }) => (at >= measureFromMs ? at : undefined)),
)

readings
  .keyBy((reading) => reading.key)
  .window(tumbling('10ms'))
  .aggregate('averages', { n: count(), mean: mean((reading) => reading.value) })
  .sink(
    'windows',
    latencySink(folder, ({ window }) => closedAtMs(window.end)),
  )

/** When the record was due whose coming closed a window: the last partition's first at or after the window's end. */
function closedAtMs(end: number): number | undefined {
  let number = Math.ceil(((end - settings.startMs) * settings.rate) / 1000)
  // The division may have been off by a little.
  while (dueMs(settings, number - 1) >= end) number--
  while (dueMs(settings, number) < end) number++
  const closed = dueMs(settings, number + partitions - 1)
  const isOpenAtEnd = closed >= settings.startMs + settings.durationMs - 100
  return end < measureFromMs || isOpenAtEnd ? undefined : closed
}
