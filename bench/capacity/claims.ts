/** What streaming is said to bring over batches, and whether a run shows it. */
import type { CapacityComparison } from 'millrace'

interface Range {
  readonly from: number
  readonly to: number
}

export const CLAIMED: Readonly<Record<keyof CapacityComparison, Range>> = {
  latencyReduction: { from: 0.5, to: 0.99 },
  throughputGain: { from: 1.5, to: 3 },
  memoryReduction: { from: 0.8, to: 0.95 },
}

/** To whole percents and hundredths of a factor: a gain of 1.497 is 1.50. */
export function verdict(of: keyof CapacityComparison, value: number): 'in' | 'below' | 'above' {
  const { from, to } = CLAIMED[of]
  const rounded = Math.round(value * 100) / 100
  return rounded < from ? 'below' : rounded > to ? 'above' : 'in'
}
