/** Repeats a measurement, one run after the other. */
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where it can be had within this time, a run of a long form begins on an idle machine. */
const QUIET_WAIT_MS = 3_000
const IDLE_SHARE = 0.85

export async function repeat<R>(times: number, run: () => Promise<R>): Promise<R[]> {
  const runs: R[] = []
  for (let i = 0; i < times; i++) {
    if (times > 1) await quiet()
    runs.push(await run())
  }
  return runs
}

/** Waits until the processors were idle for half a second, within a limit. */
async function quiet(): Promise<void> {
  const until = performance.now() + QUIET_WAIT_MS
  let before = cpuTimes()
  while (performance.now() < until) {
    await sleep(500)
    const after = cpuTimes()
    if ((after.idle - before.idle) / (after.total - before.total) >= IDLE_SHARE) return
    before = after
  }
}

function cpuTimes(): { readonly idle: number; readonly total: number } {
  let idle = 0
  let total = 0
  for (const { times } of cpus()) {
    idle += times.idle
    total += times.user + times.nice + times.sys + times.idle + times.irq
  }
  return { idle, total }
}
