/**
 * The random numbers of java.util.SplittableRandom (JDK 8 to 17), bit for bit: 64-bit arithmetic in two 32-bit halves.
 *
 * Every draw first adds the golden gamma to the state and then mixes it. spec/nexmark.md section 1 has the constants and
 * a test vector.
 */

const GAMMA_HIGH = 0x9e3779b9 | 0
const GAMMA_LOW = 0x7f4a7c15 | 0

export class SplittableRandom {
  #high = 0
  #low = 0

  /** Starts over: the state is `seed` XOR `mask`, whole numbers from 0 to 2^53 - 1. */
  seed(seed: number, mask = 0): this {
    this.#high = Math.floor(seed / 0x1_0000_0000) ^ Math.floor(mask / 0x1_0000_0000)
    this.#low = seed ^ mask
    return this
  }

  /** 32 bits, signed. */
  int32(): number {
    this.#step()
    const { high: h, low: l } = this
    // (z ^ z >>> 33) * 0x62A9D9ED799705F5
    const x = l ^ (h >>> 1)
    const low = Math.imul(x, 0x799705f5)
    const high = (mulHigh(x, 0x799705f5) + Math.imul(h, 0x799705f5) + Math.imul(x, 0x62a9d9ed)) | 0
    // (z ^ z >>> 28) * 0xCB24D0A5C88C35B3, of which the upper half counts
    const y = low ^ ((low >>> 28) | (high << 4))
    const z = high ^ (high >>> 28)
    return (mulHigh(y, 0xc88c35b3) + Math.imul(z, 0xc88c35b3) + Math.imul(y, 0xcb24d0a5)) | 0
  }

  /** 0 <= x < 1, of 53 bits. */
  double(): number {
    this.#step()
    const { high: h, low: l } = this
    // (z ^ z >>> 30) * 0xBF58476D1CE4E5B9
    const a = l ^ ((l >>> 30) | (h << 2))
    const b = h ^ (h >>> 30)
    const low = Math.imul(a, 0x1ce4e5b9)
    const high = (mulHigh(a, 0x1ce4e5b9) + Math.imul(b, 0x1ce4e5b9) + Math.imul(a, 0xbf58476d)) | 0
    // (z ^ z >>> 27) * 0x94D049BB133111EB
    const c = low ^ ((low >>> 27) | (high << 5))
    const d = high ^ (high >>> 27)
    const low2 = Math.imul(c, 0x133111eb)
    const high2 = (mulHigh(c, 0x133111eb) + Math.imul(d, 0x133111eb) + Math.imul(c, 0x94d049bb)) | 0
    // z ^ z >>> 31, then the upper 53 bits
    const resultLow = low2 ^ ((low2 >>> 31) | (high2 << 1))
    const resultHigh = high2 ^ (high2 >>> 31)
    return ((resultHigh >>> 0) * 2_097_152 + (resultLow >>> 11)) * 2 ** -53
  }

  /** 0 <= x < bound, a whole number. A bound of 1 draws as well. */
  below(bound: number): number {
    const bits = this.int32()
    if ((bound & (bound - 1)) === 0) return bits & (bound - 1)
    let u = bits >>> 1
    let r = u % bound
    // Numbers of the last, incomplete round would come up more often.
    while (u + bound - 1 - r >= 0x8000_0000) {
      u = this.int32() >>> 1
      r = u % bound
    }
    return r
  }

  /** State in halves, for the mixers. */
  get high(): number {
    return this.#high
  }

  get low(): number {
    return this.#low
  }

  #step(): void {
    const low = (this.#low >>> 0) + (GAMMA_LOW >>> 0)
    this.#low = low | 0
    this.#high = (this.#high + GAMMA_HIGH + (low > 0xffff_ffff ? 1 : 0)) | 0
  }
}

/** Upper 32 bits of the product of two numbers of 32 bits, both taken as unsigned. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16
  const aLow = a & 0xffff
  const bHigh = b >>> 16
  const bLow = b & 0xffff
  const cross = Math.imul(aHigh, bLow) >>> 0
  const middle = (Math.imul(aLow, bHigh) >>> 0) + (cross & 0xffff) + (Math.imul(aLow, bLow) >>> 16)
  return (Math.imul(aHigh, bHigh) + (cross >>> 16) + Math.floor(middle / 65_536)) | 0
}
