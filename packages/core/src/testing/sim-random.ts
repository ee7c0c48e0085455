/**
 * Seeded randomness: the random port of simulations and operator hosts. The generator is sfc32 (Doty-Humphrey,
 * PractRand), seeded through splitmix32.
 */
import type { Random } from '../runtime/ports.ts'

/** A random port that repeats itself for the same seed, with the draws a simulation needs. */
export interface SeededRandom extends Random {
  /** 0 <= integer < n */
  int(n: number): number
  /** low <= integer <= high */
  between(low: number, high: number): number
  /** True with probability `p`. */
  chance(p: number): boolean
  pick<T>(items: readonly T[]): T
  /** A generator of its own for one purpose: draws from it do not move this one. */
  fork(purpose: string): SeededRandom
}

/** @example seededRandom(1).next() === seededRandom(1).next() // => true */
export function seededRandom(seed: number): SeededRandom {
  const start = seed >>> 0
  let mixed = start
  const splitmix = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return z ^ (z >>> 15)
  }
  let a = splitmix()
  let b = splitmix()
  let c = splitmix()
  let counter = 1
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    return (t >>> 0) / 4294967296
  }
  for (let i = 0; i < 12; i++) next()
  const int = (n: number): number => Math.floor(next() * n)
  return {
    next,
    int,
    between: (low, high) => low + int(high - low + 1),
    chance: (p) => next() < p,
    pick: (items) => items[int(items.length)],
    fork: (purpose) => {
      let h = start ^ 0x811c9dc5
      for (let i = 0; i < purpose.length; i++) h = Math.imul(h ^ purpose.charCodeAt(i), 0x01000193)
      return seededRandom(h)
    },
  }
}
