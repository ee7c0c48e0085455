import { expect, test } from 'vitest'
import type { Time } from '../time.ts'
import { Outlet } from './outlet.ts'
import { pump } from './pump.ts'
import type { Session } from './session.ts'

/** Moves 1,000 items that take `itemMs` each, and gives the longest time the event loop had to wait, ms. */
async function longestSlice(itemMs: (i: number) => number): Promise<number> {
  let now = 0
  let sliceAt = 0
  let longest = 0
  const time: Time = {
    now: () => now,
    after: () => () => {},
    soon(fn) {
      longest = Math.max(longest, now - sliceAt)
      sliceAt = now
      queueMicrotask(fn)
    },
    random: () => 0,
  }
  const session = { send() {}, atEndOfTurn() {} } as unknown as Session
  function* items() {
    for (let i = 0; i < 1000; i++) {
      now += itemMs(i)
      yield i
    }
  }
  await pump(items(), new Outlet(session, 1, 0, { items: 10_000, bytes: 1e9 }, 1e9), time)
  return longest
}

test('a generator that never waits lets the event loop go on about every 5 ms', async () => {
  expect(await longestSlice(() => 0.01)).toBeLessThan(7)
  expect(await longestSlice(() => 0.01)).toBeGreaterThan(4)
})

test('a generator whose items take long lets the event loop go on after the item that ends the 5 ms', async () => {
  expect(await longestSlice(() => 2)).toBe(6)
  expect(await longestSlice(() => 50)).toBe(50)
})

test('a generator that becomes slow is noticed within one look at the clock', async () => {
  expect(await longestSlice((i) => (i < 500 ? 0.001 : 0.5))).toBeLessThan(40)
})
