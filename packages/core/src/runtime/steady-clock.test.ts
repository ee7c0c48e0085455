import { describe, expect, it } from 'vitest'
import { steadyClock } from './steady-clock.ts'

describe('the steady clock', () => {
  const wall = { at: 1_000_000, monotonic: 0 }
  const pass = (ms: number): void => {
    wall.at += ms
    wall.monotonic += ms
  }
  const clock = steadyClock({ now: () => wall.at, monotonic: () => wall.monotonic })

  it('follows the wall clock while that is well-behaved', () => {
    pass(5_000)
    expect(clock.now()).toBe(1_005_000)
  })

  it('does not go back when the wall clock is set back by an hour, and goes on at nine tenths of the speed', () => {
    wall.at -= 3_600_000
    const before = clock.now()
    pass(1_000)
    expect(clock.now() - before).toBe(900)
  })

  it('does not jump when the wall clock jumps ahead', () => {
    wall.at += 7_200_000
    const before = clock.now()
    pass(1_000)
    expect(clock.now() - before).toBe(1_100)
  })

  it('meets the wall clock again', () => {
    for (let i = 0; i < 40; i++) {
      pass(3_600_000)
      clock.now()
    }
    expect(Math.abs(clock.now() - wall.at)).toBeLessThanOrEqual(1)
  })
})
