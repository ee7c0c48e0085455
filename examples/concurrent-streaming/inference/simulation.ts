/** Predictions without a model: five of 35 names, and shares that are drawn. Every record of them says `simulated`. */
import type { Random } from '../random.ts'
import { TOP } from './config.ts'
import type { Scored } from './recognizer.ts'

const NAMES: readonly string[] = [
  ...['anchor', 'barrel', 'bell', 'boot', 'bridge', 'broom', 'bucket', 'canoe', 'candle', 'castle'],
  ...['crane', 'drum', 'fence', 'ferry', 'fountain', 'hammer', 'harp', 'kettle', 'ladder', 'lamp'],
  ...['lighthouse', 'lock', 'mill', 'mirror', 'oar', 'piano', 'plough', 'pulley', 'sail', 'shovel'],
  ...['teapot', 'tower', 'tractor', 'violin', 'wheel'],
]

export interface Simulated {
  readonly scores: readonly Scored[]
  /** Said, not waited for. */
  readonly preprocessingMs: number
}

export function simulate(random: Random): Simulated {
  const left = [...NAMES]
  const scores = Array.from({ length: TOP }, () => ({
    class: left.splice(Math.floor(random.uniform() * left.length), 1)[0],
    class_id: Math.floor(random.uniform() * 1000),
    score: random.uniform(),
  }))
  return { scores, preprocessingMs: 1 + 4 * random.uniform() }
}
