/**
 * The flow that gets killed: files in, files out, with everything that must survive: positions, windows, state with
 * timers, calls in flight, dead letters. `MILLRACE_KILL_FOLDER` says where its files are.
 */
import { jsonLines } from '@millrace/connectors/file'
import { count, dataflow, dlq, hopping, mean, sum, tumbling } from 'millrace'

export interface Reading {
  readonly sensor: string
  readonly value: number
  readonly at: number
}

const folder = process.env.MILLRACE_KILL_FOLDER ?? '.'
const SILENCE_MS = 2_000
const deadLetters = dlq(jsonLines({ path: `${folder}/dead.jsonl` }))

const flow = dataflow('killed')
const readings = flow.source('readings', jsonLines<Reading>({ path: `${folder}/in-*.jsonl` }), {
  time: (r) => r.at,
  disorder: '2s',
  onError: deadLetters,
})
const bySensor = readings
  .map(
    (r) => {
      if (r.value === 13) throw new Error('thirteen')
      return r
    },
    { onError: deadLetters },
  )
  .keyBy((r) => r.sensor)

bySensor
  .window(tumbling('10s'))
  .aggregate('average', { mean: mean((r) => r.value), n: count() })
  .sink('averages', jsonLines({ path: `${folder}/averages.jsonl` }))

bySensor
  .window(hopping('30s', '10s'))
  .aggregate('load', { total: sum((r) => r.value) })
  .mapAsync('label', async (row) => ({ ...row, label: row.total > 100 ? 'high' : 'low' }), { capacity: 8 })
  .sink('loads', jsonLines({ path: `${folder}/loads.jsonl` }))

// A record after which its sensor says nothing for two seconds. What a timer sees of records beyond its own time depends
// on arrival, so it looks only at those before.
bySensor
  .process<{ sensor: string; silentSince: number }>('silence', (setup) => {
    const times = setup.map<number, boolean>('times')
    return {
      onRecord(row, ctx) {
        times.set(row.at, true)
        ctx.timers.event(row.at + SILENCE_MS)
      },
      onTimer(timer, ctx) {
        const since = timer.time - SILENCE_MS
        let isSilent = true
        for (const at of times.keys()) if (at > since && at < timer.time) isSilent = false
        times.delete(since)
        if (isSilent) ctx.emit({ sensor: String(ctx.key), silentSince: since })
      },
    }
  })
  .sink('silences', jsonLines({ path: `${folder}/silences.jsonl` }))

export default flow
