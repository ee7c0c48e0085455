/** The table of `millrace status`. The flow and its state stay at any width; the other columns leave from the right. */
import type { FlowStatus } from '../commands/status.ts'
import { formatAge, formatCount, formatRate } from './format.ts'
import { cutEnd, cutMiddle, padEnd, padStart, plain, type Style } from './style.ts'

interface Column {
  readonly title: string
  readonly cell: (flow: FlowStatus, now: number) => string
}

const COLUMNS: readonly Column[] = [
  { title: 'IN', cell: (f) => (f.rateIn === null ? '-' : formatRate(f.rateIn)) },
  { title: 'OUT', cell: (f) => (f.rateOut === null ? '-' : formatRate(f.rateOut)) },
  { title: 'LAG', cell: (f) => (f.lag === null ? '-' : formatCount(f.lag)) },
  { title: 'COMMIT', cell: (f, now) => (f.lastCommitAt === null ? '-' : `${formatAge(now - f.lastCommitAt)} ago`) },
  { title: 'LATE', cell: (f) => (f.late === 0 ? '-' : formatCount(f.late)) },
  { title: 'ERRORS', cell: (f) => (f.errors === 0 ? '-' : formatCount(f.errors)) },
  { title: 'UP', cell: (f, now) => (f.startedAt === null ? '-' : formatAge(now - f.startedAt)) },
  { title: 'PID', cell: (f) => String(f.pid ?? '-') },
]
const STATE_WIDTH = 11

export function statusLines(flows: readonly FlowStatus[], now: number, width: number, style: Style): string[] {
  if (flows.length === 0) return ['no flow has run here: there is no .millrace folder. Start one: millrace run FILE']
  const longest = Math.max(4, ...flows.map((f) => f.flow.length))
  let columns = [...COLUMNS]
  const widthOf = (c: Column): number => Math.max(c.title.length, ...flows.map((f) => c.cell(f, now).length))
  const used = (): number => columns.reduce((n, c) => n + 2 + widthOf(c), STATE_WIDTH + 2)
  while (columns.length > 0 && used() + Math.min(longest, 16) > width) columns = columns.slice(0, -1)
  const nameWidth = Math.max(8, Math.min(longest, width - used()))
  const line = (name: string, state: string, cells: readonly string[]): string =>
    `${padEnd(cutMiddle(plain(name), nameWidth), nameWidth)}  ${padEnd(state, STATE_WIDTH)}${cells
      .map((text, i) => `  ${padStart(text, widthOf(columns[i]))}`)
      .join('')}`.trimEnd()
  const lines = [
    style.dim(
      line(
        'FLOW',
        'STATE',
        columns.map((c) => c.title),
      ),
    ),
  ]
  for (const flow of flows) {
    const isDegraded = flow.problems.length > 0
    const word = isDegraded ? 'degraded' : flow.state
    const paint = isDegraded ? style.warn : flow.state === 'running' ? style.good : style.dim
    const text = line(
      flow.flow,
      word,
      columns.map((c) => c.cell(flow, now)),
    )
    lines.push(text.replace(word, paint(word)))
    for (const problem of flow.problems) lines.push(style.warn(cutEnd(`! ${plain(problem)}`, width)))
  }
  return lines
}
