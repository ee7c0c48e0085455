/** Rounding and statistics as NumPy computes them, to the bit. */

/**
 * Ties go to the even digit, as `numpy.round` does it: scaled, rounded, scaled back.
 * @example roundEven(0.125, 2) // => 0.12
 */
export function roundEven(value: number, digits: number): number {
  const scale = 10 ** digits
  const scaled = value * scale
  const floor = Math.floor(scaled)
  const rest = scaled - floor
  const whole = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
  // Minus zero would print as 0 and compare as something else.
  return whole / scale + 0
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length
}

/** Of the population: divided by n, not by n - 1. */
export function variance(values: readonly number[]): number {
  const middle = mean(values)
  return mean(values.map((value) => (value - middle) * (value - middle)))
}

/** NumPy adds up to 128 numbers in eight lanes; the order decides the last bit, and that may decide a rounding. */
function sum(values: readonly number[]): number {
  const lanes = values.length < 8 ? 0 : values.length - (values.length % 8)
  let total = 0
  if (lanes > 0) {
    const r = values.slice(0, 8)
    for (let i = 8; i < lanes; i++) r[i % 8] += values[i]
    total = r[0] + r[1] + (r[2] + r[3]) + (r[4] + r[5] + (r[6] + r[7]))
  }
  for (let i = lanes; i < values.length; i++) total += values[i]
  return total
}
