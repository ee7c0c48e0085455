/**
 * What turns a situation into an action. The contract, and one implementation by rules, which says that it is one. A
 * vision-language-action model belongs behind the same interface.
 */
import type { Situation } from './records.ts'

/**
 * Contract of an action generator:
 *  - `act` is synchronous and pure: the same situation gives the same action, also after a restart. What it must
 *    remember belongs into the flow's state.
 *  - It is on the path from frame to action, and its time is part of every latency: a generator that takes longer than a
 *    frame lasts makes the flow fall behind. One that calls a model elsewhere takes `mapAsync` instead.
 *  - It gives an action for every situation, also for one with holes: `pose` is undefined when the sensors are silent,
 *    `word` before anything was said. "Do nothing" is an action and has a text.
 *  - `kind` goes into every action, so that nobody takes rules for a model.
 */
export interface ActionGenerator {
  readonly kind: string
  act(situation: Situation): string
}

/** Speeds by what was said last. */
const SPEEDS: Readonly<Record<string, number>> = { slowly: 0.25, slower: 0.25, follow: 0.5, faster: 1 }
/** Newtons: beyond it something is in the way. */
const FORCE_MAX = 20

/**
 * Follows the bright thing by three rules: nothing was said, or "stop": hold. No pose, or too much force: hold. Else
 * turn towards what is seen, as fast as was said.
 */
export const rules: ActionGenerator = {
  kind: 'rules',
  act({ seen, pose, word }) {
    if (word === undefined) return 'hold: nothing was said'
    const speed = SPEEDS[word.text.trim().toLowerCase()]
    if (speed === undefined) return `hold: "${word.text}"`
    if (pose === undefined) return 'hold: no sensors'
    if ((pose.values.force ?? 0) > FORCE_MAX) return 'hold: force'
    return `move ${signed((seen.x - 0.5) * speed)} ${signed((seen.y - 0.5) * speed)}`
  },
}

function signed(value: number): string {
  return `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(3)}`
}
