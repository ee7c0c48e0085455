/**
 * Compares what an engine gave with what an oracle expects: as multisets, numbers within 1e-12 of each other, and in
 * order per key.
 */
import { expect } from 'vitest'

const relative = 1e-12

/** Are two values equal, numbers within 1e-12 relative? */
export function isAlike(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') {
    return (
      a === b ||
      (Number.isNaN(a) && Number.isNaN(b)) ||
      Math.abs(a - b) <= relative * Math.max(Math.abs(a), Math.abs(b))
    )
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  return names.every((name) => name in b && isAlike(a[name as never], b[name as never]))
}

/** A value as text that tells all kinds of keys apart. */
export function textOf(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) => {
    if (typeof v === 'bigint') return `bigint ${v}`
    if (typeof v === 'string') return `'${v}'`
    if (v === undefined) return 'undefined'
    return v
  })
}

/**
 * Fails unless `got` holds the rows of `expected`, in any order. `address` gives what of a row must be equal exactly,
 * so that like is compared with like.
 */
export function expectSameRows<T>(got: readonly unknown[], expected: readonly T[], address: (row: T) => unknown): void {
  const left = Map.groupBy(got as readonly T[], (row) => textOf(address(row)))
  const missing: T[] = []
  for (const row of expected) {
    const candidates = left.get(textOf(address(row))) ?? []
    const at = candidates.findIndex((candidate) => isAlike(candidate, row))
    if (at < 0) missing.push(row)
    else candidates.splice(at, 1)
  }
  const extra = [...left.values()].flat()
  if (missing.length === 0 && extra.length === 0) return
  const near = missing.map(
    (row) => [row, extra.find((other) => textOf(address(other)) === textOf(address(row)))] as const,
  )
  for (const [row, other] of near) {
    if (other !== undefined) expect.fail(`at ${textOf(address(row))}${differences(row, other)}`)
  }
  const show = (rows: readonly unknown[]): string =>
    rows
      .slice(0, 4)
      .map((row) => `\n  ${textOf(row)}`)
      .join('')
  expect.fail(
    `${expected.length} rows expected, ${got.length} came\n${missing.length} missing${show(missing)}\n${extra.length} too many${show(extra)}`,
  )
}

function differences(expected: unknown, got: unknown): string {
  if (typeof expected !== 'object' || typeof got !== 'object' || expected === null || got === null) {
    return `\n  expected ${textOf(expected)}, got ${textOf(got)}`
  }
  const names = [...new Set([...Object.keys(expected), ...Object.keys(got)])]
  return names
    .filter((name) => !isAlike(expected[name as never], got[name as never]))
    .map((name) => `\n  ${name}: expected ${textOf(expected[name as never])}, got ${textOf(got[name as never])}`)
    .join('')
}

/** Fails unless the numbers that `rank` gives never fall within the rows of a key; earlier numbers count first. */
export function expectRising<T>(
  got: readonly T[],
  key: (row: T) => unknown,
  rank: (row: T) => readonly number[],
): void {
  for (const rows of Map.groupBy(got, (row) => textOf(key(row))).values()) {
    for (let i = 1; i < rows.length; i++) {
      const before = rank(rows[i - 1])
      const now = rank(rows[i])
      const at = now.findIndex((n, k) => n !== before[k])
      if (at >= 0 && now[at] < before[at]) {
        expect.fail(`out of order within a key\n  ${textOf(rows[i - 1])}\n  ${textOf(rows[i])}`)
      }
    }
  }
}

/** Fails unless `got` is `expected`, row by row. */
export function expectSameSequence(got: readonly unknown[], expected: readonly unknown[]): void {
  const numbered = (rows: readonly unknown[]) => rows.map((row, place) => ({ place, row }))
  expectSameRows(numbered(got), numbered(expected), ({ place }) => place)
}
