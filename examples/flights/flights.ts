/**
 * The main job (`npm start`): three million real flights within the United States in the first half of 2001, from the
 * npm package vega-datasets. Per airport and hour the delays; flights that left much later than was usual at their
 * airport in the hours before; per day the share of late flights.
 *
 * Results are in out/flights. Interrupt it and start it again: it goes on where the last commit left it.
 */
import { fileURLToPath } from 'node:url'
import { jsonLines } from '@millrace/connectors/file'
import { count, dataflow, max, mean, quantile, stddev, tumbling } from 'millrace'
import { parquet } from './parquet-source.ts'

export interface Flight {
  /** Scheduled departure, ms since the epoch. */
  readonly at: number
  /** Minutes behind the schedule; negative when early. */
  readonly delay: number
  readonly origin: string
  readonly destination: string
}

/** Folder of the results. */
const out = process.env.FLIGHTS_OUT ?? 'out/flights'
/** Only so many flights, for a quick look. */
const limit = Number(process.env.FLIGHTS_LIMIT ?? Number.POSITIVE_INFINITY)

const flow = dataflow('flights')

const flights = flow
  .source(
    'flights',
    parquet<Flight>({
      path: fileURLToPath(new URL('../data/flights-3m.parquet', import.meta.resolve('vega-datasets'))),
      columns: ['date', 'delay', 'origin', 'destination'],
      limit,
      row: (c) => ({
        at: (c.date as Date).getTime(),
        delay: Number(c.delay),
        origin: c.origin as string,
        destination: c.destination as string,
      }),
    }),
    { time: (f) => f.at, disorder: '1m' },
  )
  .filter((f) => f.origin !== f.destination)

const byAirport = flights.keyBy((f) => f.origin)

const hourly = byAirport.window(tumbling('1h')).aggregate('hourly', {
  flights: count(),
  meanDelay: mean((f) => f.delay),
  deviation: stddev((f) => f.delay),
  worst: max((f) => f.delay),
})
hourly.sink('hourly delays', jsonLines({ path: `${out}/hourly.jsonl`, existing: 'replace' }))

// Each flight against the last full hour of its airport, if that is at most three hours old.
byAirport
  .asOf('usual', { hour: { stream: hourly.keyBy((h) => h.key), within: '3h' } })
  .flatMap(({ left: flight, hour }) => {
    if (hour === undefined || hour.flights < 10) return []
    if (flight.delay < 90 || flight.delay < hour.meanDelay + 5 * hour.deviation) return []
    const { origin: from, destination: to, delay } = flight
    return [{ at: new Date(flight.at).toISOString(), from, to, delay, usual: Math.round(hour.meanDelay * 10) / 10 }]
  })
  .sink('anomalies', jsonLines({ path: `${out}/anomalies.jsonl`, existing: 'replace' }))

flights
  .windowAll(tumbling('1d'))
  .aggregate('daily', {
    flights: count(),
    lateShare: mean((f) => (f.delay > 15 ? 1 : 0)),
    p95: quantile(0.95, (f) => f.delay),
  })
  .map((d) => ({ day: new Date(d.window.start).toISOString().slice(0, 10), ...d }))
  .sink('days', jsonLines({ path: `${out}/days.jsonl`, existing: 'replace' }))

export default flow
