/** The table of steps. When it is too wide, columns leave in a stated order; names are cut, lines never wrap. */
import { formatBytes, formatCount, formatDuration, formatEventTime, formatRate } from './format.ts'
import { cutMiddle, padEnd, padStart, plain, type Style } from './style.ts'
import type { RunView, StepRow } from './view.ts'

interface Column {
  readonly title: string
  readonly cell: (row: StepRow) => string
  /** Shown only when some row has something to say. */
  readonly isOptional?: boolean
}

/** Columns leave from the end of this list. */
const KEEP_ORDER = [
  'IN/S',
  'BUSY',
  'OUT/S',
  'LATE',
  'DEAD',
  'DROPPED',
  'ERRORS',
  'EVENT TIME',
  'BEHIND',
  'WAITS',
  'STATE',
  'LOAD',
]
const NAME_MIN = 8
const NAME_MAX = 28

export function stepTable(view: RunView, width: number, height: number, style: Style): string[] {
  const rows = view.rows
  if (rows.length === 0) return []
  const columns = columnsOf(view, rows)
  const nameWidth = Math.min(NAME_MAX, Math.max(4, ...rows.map((r) => nameOf(r).length)))
  const widths = new Map(columns.map((c) => [c.title, Math.max(c.title.length, ...rows.map((r) => c.cell(r).length))]))
  const shown = new Set(columns.map((c) => c.title))
  const used = (): number => [...shown].reduce((n, title) => n + 2 + (widths.get(title) ?? 0), 0)
  for (const title of KEEP_ORDER.toReversed()) {
    if (used() + Math.min(nameWidth, NAME_MIN + 8) + 2 <= width) break
    if (shown.size > 1) shown.delete(title)
  }
  const nameRoom = Math.max(NAME_MIN, Math.min(nameWidth, width - used() - 2))
  const visible = columns.filter((c) => shown.has(c.title))
  const limiting = view.limiting?.step
  const line = (name: string, cells: readonly string[]): string =>
    `${padEnd(name, nameRoom + 2)}${visible.map((c, i) => `  ${padStart(cells[i], widths.get(c.title) ?? 0)}`).join('')}`.trimEnd()
  const { picked, left } = pick(rows, height - 1, limiting)
  const lines = [
    style.dim(
      line(
        'STEP',
        visible.map((c) => c.title),
      ),
    ),
  ]
  for (const row of picked) {
    const mark = row.step.i === limiting ? ' <' : ''
    const text = line(
      `${cutMiddle(nameOf(row), nameRoom)}${mark}`,
      visible.map((c) => c.cell(row)),
    )
    lines.push(row.step.i === limiting ? style.warn(text) : row.errors + row.dead > 0 ? style.bad(text) : text)
  }
  if (left > 0) lines.push(style.dim(`and ${left} more steps without a name`))
  return lines
}

/** Unnamed steps leave first when there is no room. */
function pick(
  rows: readonly StepRow[],
  room: number,
  limiting: number | undefined,
): { picked: StepRow[]; left: number } {
  if (rows.length <= room) return { picked: [...rows], left: 0 }
  const named = rows.filter((r) => r.step.isNamed || r.step.i === limiting)
  const picked = named.slice(0, Math.max(1, room - 1))
  return { picked, left: rows.length - picked.length }
}

function columnsOf(view: RunView, rows: readonly StepRow[]): Column[] {
  const now = view.sample?.at ?? 0
  const columns: Column[] = [
    { title: 'IN/S', cell: (r) => rate(r.rateIn) },
    { title: 'OUT/S', cell: (r) => rate(r.rateOut) },
    { title: 'LOAD', cell: (r) => (r.step.fusedWith === null ? bar(Math.min(1, r.busy + r.await)) : 'fused') },
    { title: 'BUSY', cell: (r) => (r.step.fusedWith === null ? percent(r.busy) : '-') },
    { title: 'WAITS', cell: (r) => percent(Math.min(1, r.blocked + r.await)), isOptional: true },
    view.isBounded
      ? { title: 'EVENT TIME', cell: (r) => reached(r), isOptional: true }
      : { title: 'BEHIND', cell: (r) => behind(r, now), isOptional: true },
    { title: 'STATE', cell: (r) => (r.stateBytes > 0 ? formatBytes(r.stateBytes) : '-'), isOptional: true },
    { title: 'LATE', cell: (r) => count(r.late), isOptional: true },
    { title: 'DROPPED', cell: (r) => count(r.dropped), isOptional: true },
    { title: 'DEAD', cell: (r) => count(r.dead), isOptional: true },
    { title: 'ERRORS', cell: (r) => count(r.errors), isOptional: true },
  ]
  return columns.filter((c) => c.isOptional !== true || rows.some((r) => !['-', '0 %'].includes(c.cell(r))))
}

function nameOf(row: StepRow): string {
  return plain(row.step.name)
}

function rate(perSecond: number | null): string {
  return perSecond === null ? '-' : formatRate(perSecond).replace('/s', '')
}

function count(n: number): string {
  return n === 0 ? '-' : formatCount(n)
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function bar(share: number): string {
  const full = Math.round(share * 8)
  return `[${'#'.repeat(full)}${'.'.repeat(8 - full)}]`
}

function reached(row: StepRow): string {
  return row.watermark === 'end' ? 'end' : row.watermark === null ? '-' : formatEventTime(row.watermark)
}

function behind(row: StepRow, now: number): string {
  return typeof row.watermark === 'number'
    ? formatDuration(Math.max(0, now - row.watermark))
    : row.watermark === 'end'
      ? 'end'
      : '-'
}
