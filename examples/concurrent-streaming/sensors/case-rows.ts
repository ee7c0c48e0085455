/** For the tests: fifteen readings of a thermometer, and what the window of ten must say of each. */
import type { SensorRecord, SensorStatistics } from '../records.ts'

export const READINGS = [25.0, 25.4, 24.6, 25.2, 25.2, 31.0, 25.1, 24.9, 25.0, 25.3, 25.6, 19.0, 25.0, 25.0, 25.0]

/** sample_id reading mean std min max trend samples; `!` where the high variance is an anomaly. */
export const ROWS = `
1 25.00 25.00 0.00 25.00 25.00 insufficient_data 1
2 25.40 25.20 0.20 25.00 25.40 insufficient_data 2
3 24.60 25.00 0.33 24.60 25.40 decreasing 3
4 25.20 25.05 0.30 24.60 25.40 decreasing 4
5 25.20 25.08 0.27 24.60 25.40 increasing 5
6 31.00 26.07 2.22 24.60 31.00 increasing 6 !
7 25.10 25.93 2.08 24.60 31.00 decreasing 7 !
8 24.90 25.80 1.98 24.60 31.00 decreasing 8
9 25.00 25.71 1.88 24.60 31.00 decreasing 9
10 25.30 25.67 1.79 24.60 31.00 increasing 10
11 25.60 25.73 1.78 24.60 31.00 increasing 10
12 19.00 25.09 2.69 19.00 31.00 decreasing 10 !
13 25.00 25.13 2.69 19.00 31.00 decreasing 10 !
14 25.00 25.11 2.69 19.00 31.00 increasing 10 !
15 25.00 25.09 2.69 19.00 31.00 stable 10 !
`
  .trim()
  .split('\n')

/** A record as such a row. */
export function rowOf(record: SensorRecord): string {
  const found = record.statistics.temperature as SensorStatistics
  const { mean, std, min, max, trend, samples } = found
  const numbers = [record.readings.temperature, mean, std, min, max].map((each) => each.toFixed(2))
  const isOdd = record.health_status === 'warning' && record.anomalies?.join() === 'temperature_high_variance'
  return [record.sample_id, ...numbers, trend, samples, ...(isOdd ? ['!'] : [])].join(' ')
}
