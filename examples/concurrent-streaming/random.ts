/** Repeatable random numbers: the same names give the same numbers, and other names others. */
export interface Random {
  /** 0 <= x < 1 */
  uniform(): number
  /** Mean 0, standard deviation 1. */
  normal(): number
}

/**
 * @example randomOf(1, 'temperature').uniform() === randomOf(1, 'temperature').uniform() // => true
 */
export function randomOf(...names: readonly (string | number)[]): Random {
  const uniform = smallFastCounting(names.join('\u0000'))
  return {
    uniform,
    normal() {
      // Box and Muller, 1958. 1 - u is never 0.
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()))
      return radius * Math.cos(2 * Math.PI * uniform())
    },
  }
}

/** sfc32 of C. Doty-Humphrey's PractRand, seeded by FNV-1a hashes of the text. */
function smallFastCounting(text: string): () => number {
  let a = fnv1a(text, 0x811c_9dc5)
  let b = fnv1a(text, a)
  let c = fnv1a(text, b)
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  return () => next() / 2 ** 32
}

function fnv1a(text: string, start: number): number {
  let hash = start
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  return hash | 0
}
