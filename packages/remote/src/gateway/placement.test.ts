import fc from 'fast-check'
import { seededRandom } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import type { Policy } from '../protocol/messages.ts'
import { type Candidate, newPlacementState, place } from './placement.ts'

function nodes(count: number, of: (i: number) => Partial<Candidate> = () => ({})): Candidate[] {
  const id = (i: number): string => `n${String(i).padStart(3, '0')}`
  return Array.from({ length: count }, (_, i) => ({
    id: id(i),
    inFlight: 0,
    weight: 1,
    latencyMs: undefined,
    ...of(i),
  }))
}

/** Calls per node when `calls` are placed one after another. */
function shares(
  candidates: readonly Candidate[],
  calls: number,
  policy: Policy,
  key?: (call: number) => string,
): number[] {
  const state = newPlacementState()
  const random = seededRandom(1)
  const taken = new Map(candidates.map(({ id }) => [id, 0]))
  for (let i = 0; i < calls; i++) {
    const { id } = place(candidates, state, { policy, key: key?.(i), random: () => random.next() })
    taken.set(id, (taken.get(id) as number) + 1)
  }
  return [...taken.values()]
}

describe('placement', () => {
  test('by round-robin gives every node the same number of calls, to within one, at any moment', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 500 }), (count, calls) => {
        const taken = shares(nodes(count), calls, 'round-robin')
        expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(calls % count === 0 ? 0 : 1)
      }),
    )
  })

  test('by weight gives each node exactly its share after every full turn, and never drifts from it by more than a turn', () => {
    const weights = fc
      .array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 })
      .filter((w) => w.some((x) => x > 0))
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 5 }), fc.nat(50), (each, turns, extra) => {
        const total = each.reduce((sum, weight) => sum + weight, 0)
        const candidates = nodes(each.length, (i) => ({ weight: each[i] }))
        expect(shares(candidates, turns * total, 'weighted')).toEqual(each.map((weight) => weight * turns))
        const calls = turns * total + extra
        shares(candidates, calls, 'weighted').forEach((taken, i) => {
          expect(Math.abs(taken - (calls * each[i]) / total)).toBeLessThanOrEqual(each.length)
        })
      }),
    )
  })

  test('by hash sends the calls of a key to one node, and moves only the keys of a node that is lost', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.nat(11),
        fc.array(fc.string(), { maxLength: 50 }),
        (count, gone, keys) => {
          const all = nodes(count)
          const lost = all[gone % count]
          const at = (candidates: readonly Candidate[], key: string): string =>
            place(candidates, newPlacementState(), { policy: 'hash', key, random: () => 0.5 }).id
          for (const key of keys) {
            const before = at(all, key)
            const after = at(
              all.filter((node) => node !== lost),
              key,
            )
            if (before === lost.id) expect(after).not.toBe(lost.id)
            else expect(after).toBe(before)
          }
        },
      ),
    )
  })

  test('by hash spreads many keys evenly', () => {
    const taken = shares(nodes(5), 10_000, 'hash', (i) => `user-${i}`)
    for (const share of taken) expect(share).toBeGreaterThan(1_700)
    for (const share of taken) expect(share).toBeLessThan(2_300)
  })

  test('by least in flight never takes the busier of two, and keeps a burst level', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 400 }), fc.nat(), (count, calls, seed) => {
        const random = seededRandom(seed)
        const state = newPlacementState()
        const inFlight = nodes(count).map((node) => ({ ...node }))
        for (let i = 0; i < calls; i++) {
          const { id } = place(inFlight, state, {
            policy: 'least-in-flight',
            key: undefined,
            random: () => random.next(),
          })
          const taken = inFlight.find((node) => node.id === id) as (typeof inFlight)[number]
          // With two nodes both are looked at.
          if (count === 2) expect(taken.inFlight).toBe(Math.min(...inFlight.map((node) => node.inFlight)))
          inFlight[inFlight.indexOf(taken)] = { ...taken, inFlight: taken.inFlight + 1 }
        }
        const loads = inFlight.map((node) => node.inFlight)
        // log log n and a constant: one choice would be off by the square root of the calls.
        expect(Math.max(...loads) - calls / count).toBeLessThanOrEqual(5)
      }),
    )
  })

  test('by latency takes the faster of two while it is not busier by as much', () => {
    const [fast, slow] = nodes(2, (i) => ({ latencyMs: i === 0 ? 1 : 10 }))
    const pick = (a: Candidate): string =>
      place([a, slow], newPlacementState(), { policy: 'latency', key: undefined, random: () => 0 }).id
    expect(pick(fast)).toBe(fast.id)
    expect(pick({ ...fast, inFlight: 8 })).toBe(fast.id)
    expect(pick({ ...fast, inFlight: 11 })).toBe(slow.id)
  })

  test('by chance gives every node some', () => {
    for (const share of shares(nodes(4), 4_000, 'random')) expect(Math.abs(share - 1_000)).toBeLessThan(150)
  })
})
