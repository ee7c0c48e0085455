/** Compares committed output with the oracle's: as a multiset, and where the flow promises it in order per key. */
import type { Row } from './shapes/shape.ts'

/** The first difference in words; undefined when there is none. */
export function difference(
  expected: readonly Row[],
  got: readonly Row[],
  order: 'per key' | 'any',
): string | undefined {
  return multisetDifference(expected, got) ?? (order === 'per key' ? orderDifference(expected, got) : undefined)
}

function multisetDifference(expected: readonly Row[], got: readonly Row[]): string | undefined {
  const counts = new Map<string, number>()
  for (const row of expected) count(counts, row, 1)
  for (const row of got) count(counts, row, -1)
  const lost: string[] = []
  const extra: string[] = []
  for (const [row, n] of counts) {
    if (n > 0) lost.push(row)
    if (n < 0) extra.push(row)
  }
  if (lost.length === 0 && extra.length === 0) return undefined
  const show = (what: string, rows: readonly string[]): string =>
    rows.length === 0 ? '' : `; ${rows.length} rows ${what}, first ${rows[0]}`
  return `${expected.length} rows expected, ${got.length} committed${show('missing', lost)}${show('too many', extra)}`
}

function orderDifference(expected: readonly Row[], got: readonly Row[]): string | undefined {
  const wanted = Map.groupBy(expected, (row) => row.key)
  for (const [key, rows] of Map.groupBy(got, (row) => row.key)) {
    const inOrder = (wanted.get(key) ?? []).map(textOf)
    const i = rows.findIndex((row, at) => textOf(row) !== inOrder[at])
    if (i >= 0) return `row ${i} of key ${key} is ${textOf(rows[i])}, in order it is ${inOrder[i]}`
  }
  return undefined
}

function count(counts: Map<string, number>, row: Row, n: number): void {
  const text = textOf(row)
  counts.set(text, (counts.get(text) ?? 0) + n)
}

/** A row as text, whatever the order of its properties. */
function textOf(row: unknown): string {
  return JSON.stringify(row, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}
