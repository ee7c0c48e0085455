/**
 * Runs the flow of `flow.ts` once, as `millrace run` does (a worker thread, commits every 100 ms), and prints what was
 * measured as JSON:
 *
 *   node --conditions=millrace-source bench/control/run.ts --seconds 600 --verify
 *
 * --verify: exit code 1 when a must is missed.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { tally } from '../../examples/vla-control/tally.ts'
import { measureCpu } from '../lib/cpu.ts'
import { Latencies, type Percentiles } from '../lib/histogram.ts'
import { type ControlRun, type ControlSettings, MINUTE_MS, missed, WARM_UP_MS } from './limits.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '30' }, verify: { type: 'boolean' } } })
const folder = mkdtempSync(join(tmpdir(), 'millrace-control-'))
try {
  const seconds = Number(values.seconds)
  const settings: ControlSettings = { seconds: seconds + WARM_UP_MS / 1000, folder }
  process.env.MILLRACE_CONTROL = JSON.stringify(settings)
  const { control } = await import('./flow.ts')
  const rssMiB: number[] = []
  const sample = (): void => {
    rssMiB.push(Math.round(process.memoryUsage().rss / 2 ** 20))
  }
  let sampling: NodeJS.Timeout | undefined
  const warmedUp = setTimeout(() => {
    sample()
    sampling = setInterval(sample, MINUTE_MS)
  }, WARM_UP_MS)
  let commits = 0
  let commitBytesMax = 0
  const run = await control.start({
    state: join(folder, 'state'),
    onEvent(event) {
      if (event.type !== 'commit') return
      commits++
      commitBytesMax = Math.max(commitBytesMax, event.bytes)
    },
  })
  const cost = await measureCpu(() => run.done)
  clearTimeout(warmedUp)
  clearInterval(sampling)
  sample()

  const { steps } = await run.done
  const written = JSON.parse(readFileSync(join(folder, 'actions.json'), 'utf8')) as {
    readonly answered: number
    readonly minutes: readonly string[]
  }
  const minutes = written.minutes.map((minute) => new Latencies(minute))
  const all = new Latencies()
  for (const minute of minutes) all.add(minute)
  const { frames, readings, words } = tally()
  const unseen = Object.entries(steps).reduce(
    (sum, [step, { filtered }]) => sum + (step.startsWith('filter') ? filtered : 0),
    0,
  )
  const result: ControlRun = {
    seconds,
    latency: all.percentiles(),
    minutes: minutes.map((minute): Percentiles => minute.percentiles()),
    frames,
    framesDropped: steps.vision.droppedFull,
    answered: written.answered,
    unseen,
    pointsPerSecond: Math.round((frames + readings + words) / settings.seconds),
    rssMiB,
    commits,
    commitBytesMax,
    cpuPercent: Math.round((cost.cpuMs / cost.wallMs) * 100),
  }
  console.log(JSON.stringify(result))
  const complaints = values.verify ? missed(result) : []
  for (const complaint of complaints) console.error(complaint)
  if (complaints.length > 0) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
