/** The real ports: the clock, timers and randomness of this process. The disk is in node-disk.ts. */
import { performance } from 'node:perf_hooks'
import { nodeDisk } from './node-disk.ts'
import type { Clock, Ports, Random, Scheduler } from './ports.ts'

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

const scheduler: Scheduler = {
  after(ms, fn) {
    // A timer of more than 2^31 ms would fire at once.
    const timer = setTimeout(fn, Math.min(ms, 0x7fffffff))
    return () => clearTimeout(timer)
  },
  soon(fn) {
    setImmediate(fn)
  },
}

const random: Random = { next: () => Math.random() }

export function nodePorts(): Ports {
  return { clock, scheduler, random, disk: nodeDisk() }
}
