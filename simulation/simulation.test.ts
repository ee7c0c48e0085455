import { describe, expect, test } from 'vitest'
import { findBug } from './planted/find.ts'
import { plantedBugs } from './planted/index.ts'
import { runSeed } from './run-seed.ts'
import { shapes } from './shapes/index.ts'

/** A few seeds here; CI runs `npm run sim -- --seeds 200`, the full check 1000. */
const seeds = Math.max(1, Math.round(2 * Number(process.env.MILLRACE_CASES ?? 1))) * shapes.length

test(`what ${seeds} seeds commit is what the oracles say`, { timeout: seeds * 2_000 }, async () => {
  for (let seed = 1; seed <= seeds; seed++) {
    const { failure } = await runSeed(seed)
    expect(failure, `seed ${seed}`).toBe(undefined)
  }
})

test('a seed runs twice alike, to the last event', async () => {
  const [first, second] = [await runSeed(7), await runSeed(7)]
  expect(second.simulation?.traceHash).toBe(first.simulation?.traceHash)
  expect(second.simulation?.outputs).toEqual(first.simulation?.outputs)
})

describe('a planted bug is found', () => {
  for (const bug of plantedBugs) {
    test(`${bug.name}: ${bug.mistake}`, { timeout: 120_000 }, async () => {
      expect(await findBug(bug)).not.toBe(undefined)
    })
  }
})
