/**
 * Processing time as steps see it: a wall clock that never jumps. Machines set their clocks by hours, in both directions;
 * a jump must not make a busy partition look idle, time out calls, or stop timers for an hour.
 *
 * It runs with the monotonic clock and moves towards the wall clock by at most SLEW of the time that passes.
 */
import type { Clock } from './ports.ts'

/** An hour's difference is gone after ten hours; the few ms of everyday corrections after a moment. */
const SLEW = 0.1

export function steadyClock(clock: Clock): Clock {
  let last = clock.monotonic()
  let time = clock.now()
  return {
    monotonic: () => clock.monotonic(),
    now() {
      const monotonic = clock.monotonic()
      const passed = Math.max(0, monotonic - last)
      last = monotonic
      const behind = clock.now() - (time + passed)
      time += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, behind))
      return Math.floor(time)
    },
  }
}
