/** Repeated runs: the median, with the smallest and the largest beside it. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Of at least one value; of an even number the lower middle one. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  return { median: sorted[(sorted.length - 1) >> 1], min: sorted[0], max: sorted[sorted.length - 1] }
}

/** `12.3 (11.9..14)` */
export function spreadText({ median, min, max }: Spread, unit = 1): string {
  return min === max ? short(median / unit) : `${short(median / unit)} (${short(min / unit)}..${short(max / unit)})`
}

/** Three significant digits, without an exponent. */
export function short(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(6, digits))
}
