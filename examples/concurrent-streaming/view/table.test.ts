import { RemoteError } from '@millrace/remote'
import { describe, expect, it } from 'vitest'
import { collect, jumpingClock } from '../case-kit.ts'
import { MODELS } from '../inference/config.ts'
import { mlFunctions } from '../inference/functions.ts'
import { loadModels } from '../inference/models.ts'
import { dataFunctions } from '../sensors/functions.ts'
import { DataRow, InferenceRow, type StreamRow } from './rows.ts'
import { summaryLines, summaryOf } from './summary.ts'
import { TABLE_WIDTH_MIN, tableLines } from './table.ts'

const clock = jumpingClock()
const context = { signal: new AbortController().signal } as never
const sensors = ['temperature', 'humidity', 'pressure']
const { readings, get_sensor_status } = dataFunctions({ clock })
const samples = await collect(readings({ sensors, sampleRate: 2, duration: 6, seed: 1 }, context))
const { classifications } = mlFunctions({ clock, models: await loadModels(MODELS, { simulate: true }) })
const batches = await collect(classifications({ batchSize: 4, numImages: 8, delay: 0, seed: 1 }, context))

function rowsAt(count: number): [DataRow, InferenceRow] {
  const data = new DataRow(get_sensor_status().units)
  const ml = new InferenceRow('mobilenet_v2', { what: 'mobilenet_v2', isSimulated: true }, 1)
  data.begin(0)
  ml.begin(0)
  for (const record of samples.slice(0, count))
    data.add(record, (record as { sampled_at_ms: number }).sampled_at_ms + 2)
  for (const record of batches.slice(0, Math.floor(count / 4))) ml.add(record)
  return [data, ml]
}

const drawn = (rows: readonly StreamRow[], width: number) => tableLines(rows, { width, hasColor: false })

describe('the table', () => {
  it('shows stream, status, progress and latest result, a line for each sensor and model', () => {
    const rows = rowsAt(6)
    rows[1].complete(1000)
    expect(drawn(rows, 100)).toEqual([
      'Stream           Status     Progress     Latest Result',
      `---------------  ---------  -----------  ${'-'.repeat(59)}`,
      'Data Processing  active     6 samples    Temp: 24.92 C',
      '  temperature               window of 6  24.92 C  mean 24.77  std 0.20  increasing',
      '  humidity                  window of 6  59.84 %  mean 59.90  std 0.48  decreasing',
      '  pressure                  window of 6  1012.44 hPa  mean 1013.55  std 0.69  decreasing',
      'ML Inference     completed  1 batches    Progress: 50.0%',
      '  mobilenet_v2              4 images     piano 0.379  simulated',
    ])
  })

  it('has no latest result before the first record, and says of a simulation that it is one', () => {
    const lines = drawn(rowsAt(0), 80)
    expect(lines[2]).toBe('Data Processing  active     0 samples')
    expect(lines[4]).toMatch(/^ {2}mobilenet_v2 +0 images +simulated$/)
  })

  it.each([TABLE_WIDTH_MIN, 80, 120])('fits %d columns, whatever happened', (width) => {
    const rows = rowsAt(12)
    rows[0].fail(new RemoteError('NODE_LOST', 'node "data-node" was lost.\u001b[2J Its calls are over.'), 1000)
    const lines = drawn(rows, width)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    expect(lines.join('\n')).not.toContain('\u001b')
    expect(lines.find((line) => line.startsWith('Data Processing'))).toMatch(/failed .*NODE_LOST/)
    expect(lines.slice(-4).join(' ').replace(/\s+/g, ' ')).toContain('NODE_LOST node "data-node" was lost.')
  })

  it('shows anomalies as the latest result', () => {
    const row = new DataRow({})
    row.begin(0)
    const [record] = samples
    row.add({ ...record, health_status: 'warning', anomalies: ['temperature_high_variance'] } as never, 0)
    expect(drawn([row], 100)[2]).toContain('temperature_high_variance')
    expect(row.warnings).toBe(1)
  })
})

describe('the summary', () => {
  const rows = rowsAt(12)
  rows[0].complete(6000)
  rows[1].complete(2000)
  const ended = { rows, startMs: 0, nowMs: 6000, nodes: [] }

  it('counts what came, in the time it took', () => {
    expect(summaryOf(ended)).toMatchObject({
      ...{ elapsed: 6, streams: 2, failed: 0, active_together: 2 },
      data: [{ samples: 12, duration: 5.5, rate: 2, warnings: 0, latency_ms: { p50: 2, p99: 2 } }],
      ml: [{ batches: 2, images: 8, batch_rate: 1, inference_time: 0.4, images_per_second: 20, simulated: true }],
    })
  })

  it.each([40, 80, 120])('has both panels, within %d columns', (width) => {
    const lines = summaryLines(ended, width)
    const text = lines.join('\n')
    for (const title of ['Real-time Summary', 'Detailed Statistics', 'Elapsed', 'latest class'])
      expect(text).toContain(title)
    expect(new Set(lines.filter((line) => line !== '').map((line) => line.length)).size).toBe(1)
    expect(lines[0].length).toBeLessThanOrEqual(width)
  })
})
