/** Steps that keep, drop and rank rows, from scratch. Rows come in order of arrival. */
import type { Placed, Row } from './input.ts'

/** Passes a row unless one with its id has passed less than `within` before or after it. */
export function deduped(rows: readonly Placed[], id: (row: Row) => unknown, within: number): Row[] {
  const passed: Row[] = []
  for (const { row } of rows) {
    if (!passed.some((other) => id(other) === id(row) && Math.abs(other.at - row.at) < within)) passed.push(row)
  }
  return passed
}

/** Passes a row unless more than `limit` that passed would lie in a half-open span of `per`. */
export function throttled(rows: readonly Placed[], limit: number, per: number): Row[] {
  const passed: Row[] = []
  for (const { row } of rows) {
    const with_ = [...passed, row]
    const isTooMany = with_.some((start) => {
      return with_.filter(({ at }) => at >= start.at && at < start.at + per).length > limit
    })
    if (!isTooMany) passed.push(row)
  }
  return passed
}

/** The last row before each time in which no row follows for `gap`; of rows of one time the last to arrive. */
export function debounced(rows: readonly Placed[], gap: number): Row[] {
  return rows
    .filter(({ row }, i) => {
      const isLast = rows.every((other, j) => other.row.at !== row.at || j <= i)
      return isLast && !rows.some((other) => other.row.at > row.at && other.row.at - row.at < gap)
    })
    .map(({ row }) => row)
}

/** The latest row of each interval; of rows of one time the last to arrive. */
export function latestPer(rows: readonly Placed[], per: number): Row[] {
  const interval = ({ at }: Row): number => Math.floor(at / per)
  return rows
    .filter(({ row }, i) => {
      return rows.every((other, j) => {
        if (j === i || interval(other.row) !== interval(row)) return true
        return other.row.at < row.at || (other.row.at === row.at && j < i)
      })
    })
    .map(({ row }) => row)
}

/** The ranking of the rows: by `n`, of equal ones the earlier first. */
export function rankingOf(rows: readonly Placed[], most: number, order: 'asc' | 'desc'): { rank: number; row: Row }[] {
  const sign = order === 'asc' ? 1 : -1
  return rows
    .map(({ row }, i) => ({ row, i }))
    .sort((a, b) => sign * (a.row.n - b.row.n) || a.i - b.i)
    .slice(0, most)
    .map(({ row }, i) => ({ rank: i + 1, row }))
}

/** What a step that sets a timer `delay` after each row, two kinds of them, gives for the rows of a key. */
export function timersOf(rows: readonly Placed[], delay: number): { at: number; tag: string; ids: number[] }[] {
  const due = ({ at }: Row): number => Math.ceil(at + delay)
  const names = new Set(rows.map(({ row }) => `${due(row)}/${row.id % 2}`))
  return [...names].map((name) => {
    const [at, tag] = name.split('/')
    const seen = rows.filter(({ row }) => due(row) <= Number(at)).map(({ row }) => row.id)
    return { at: Number(at), tag, ids: seen.sort((a, b) => a - b) }
  })
}
