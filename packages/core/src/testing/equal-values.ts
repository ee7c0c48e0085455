/** Deep equality that is the same on every Node: Node 22 holds two invalid dates for different, Node 24 does not. */
import { isDeepStrictEqual } from 'node:util'

/** True for values that are deeply and strictly equal, invalid dates included. */
export function equalValues(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b) || isDeepStrictEqual(datesMarked(a), datesMarked(b))
}

/** The value with a text in the place of each invalid date. */
function datesMarked(value: unknown): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : value
  if (Array.isArray(value)) return value.map(datesMarked)
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [datesMarked(k), datesMarked(v)]))
  if (value instanceof Set) return new Set([...value].map(datesMarked))
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  // As a list, since a property may be called __proto__.
  return [
    Object.getPrototypeOf(value) === null,
    ...Object.entries(value).map(([name, inner]) => [name, datesMarked(inner)]),
  ]
}
