/**
 * Runs the flow of `flow.ts` once, in this process and thread, and prints what was measured as JSON:
 *
 *   node --conditions=millrace-source bench/fusion/run.ts --wait watermark --seconds 10
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nowMs } from '../lib/clock.ts'
import { measureCpu } from '../lib/cpu.ts'
import type { Percentiles } from '../lib/histogram.ts'
import { readLatencies } from '../lib/latency-sink.ts'
import type { FusionSettings } from './flow.ts'

export interface FusionRun {
  readonly latency: Percentiles
  /** Frames due in the measured time; the difference to the count of `latency` found no reading in time. */
  readonly frames: number
  readonly cpuMs: number
  readonly wallMs: number
}

const { values } = parseArgs({
  options: {
    wait: { type: 'string', default: 'watermark' },
    pixels: { type: 'string', default: 'byReference' },
    seconds: { type: 'string', default: '5' },
  },
})
const WARM_UP_MS = 1500
const measuredMs = Number(values.seconds) * 1000
const folder = mkdtempSync(join(tmpdir(), 'millrace-fusion-'))
try {
  mkdirSync(join(folder, 'histograms'))
  const startMs = Math.ceil(nowMs()) + 300
  const settings: FusionSettings = {
    ...{
      wait: values.wait as 'watermark',
      pixels: values.pixels as 'byReference',
      startMs,
      durationMs: WARM_UP_MS + measuredMs,
    },
    measureFromMs: startMs + WARM_UP_MS,
    folder: join(folder, 'histograms'),
  }
  process.env.MILLRACE_FUSION = JSON.stringify(settings)
  const { fusion } = await import('./flow.ts')
  const cost = await measureCpu(() => fusion.run({ state: join(folder, 'state'), execution: 'inline' }))
  const latency = readLatencies(settings.folder, 'actions').percentiles()
  const result: FusionRun = { latency, frames: (measuredMs * 30) / 1000, ...cost }
  console.log(JSON.stringify(result))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
