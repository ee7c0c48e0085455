/** The control loop of the example at its own rates: does every frame get its action in time, for ten minutes? */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import type { Table } from '../lib/report.ts'
import { short } from '../lib/spread.ts'
import { type ControlRun, missed, P99_GOAL_MS, P99_MUST_MS } from './limits.ts'

export const control: Bench = {
  what: 'camera, sensors and language to actions at the rates of examples/vla-control',
  async measure(isFull) {
    const run = await measureInChild<ControlRun>('control/run.ts', ['--seconds', isFull ? '600' : '30'])
    const complaints = missed(run)
    const verdict = complaints.length > 0 ? `MISSED: ${complaints.join('; ')}` : goal(run)
    return { tables: [latencyTable(run, verdict)], data: run }
  },
}

function goal({ latency }: ControlRun): string {
  return latency.p99Ms <= P99_GOAL_MS ? 'All musts and the goal are met.' : 'All musts are met; the goal is MISSED.'
}

function latencyTable(run: ControlRun, verdict: string): Table {
  const {
    minutes,
    latency,
    rssMiB,
    frames,
    framesDropped,
    answered,
    unseen,
    pointsPerSecond,
    commits,
    commitBytesMax,
  } = run
  const row = (name: string, { count, p50Ms, p99Ms, maxMs }: ControlRun['latency'], rss: string): string[] => {
    return [name, String(count), short(p50Ms), short(p99Ms), short(maxMs), rss]
  }
  return {
    title: `From a frame's intended exposure to its action, ms (must: p99 ${P99_MUST_MS}, goal ${P99_GOAL_MS})`,
    head: ['minute', 'actions', 'p50', 'p99', 'max', 'memory at its end, MiB'],
    rows: [
      ...minutes.map((minute, i) => row(String(i + 1), minute, String(rssMiB[i + 1] ?? rssMiB.at(-1)))),
      row('all', latency, `+${(rssMiB.at(-1) ?? 0) - rssMiB[0]}`),
    ],
    notes: [
      verdict,
      `${frames} frames of 1920 x 1080 taken, ${framesDropped} dropped; ${answered} answered, in ${unseen} nothing was seen (the lamp is away one second in ten). ${pointsPerSecond} points/s: a point is a record of a source, 30 frames and 1000 readings a second (10 sensors at 100 Hz) and the words. ${commits} commits, the largest of ${commitBytesMax} bytes. ${run.cpuPercent} % of a core, with drawing the frames.`,
      'One worker thread, commits every 100 ms. A frame waits for the next reading, up to 10 ms, which is most of the latency. The first 2 s are not measured.',
    ],
  }
}
