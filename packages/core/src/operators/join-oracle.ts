/**
 * Joins over finished input, by nested loops: what the operators must equal. For tests.
 * Rows are given in order of arrival per input; nothing is late.
 */
import type { JoinType } from './join-types.ts'

export interface OracleRow {
  readonly time: number
  readonly key: string
  readonly id: number
}

export interface OracleOut {
  readonly time: number
  readonly row: unknown
}

type Pairing = { key: string; left: OracleRow | undefined; right: OracleRow | undefined }

function lonely(
  type: JoinType,
  lefts: readonly OracleRow[],
  rights: readonly OracleRow[],
  pairs: Pairing[],
): Pairing[] {
  const out: Pairing[] = []
  if (type !== 'inner') {
    for (const left of lefts) {
      if (!pairs.some((p) => p.left === left)) out.push({ key: left.key, left, right: undefined })
    }
  }
  if (type === 'outer') {
    for (const right of rights) {
      if (!pairs.some((p) => p.right === right)) out.push({ key: right.key, left: undefined, right })
    }
  }
  return out
}

export function intervalJoinOracle(
  lefts: readonly OracleRow[],
  rights: readonly OracleRow[],
  type: JoinType,
  beforeMs: number,
  afterMs: number,
): OracleOut[] {
  const pairs: Pairing[] = []
  for (const left of lefts) {
    for (const right of rights) {
      if (left.key !== right.key || right.time < left.time - beforeMs || right.time > left.time + afterMs) continue
      pairs.push({ key: left.key, left, right })
    }
  }
  return [...pairs, ...lonely(type, lefts, rights, pairs)].map((row) => ({
    time: Math.max(row.left?.time ?? Number.NEGATIVE_INFINITY, row.right?.time ?? Number.NEGATIVE_INFINITY),
    row,
  }))
}

/** `windowsOf` lists the windows of a row, `[start, end]` each. */
export function windowJoinOracle(
  lefts: readonly OracleRow[],
  rights: readonly OracleRow[],
  type: JoinType,
  windowsOf: (row: OracleRow) => readonly (readonly [number, number])[],
): OracleOut[] {
  const windows = new Map<
    string,
    { start: number; end: number; key: string; lefts: OracleRow[]; rights: OracleRow[] }
  >()
  for (const side of ['lefts', 'rights'] as const) {
    for (const row of side === 'lefts' ? lefts : rights) {
      for (const [start, end] of windowsOf(row)) {
        const name = `${row.key} ${start} ${end}`
        const window = windows.get(name) ?? { start, end, key: row.key, lefts: [], rights: [] }
        windows.set(name, window)
        window[side].push(row)
      }
    }
  }
  return [...windows.values()].flatMap(({ start, end, key, lefts: own, rights: others }) => {
    const pairs = own.flatMap((left) => others.map((right): Pairing => ({ key, left, right })))
    return [...pairs, ...lonely(type, own, others, pairs)].map((row) => ({
      time: end - 1,
      row: { ...row, window: { start, end } },
    }))
  })
}

/** Windows `[start, end]` of a row in windows of `sizeMs` every `slideMs`. */
export function hoppingOracle(sizeMs: number, slideMs: number): (row: OracleRow) => [number, number][] {
  return ({ time }) => {
    const windows: [number, number][] = []
    for (let start = Math.floor(time / slideMs) * slideMs; start > time - sizeMs; start -= slideMs) {
      windows.push([start, start + sizeMs])
    }
    return windows
  }
}

/** The session of each row, over the rows of both inputs: rows of a key less than `gapMs` apart. */
export function sessionOracle(rows: readonly OracleRow[], gapMs: number): (row: OracleRow) => [number, number][] {
  const sessions: { key: string; start: number; end: number }[] = []
  for (const row of [...rows].sort((a, b) => a.time - b.time)) {
    const open = sessions.findLast((session) => session.key === row.key)
    if (open !== undefined && row.time < open.end) open.end = row.time + gapMs
    else sessions.push({ key: row.key, start: row.time, end: row.time + gapMs })
  }
  return (row) => {
    const found = sessions.find((s) => s.key === row.key && s.start <= row.time && row.time < s.end)
    return found === undefined ? [] : [[found.start, found.end]]
  }
}

export interface OracleSide {
  readonly rows: readonly OracleRow[]
  readonly withinMs: number
  readonly required: boolean
  readonly fill: 'none' | 'last' | 'interpolate' | { readonly default: unknown }
}

/** Latest row of the key up to a time; of equal times the one that arrived last. */
export function latestOracle(rows: readonly OracleRow[], key: string, time: number): OracleRow | undefined {
  let latest: OracleRow | undefined
  for (const row of rows) {
    if (row.key === key && row.time <= time && (latest === undefined || row.time >= latest.time)) latest = row
  }
  return latest
}

/** Decided by watermark. `unmatched` are the left rows that miss a required side. */
export function asOfOracle(
  lefts: readonly OracleRow[],
  sides: Readonly<Record<string, OracleSide>>,
): { out: OracleOut[]; unmatched: OracleRow[] } {
  const out: OracleOut[] = []
  const unmatched: OracleRow[] = []
  for (const left of lefts) {
    const row: Record<string, unknown> = { key: left.key, left }
    let isMissing = false
    for (const [name, side] of Object.entries(sides)) {
      row[name] = asOfValue(side, left)
      if (side.required && row[name] === undefined) isMissing = true
    }
    if (isMissing) unmatched.push(left)
    else out.push({ time: left.time, row })
  }
  return { out, unmatched }
}

function asOfValue({ rows, withinMs, fill }: OracleSide, { key, time }: OracleRow): unknown {
  const latest = latestOracle(rows, key, time)
  const absent = typeof fill === 'object' ? fill.default : undefined
  if (latest === undefined) return absent
  if (fill === 'last') return latest
  if (time - latest.time > withinMs) return absent
  if (fill !== 'interpolate' || latest.time === time) return latest
  const after = rows.filter((row) => row.key === key && row.time > time && row.time <= time + withinMs)
  if (after.length === 0) return latest
  const nextTime = Math.min(...after.map((row) => row.time))
  const next = after.findLast((row) => row.time === nextTime) as OracleRow
  const share = (time - latest.time) / (next.time - latest.time)
  return {
    time: latest.time + (next.time - latest.time) * share,
    key: latest.key,
    id: latest.id + (next.id - latest.id) * share,
  }
}
