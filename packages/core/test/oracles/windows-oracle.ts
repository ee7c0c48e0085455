/** Windows from scratch: all rows are there, and every window is found by looking at all of them. */
import type { Placed } from './input.ts'

/** A window with its rows in order of arrival. */
export interface OracleWindow {
  readonly start: number
  readonly end: number
  readonly rows: readonly Placed[]
}

export type WindowKind =
  | { readonly type: 'time'; readonly size: number; readonly slide: number; readonly offset: number }
  | { readonly type: 'sliding'; readonly size: number }
  | { readonly type: 'session'; readonly gap: number; readonly touches: boolean }
  | { readonly type: 'count'; readonly size: number; readonly slide: number; readonly byTime: boolean }
  | {
      readonly type: 'global'
      readonly trigger: 'end' | { every: number } | { when: number }
      readonly purges: boolean
    }

/** The windows of one key's rows, which come in order of arrival. */
export function windowsOf(kind: WindowKind, rows: readonly Placed[]): OracleWindow[] {
  switch (kind.type) {
    case 'time':
      return timeWindows(kind, rows)
    case 'sliding':
      return rows.map(({ row: { at } }) => ({
        start: at + 1 - kind.size,
        end: at + 1,
        rows: rows.filter(({ row }) => row.at > at - kind.size && row.at <= at),
      }))
    case 'session':
      return sessions(kind, rows)
    case 'count':
      return counted(kind, rows)
    case 'global':
      return globals(kind, rows)
  }
}

/** Rows in the order that 'eventTime' promises. */
export function byTime(rows: readonly Placed[]): Placed[] {
  const text = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
  return [...rows].sort(
    (a, b) => a.row.at - b.row.at || text(a.source, b.source) || text(a.partition, b.partition) || a.offset - b.offset,
  )
}

function timeWindows(
  { size, slide, offset }: { size: number; slide: number; offset: number },
  rows: readonly Placed[],
) {
  const starts = new Set<number>()
  for (const { row } of rows) {
    const near = Math.round((row.at - offset) / slide)
    const reach = Math.ceil(size / slide) + 1
    for (let k = near - reach; k <= near + reach; k++) {
      const start = k * slide + offset
      if (start <= row.at && row.at < start + size) starts.add(start + 0)
    }
  }
  return [...starts].map((start) => ({
    start,
    end: start + size,
    rows: rows.filter(({ row }) => row.at >= start && row.at < start + size),
  }))
}

/** Two rows are of one session when a chain of rows leads from one to the other in steps shorter than the gap. */
function sessions({ gap, touches }: { gap: number; touches: boolean }, rows: readonly Placed[]): OracleWindow[] {
  const times = [...new Set(rows.map(({ row }) => row.at))].sort((a, b) => a - b)
  const groups: number[][] = []
  for (const [i, at] of times.entries()) {
    const step = at - times[i - 1]
    if (i > 0 && (touches ? step <= gap : step < gap)) (groups.at(-1) as number[]).push(at)
    else groups.push([at])
  }
  return groups.map((group) => ({
    start: group[0],
    end: (group.at(-1) as number) + gap,
    rows: rows.filter(({ row }) => group.includes(row.at)),
  }))
}

function counted(
  { size, slide, byTime: isByTime }: { size: number; slide: number; byTime: boolean },
  arrived: readonly Placed[],
): OracleWindow[] {
  const numbered = isByTime ? byTime(arrived) : arrived
  const windows: OracleWindow[] = []
  for (let start = 0; start < numbered.length; start += slide) {
    const own = numbered.slice(start, start + size)
    windows.push(spanning(arrived.filter((placed) => own.includes(placed))))
  }
  return windows
}

function globals(
  { trigger, purges }: { trigger: 'end' | { every: number } | { when: number }; purges: boolean },
  rows: readonly Placed[],
): OracleWindow[] {
  const windows: OracleWindow[] = []
  let from = 0
  let fired = 0
  for (let i = 0; i < rows.length; i++) {
    const fresh = i + 1 - fired
    const isDue =
      trigger !== 'end' && ('every' in trigger ? fresh === trigger.every : isTrigger(rows[i].row.id, trigger.when))
    if (!isDue && i + 1 < rows.length) continue
    windows.push(spanning(rows.slice(from, i + 1)))
    fired = i + 1
    if (purges) from = fired
  }
  return windows
}

/** The test that `when` triggers use. */
export function isTrigger(id: number, modulus: number): boolean {
  return id % modulus === 0
}

function spanning(rows: readonly Placed[]): OracleWindow {
  const times = rows.map(({ row }) => row.at)
  return { start: Math.min(...times), end: Math.max(...times) + 1, rows }
}
