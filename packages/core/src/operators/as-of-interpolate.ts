/** Linear interpolation between two rows. */

/**
 * The row at `share` (0..1) of the way from `before` to `after`: numbers that both have are interpolated, everything else
 * is taken from `before`. Rows may be numbers themselves.
 * @example interpolate({ lat: 10, id: 'a' }, { lat: 20, id: 'b' }, 0.25) // => { lat: 12.5, id: 'a' }
 */
export function interpolate(before: unknown, after: unknown, share: number): unknown {
  if (typeof before === 'number' && typeof after === 'number') return before + (after - before) * share
  if (typeof before !== 'object' || before === null || typeof after !== 'object' || after === null) return before
  const out: Record<string, unknown> = { ...before }
  const to = after as Record<string, unknown>
  for (const field of Object.keys(out)) {
    const a = out[field]
    const b = to[field]
    if (typeof a === 'number' && typeof b === 'number') out[field] = a + (b - a) * share
  }
  return out
}
