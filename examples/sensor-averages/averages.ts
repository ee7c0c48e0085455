/**
 * The first program: the mean of each sensor over windows of ten seconds of event time.
 * Run it in this folder: `npx millrace run averages.ts`; results are in averages.jsonl.
 */
import { jsonLines } from '@millrace/connectors/file'
import { count, dataflow, mean, tumbling } from 'millrace'

interface Reading {
  readonly sensor: string
  readonly value: number
  /** ms since the epoch. */
  readonly at: number
}

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
export default flow
