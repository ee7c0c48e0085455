/** Every flow that is simulated. A seed's remainder picks one, so adding a shape changes what seeds stand for. */
import { asOf } from './as-of.ts'
import { dedupe, mapAsync } from './calls.ts'
import { chain, ordered } from './chain.ts'
import { intervalJoin, windowJoin } from './joins.ts'
import type { Shape } from './shape.ts'
import { timers, twoTimers } from './timers.ts'
import { hoppingWindows, sessionWindows, tumblingWindows, windowsOfWindows } from './windows.ts'

export const shapes: readonly Shape[] = [
  chain,
  ordered,
  tumblingWindows,
  hoppingWindows,
  sessionWindows,
  windowsOfWindows,
  intervalJoin,
  windowJoin,
  asOf,
  dedupe,
  timers,
  twoTimers,
  mapAsync,
]
