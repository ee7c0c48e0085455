/** Connection faults in virtual time. 200 here; `npm run full -- remote-faults` makes 1,000 and leaves evidence. */
import { describe, expect, test } from 'vitest'
import { findBug, plantedBugs } from './planted.ts'
import { runSeed } from './run-seed.ts'

/** About nine faults of a seed find something to break. */
const seeds = Math.max(1, Math.round(24 * Number(process.env.MILLRACE_CASES ?? 1)))

test('whatever breaks, calls end once and rightly, streams have no gap, and nothing is left open', async () => {
  let faults = 0
  for (let seed = 1; seed <= seeds; seed++) {
    const result = await runSeed(seed)
    expect(result.failure, `seed ${seed}`).toBe(undefined)
    faults += result.faults
  }
  expect(faults).toBeGreaterThanOrEqual(seeds * 8)
})

test('without faults every call is right', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { failure, failedCalls, scenario } = await runSeed(seed, undefined, 0)
    expect(failure, `seed ${seed}`).toBe(undefined)
    const withDeadline = scenario.calls.filter(({ deadlineMs }) => deadlineMs !== undefined).length
    expect(failedCalls).toBeLessThanOrEqual(withDeadline)
  }
})

test('a seed runs twice alike, to the last event', async () => {
  const [first, second] = [await runSeed(7), await runSeed(7)]
  expect(second.traceHash).toBe(first.traceHash)
  expect({ ...second, scenario: null }).toEqual({ ...first, scenario: null })
})

describe('a planted bug is found', () => {
  for (const bug of plantedBugs) {
    test(`${bug.name}: ${bug.mistake}`, async () => {
      expect(await findBug(bug)).not.toBe(undefined)
    })
  }
})
