/** Random numbers of a row: from seed and index, without those of the rows before. */

/** Gives `at` its random numbers. They are splitmix32 from a state mixed of seed and index. */
export function seededAt<T>(
  seed: number,
  at: (i: number, random: () => number, time: number) => T,
): (i: number, time: number) => T {
  const seedState = mix(mix(seed % 2 ** 32) ^ Math.floor(seed / 2 ** 32))
  let state = 0
  const random = (): number => {
    state = (state + 0x9e3779b9) | 0
    return (mix(state) >>> 0) / 2 ** 32
  }
  return (i, time) => {
    state = mix(mix(seedState ^ (i % 2 ** 32)) ^ Math.floor(i / 2 ** 32))
    return at(i, random, time)
  }
}

function mix(value: number): number {
  let z = value | 0
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return z ^ (z >>> 15)
}
