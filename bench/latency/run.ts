/**
 * Runs the flow of `flow.ts` once, in this process, and prints what was measured as JSON:
 *
 *   node --conditions=millrace-source bench/latency/run.ts --workers 2 --seconds 5 [--pace poll] [--rate 100000]
 *
 * With --flood all records are due before the start: the flow's highest throughput instead of its latency.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { CommitEvent } from 'millrace'
import { nowMs } from '../lib/clock.ts'
import { measureCpu } from '../lib/cpu.ts'
import type { Percentiles } from '../lib/histogram.ts'
import { readLatencies } from '../lib/latency-sink.ts'
import type { LatencySettings } from './flow.ts'

export interface LatencyRun {
  readonly stateless: Percentiles
  readonly windows: Percentiles
  readonly events: number
  readonly wallMs: number
  /** Of all threads, from the end of the warm-up. */
  readonly cpuMs: number
  readonly commits: number
  /** Longest barrier, and longest commit from barrier to publication. */
  readonly barrierMsMax: number
  readonly commitMsMax: number
}

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '100000' },
    pace: { type: 'string', default: 'timer' },
    flood: { type: 'boolean', default: false },
  },
})
const WARM_UP_MS = 2000
const workers = Number(values.workers)
const rate = Number(values.rate)
const measuredMs = Number(values.seconds) * 1000
const folder = mkdtempSync(join(tmpdir(), 'millrace-latency-'))
try {
  mkdirSync(join(folder, 'histograms'))
  const durationMs = values.flood ? measuredMs : WARM_UP_MS + measuredMs
  // Threads take a moment to start; the load begins when they have.
  const startMs = Math.ceil(nowMs()) + (values.flood ? -durationMs : 700)
  const settings: LatencySettings = {
    ...{ rate, startMs, durationMs, partitions: workers, pace: values.pace as 'timer' },
    measureFromMs: values.flood ? Number.POSITIVE_INFINITY : startMs + WARM_UP_MS,
    folder: join(folder, 'histograms'),
  }
  process.env.MILLRACE_LATENCY = JSON.stringify(settings)
  const { latency } = await import('./flow.ts')
  const commits: CommitEvent[] = []
  const run = latency.run({
    state: join(folder, 'state'),
    workers,
    execution: 'threads',
    onEvent: (event) => event.type === 'commit' && commits.push(event),
  })
  if (!values.flood) await sleep(settings.measureFromMs - nowMs())
  const { wallMs, cpuMs } = await measureCpu(() => run)
  const total = (phases: CommitEvent['phases']): number => Object.values(phases).reduce((sum, ms) => sum + ms, 0)
  const result: LatencyRun = {
    stateless: readLatencies(settings.folder, 'stateless').percentiles(),
    windows: readLatencies(settings.folder, 'windows').percentiles(),
    events: (rate * measuredMs) / 1000,
    wallMs,
    cpuMs,
    commits: commits.length,
    barrierMsMax: Math.max(...commits.map((commit) => commit.phases.barrier)),
    commitMsMax: Math.max(...commits.map((commit) => total(commit.phases))),
  }
  console.log(JSON.stringify(result))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
