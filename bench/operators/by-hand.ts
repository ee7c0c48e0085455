/** The cases of `cases.ts` as a program without an engine would write them. */
import type { Reading } from './rows.ts'

/** Results are handed on in groups, as the engine does. */
export class Out {
  rows: unknown[] = []
  total = 0

  get count(): number {
    return this.total + this.rows.length
  }

  push(row: unknown): void {
    this.rows.push(row)
    if (this.rows.length < 1024) return
    this.total += this.rows.length
    this.rows = []
  }
}

export function map(rows: readonly Reading[], fn: (row: Reading) => unknown): Out {
  const out = new Out()
  for (const row of rows) out.push(fn(row))
  return out
}

export function filter(rows: readonly Reading[], test: (row: Reading) => boolean): Out {
  const out = new Out()
  for (const row of rows) if (test(row)) out.push(row)
  return out
}

export function eight(rows: readonly Reading[]): Out {
  const out = new Out()
  for (const { id, key, value, at } of rows) {
    let row = { id, key, value: value + 1, at }
    if (!(row.value > 0)) continue
    row = { id, key, value: row.value * 2, at }
    if (!(row.value > 1)) continue
    row = { id, key, value: row.value - 3, at }
    if (!(row.value > -10)) continue
    row = { id, key, value: row.value / 2, at }
    if (row.value < 1e9) out.push(row)
  }
  return out
}

interface Accumulator {
  n: number
  sum: number
}

function add(window: Map<number, Accumulator>, row: Reading): void {
  const acc = window.get(row.key)
  if (acc === undefined) window.set(row.key, { n: 1, sum: row.value })
  else {
    acc.n++
    acc.sum += row.value
  }
}

export function tumbling(rows: readonly Reading[], sizeMs: number): Out {
  return hopping(rows, sizeMs, sizeMs)
}

export function hopping(rows: readonly Reading[], sizeMs: number, slideMs: number): Out {
  const out = new Out()
  const windows = new Map<number, Map<number, Accumulator>>()
  for (const row of rows) {
    const last = Math.floor(row.at / slideMs) * slideMs
    if (!windows.has(last)) {
      for (const [start, window] of windows) {
        if (start + sizeMs > row.at) continue
        for (const [key, acc] of window) out.push({ key, start, ...acc })
        windows.delete(start)
      }
    }
    for (let start = last; start > row.at - sizeMs; start -= slideMs) {
      let window = windows.get(start)
      if (window === undefined) windows.set(start, (window = new Map()))
      add(window, row)
    }
  }
  for (const [start, window] of windows) for (const [key, acc] of window) out.push({ key, start, ...acc })
  return out
}

export function sessions(rows: readonly Reading[], gapMs: number): Out {
  const out = new Out()
  const open = new Map<number, { start: number; last: number; n: number }>()
  for (const row of rows) {
    const known = open.get(row.key)
    if (known !== undefined && row.at - known.last < gapMs) {
      known.last = row.at
      known.n++
      continue
    }
    if (known !== undefined) out.push({ key: row.key, ...known })
    open.set(row.key, { start: row.at, last: row.at, n: 1 })
  }
  for (const [key, session] of open) out.push({ key, ...session })
  return out
}

export function countWindows(rows: readonly Reading[], size: number): Out {
  const out = new Out()
  const open = new Map<number, Accumulator>()
  for (const row of rows) {
    add(open, row)
    const acc = open.get(row.key) as Accumulator
    if (acc.n < size) continue
    out.push({ key: row.key, ...acc })
    open.delete(row.key)
  }
  for (const [key, acc] of open) out.push({ key, ...acc })
  return out
}

export function counters(rows: readonly Reading[]): Out {
  const out = new Out()
  const seen = new Map<number, number>()
  for (const row of rows) {
    const n = (seen.get(row.key) ?? 0) + 1
    seen.set(row.key, n)
    if (n % 10 === 0) out.push(row)
  }
  return out
}

export function dedupe(rows: readonly Reading[]): Out {
  const out = new Out()
  // Two generations, so that old ids go all at once.
  let young = new Map<number, number>()
  let old = young
  let turnAt = rows[0].at + 1000
  for (const row of rows) {
    if (row.at >= turnAt) {
      old = young
      young = new Map()
      turnAt = row.at + 1000
    }
    const id = row.id - (row.id % 2)
    const before = young.get(id) ?? old.get(id)
    if (before !== undefined && row.at - before < 1000) continue
    young.set(id, row.at)
    out.push(row)
  }
  return out
}

export function latest(rows: readonly Reading[]): Out {
  const out = new Out()
  const table = new Map<number, Reading>()
  for (const row of rows) {
    const before = table.get(row.key)
    if (before !== undefined) out.push(before)
    table.set(row.key, row)
    out.push(row)
  }
  return out
}

/** Left rows are all rows, right rows every tenth. */
export function intervalJoin(rows: readonly Reading[], afterMs: number): Out {
  const out = new Out()
  const lefts = new Map<number, Reading[]>()
  for (const row of rows) {
    let own = lefts.get(row.key)
    if (own === undefined) lefts.set(row.key, (own = []))
    own.push(row)
    while (own[0].at < row.at - afterMs) own.shift()
    if (row.id % 10 === 0) for (const left of own) out.push({ key: row.key, left, right: row })
  }
  return out
}
