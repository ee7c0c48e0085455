/** Fusion of camera, sensor and language: how long after a frame is its action there? */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import { repeat } from '../lib/repeat.ts'
import { short, spread, spreadText } from '../lib/spread.ts'
import type { FusionRun } from './run.ts'

const MUST_MS = 50
const GOAL_MS = 15

export const fusion: Bench = {
  what: 'as-of fusion of frames at 30/s, a sensor at 100 Hz and irregular language',
  async measure(isFull) {
    const settings = [
      { wait: 'watermark', pixels: 'byReference' },
      { wait: '10ms', pixels: 'byReference' },
      { wait: '10ms', pixels: 'inRecord' },
    ]
    const results = []
    for (const { wait, pixels } of settings) {
      const args = ['--wait', wait, '--pixels', pixels, '--seconds', isFull ? '8' : '5']
      const runs = await repeat(isFull ? 3 : 1, () => measureInChild<FusionRun>('fusion/run.ts', args))
      results.push({ wait, pixels, runs })
    }
    const rows = results.map(({ wait, pixels, runs }) => {
      const p99 = spread(runs.map((run) => run.latency.p99Ms))
      const verdict = p99.median <= GOAL_MS ? 'ok' : p99.median <= MUST_MS ? 'goal MISSED, must ok' : 'MISSED'
      return [
        `wait ${wait}, pixels ${pixels === 'inRecord' ? 'in the record' : 'by reference'}`,
        spreadText(spread(runs.map((run) => run.latency.p50Ms))),
        `${spreadText(p99)} ${verdict}`,
        spreadText(spread(runs.map((run) => run.latency.maxMs))),
        `${runs.reduce((sum, run) => sum + run.latency.count, 0)} of ${runs.reduce((sum, run) => sum + run.frames, 0)}`,
        short(spread(runs.map((run) => (run.cpuMs / run.wallMs) * 100)).median),
      ]
    })
    const table = {
      title: `From a frame's intended emission to its action, ms (must: p99 ${MUST_MS}, goal ${GOAL_MS})`,
      head: ['as-of join', 'p50', 'p99', 'max', 'frames fused', 'CPU %'],
      rows,
      notes: [
        'One thread, commits every 100 ms, sources that wake by a timer of 1 ms, language idle after 5 ms. By watermark a ' +
          'frame waits for the next reading, up to 10 ms. "In the record": 6 MB of pixels lie in the state of the join ' +
          'while the frame waits, and are written at commits.',
      ],
    }
    return { tables: [table], data: results }
  },
}
