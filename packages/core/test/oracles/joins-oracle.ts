/** Joins and tables from scratch: nested loops over all rows. */
import { textOf } from './compare.ts'
import type { Placed, Row } from './input.ts'

export type JoinType = 'inner' | 'left' | 'outer'

export interface Pair {
  readonly key: unknown
  readonly left: Row | undefined
  readonly right: Row | undefined
}

/** Pairs that `fits` accepts, and the rows without a partner that the type of join asks for. */
export function pairsOf(
  type: JoinType,
  lefts: readonly Placed[],
  rights: readonly Placed[],
  fits: (left: Row, right: Row) => boolean,
): Pair[] {
  const out: Pair[] = []
  const paired = new Set<Placed>()
  for (const left of lefts) {
    for (const right of rights) {
      if (textOf(left.row.key) !== textOf(right.row.key) || !fits(left.row, right.row)) continue
      paired.add(left).add(right)
      out.push({ key: left.row.key, left: left.row, right: right.row })
    }
  }
  if (type !== 'inner') {
    for (const left of lefts) {
      if (!paired.has(left)) out.push({ key: left.row.key, left: left.row, right: undefined })
    }
  }
  if (type === 'outer') {
    for (const right of rights) {
      if (!paired.has(right)) out.push({ key: right.row.key, left: undefined, right: right.row })
    }
  }
  return out
}

/** The time at which a pair is complete. */
export function timeOf({ left, right }: Pair): number {
  return Math.max(left?.at ?? Number.NEGATIVE_INFINITY, right?.at ?? Number.NEGATIVE_INFINITY)
}

export type Fill = 'none' | 'last' | 'interpolate' | { readonly default: Row }

export interface Side {
  readonly within: number
  readonly fill: Fill
}

/** The row of a side as of `time`; of several at one time the one that arrived last. */
export function asOfValue(
  { within, fill }: Side,
  rights: readonly Placed[],
  key: unknown,
  time: number,
): Row | undefined {
  const own = rights.filter(({ row }) => textOf(row.key) === textOf(key)).map(({ row }) => row)
  const absent = typeof fill === 'object' ? fill.default : undefined
  const before = lastOf(own, Math.max(...own.filter(({ at }) => at <= time).map(({ at }) => at)))
  if (before === undefined) return absent
  if (fill === 'last') return before
  if (before.at < time - within) return absent
  if (fill !== 'interpolate' || before.at === time) return before
  const after = lastOf(own, Math.min(...own.filter(({ at }) => at > time).map(({ at }) => at)))
  if (after === undefined || after.at > time + within) return before
  const share = (time - before.at) / (after.at - before.at)
  const between = (a: number, b: number): number => a + (b - a) * share
  return {
    ...before,
    id: between(before.id, after.id),
    at: between(before.at, after.at),
    n: between(before.n, after.n),
  }
}

function lastOf(rows: readonly Row[], at: number): Row | undefined {
  return rows.findLast((row) => row.at === at)
}

/** Does a row of a table say that its key is gone? */
export function isGone(row: Row): boolean {
  return row.n < 0
}

/** What a table holds for a key as of `time`. */
export function tableValue(rights: readonly Placed[], key: unknown, time: number): Row | undefined {
  const row = asOfValue({ within: Number.POSITIVE_INFINITY, fill: 'none' }, rights, key, time)
  return row === undefined || isGone(row) ? undefined : row
}

/** The changes of one key's table, in order. */
export function changesOf(rows: readonly Placed[]): { row: Row; time: number; weight: 1 | -1 }[] {
  const out: { row: Row; time: number; weight: 1 | -1 }[] = []
  let old: Row | undefined
  for (const { row } of rows.toSorted((a, b) => a.row.at - b.row.at)) {
    if (old !== undefined) out.push({ row: old, time: row.at, weight: -1 })
    old = isGone(row) ? undefined : row
    if (old !== undefined) out.push({ row, time: row.at, weight: 1 })
  }
  return out
}
