/**
 * Runs one design of `flow.ts` once, in this process and thread, and prints what was measured as JSON:
 *
 *   node --conditions=millrace-source bench/capacity/run.ts --design stream --points 100 --interval 100 --process 50 \
 *     --size 1000000 --inflight 5
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nowMs } from '../lib/clock.ts'
import { spread } from '../lib/spread.ts'
import { batchFlow, type Design, type DoneAtMs, streamFlow } from './flow.ts'
import { Slots } from './slots.ts'

export interface CapacityRun {
  /** From when a point fell due to its result: of the first, the middle and the last of the results. */
  readonly latencyMs: { readonly first: number; readonly median: number; readonly last: number; readonly max: number }
  /** Of a batch: its points over the time from the first one to the result. Of a stream: from result to result. */
  readonly throughputPerSecond: number
  /** Memory of the slots that were used. */
  readonly memoryBytes: number
  readonly inUseMax: number
  /** Peak of the process's resident memory, and how much that is above what it was before the first point. */
  readonly rssMaxBytes: number
  readonly rssGrowthBytes: number
}

const { values } = parseArgs({
  options: {
    design: { type: 'string', default: 'stream' },
    points: { type: 'string', default: '10' },
    interval: { type: 'string', default: '100' },
    process: { type: 'string', default: '50' },
    steps: { type: 'string', default: '1' },
    size: { type: 'string', default: '1000000' },
    inflight: { type: 'string', default: '1' },
  },
})
const isBatch = values.design === 'batch'
const design: Design = {
  points: Number(values.points),
  intervalMs: Number(values.interval),
  processMs: Number(values.process),
  steps: Number(values.steps),
}
const folder = mkdtempSync(join(tmpdir(), 'millrace-capacity-'))
try {
  // What the process needs anyway is there before memory is measured, and the code is warm.
  await run({ points: 40, intervalMs: 5, processMs: 2, steps: design.steps }, 1000, 'warm-up')
  console.log(JSON.stringify(await run(design, Number(values.size), 'measured')))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function run(measured: Design, sizeBytes: number, state: string): Promise<CapacityRun> {
  const { points, intervalMs } = measured
  const slots = new Slots(isBatch ? points : Math.min(points, Number(values.inflight)), sizeBytes)
  const doneAtMs: DoneAtMs = []
  const startMs = Math.ceil(nowMs()) + 200
  const rssBytes = process.memoryUsage.rss()
  const flow = (isBatch ? batchFlow : streamFlow)(measured, slots, startMs, doneAtMs)
  await flow.run({ state: join(folder, state), execution: 'inline' })
  if (doneAtMs.length !== points) throw new Error(`${doneAtMs.length} of ${points} points have a result`)
  const latencies = doneAtMs.map((at, i) => at - (startMs + i * intervalMs))
  const [first, last] = [doneAtMs[0], doneAtMs[points - 1]]
  const { median, max } = spread(latencies)
  return {
    latencyMs: { first: latencies[0], median, last: latencies[points - 1], max },
    throughputPerSecond: isBatch ? (1000 * points) / (last - startMs) : (1000 * (points - 1)) / (last - first),
    memoryBytes: slots.bytes,
    inUseMax: slots.inUseMax,
    rssMaxBytes: slots.rssMaxBytes,
    rssGrowthBytes: slots.rssMaxBytes - rssBytes,
  }
}
