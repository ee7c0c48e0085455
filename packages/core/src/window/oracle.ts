/**
 * Test only: windows and aggregates from scratch, over all rows at once, with no slices, state or watermarks. What the
 * window operators must equal for records that are not late.
 */
import type { WindowSpec } from './types.ts'

export interface OracleRow {
  readonly time: number
  readonly key: string
  readonly value: number
  /** Position in the order of arrival. */
  readonly at: number
}

export interface OracleWindow {
  readonly key: string
  readonly start: number
  readonly end: number
  /** Its rows, in order of arrival. */
  readonly rows: readonly OracleRow[]
}

/** All windows with their rows, per kind of window. */
export function oracleWindows(spec: WindowSpec, rows: readonly OracleRow[], offset = 0): OracleWindow[] {
  const windows: OracleWindow[] = []
  for (const key of new Set(rows.map((row) => row.key))) {
    const mine = rows.filter((row) => row.key === key)
    for (const window of windowsOfKey(spec, mine, offset)) windows.push({ key, ...window })
  }
  return windows
}

type Bare = Omit<OracleWindow, 'key'>

function windowsOfKey(spec: WindowSpec, rows: readonly OracleRow[], offset: number): Bare[] {
  switch (spec.type) {
    case 'time':
      return timeWindows(spec.sizeMs, spec.slideMs, rows, offset)
    case 'sliding':
      return rows.map(({ time }) => ({
        start: time + 1 - spec.sizeMs,
        end: time + 1,
        rows: rows.filter((row) => row.time > time - spec.sizeMs && row.time <= time),
      }))
    case 'session':
      return sessions(spec.gapMs, spec.merge === 'touching', rows)
    case 'count':
      return counted(spec.size, spec.slide, spec.order === 'arrival' ? rows : byTime(rows))
    case 'global':
      return globals(spec.trigger.type === 'count' ? spec.trigger.every : rows.length, spec.after === 'purge', rows)
  }
}

function timeWindows(size: number, slide: number, rows: readonly OracleRow[], offset: number): Bare[] {
  const starts = new Set<number>()
  for (const { time } of rows) {
    for (let k = Math.ceil((time - offset - size) / slide); k * slide + offset <= time; k++) {
      const start = k * slide + offset
      if (time >= start && time < start + size) starts.add(start)
    }
  }
  return [...starts].map((start) => ({
    start,
    end: start + size,
    rows: rows.filter((row) => row.time >= start && row.time < start + size),
  }))
}

function sessions(gap: number, touches: boolean, rows: readonly OracleRow[]): Bare[] {
  const found: { start: number; last: number; rows: OracleRow[] }[] = []
  for (const row of byTime(rows)) {
    const open = found.at(-1)
    if (open !== undefined && (touches ? row.time - open.last <= gap : row.time - open.last < gap)) {
      open.rows.push(row)
      open.last = row.time
    } else found.push({ start: row.time, last: row.time, rows: [row] })
  }
  return found.map(({ start, last, rows: own }) => ({ start, end: last + gap, rows: byArrival(own) }))
}

function counted(size: number, slide: number, rows: readonly OracleRow[]): Bare[] {
  const windows: Bare[] = []
  for (let start = 0; start < rows.length; start += slide) {
    // A window that begins in the last one's rows has begun; one that would begin after them has not.
    windows.push(spanning(rows.slice(start, start + size)))
  }
  return windows
}

function globals(every: number, purges: boolean, rows: readonly OracleRow[]): Bare[] {
  const windows: Bare[] = []
  for (let end = every; end < rows.length + every; end += every) {
    windows.push(spanning(rows.slice(purges ? end - every : 0, end)))
  }
  return windows
}

function spanning(rows: readonly OracleRow[]): Bare {
  const times = rows.map((row) => row.time)
  return { start: Math.min(...times), end: Math.max(...times) + 1, rows }
}

function byTime(rows: readonly OracleRow[]): OracleRow[] {
  return [...rows].sort((a, b) => a.time - b.time || a.at - b.at)
}

function byArrival(rows: readonly OracleRow[]): OracleRow[] {
  return [...rows].sort((a, b) => a.at - b.at)
}

/** Sum in 256-bit integers of units of 2^-60, so exact for values that are multiples of it. */
function exactSum(values: readonly number[]): bigint {
  let total = 0n
  for (const v of values) total += BigInt(Math.trunc(v)) * unit + BigInt(Math.round((v - Math.trunc(v)) * Number(unit)))
  return total
}

const unit = 1n << 60n

function ratio(numerator: bigint, denominator: bigint): number {
  const whole = numerator / denominator
  const rest = ((numerator % denominator) * (1n << 200n)) / denominator
  return Number(whole) + Number(rest) / 2 ** 200
}

/** Every built-in aggregate of a window's rows, computed without regard for cost. */
export function oracleAggregates(rows: readonly OracleRow[]): Record<string, unknown> {
  const values = rows.map((row) => row.value)
  const n = values.length
  const total = exactSum(values)
  const squares = values.reduce((sum, v) => {
    const units = exactSum([v])
    return sum + units * units
  }, 0n)
  const variance = ratio(squares * BigInt(n) - total * total, unit * unit * BigInt(n) * BigInt(n))
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2 + 0
  const top = [...rows].sort((a, b) => b.value - a.value || a.at - b.at).slice(0, 2)
  return {
    n,
    sum: ratio(total, unit),
    mean: ratio(total, unit * BigInt(n)),
    min: sorted[0] + 0,
    max: sorted[n - 1] + 0,
    variance,
    stddev: Math.sqrt(variance),
    distinct: new Set(values.map((v) => v + 0)).size,
    median: middle,
    first: rows[0].at,
    last: rows[n - 1].at,
    rows: rows.map((row) => row.at),
    top: top.map((row) => row.at),
    total: rows.reduce((sum, row) => sum + row.at, 0),
  }
}
