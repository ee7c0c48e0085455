/** The table as lines that fit a width. ASCII; a state is a word first and a colour second. */
import { styleText } from 'node:util'
import type { Line, RowStatus, StreamRow } from './rows.ts'

const HEAD = { title: 'Stream', status: 'Status', progress: 'Progress', latest: ['Latest Result'] } as const
const COLORS = { waiting: 'dim', active: 'green', completed: 'cyan', failed: 'red', stopped: 'yellow' } as const
const GAP = '  '
const STATUS_WIDTH = 'completed'.length

/** Below, lines would be wrapped, so nothing can be drawn over. */
export const TABLE_WIDTH_MIN = 60

export interface TableStyle {
  readonly width: number
  readonly hasColor: boolean
}

export function tableLines(rows: readonly StreamRow[], { width: given, hasColor }: TableStyle): string[] {
  const width = Math.max(TABLE_WIDTH_MIN, given)
  const lines = rows.flatMap((row) => row.lines())
  const widest = (of: (line: Line) => string): number =>
    Math.max(...[HEAD, ...lines].map((line) => of(line as Line).length))
  const title = Math.min(
    widest((line) => line.title),
    Math.floor(width * 0.3),
  )
  const progress = widest((line) => line.progress)
  const latest = Math.max(8, width - title - STATUS_WIDTH - progress - 3 * GAP.length)
  const draw = (line: Omit<Line, 'status'> & { readonly status: string }): string => {
    const status = line.status.padEnd(STATUS_WIDTH)
    const cells = [
      cut(plain(line.title), title).padEnd(title),
      hasColor && line.status in COLORS ? styleText(COLORS[line.status as RowStatus], status, ALWAYS) : status,
      line.progress.padEnd(progress),
      cut(fitting(line.latest.map(plain), latest), latest),
    ]
    return cells.join(GAP).trimEnd()
  }
  const rule = [title, STATUS_WIDTH, progress, latest].map((size) => '-'.repeat(size)).join(GAP)
  const failures = rows.flatMap(({ title: name, failure }) =>
    failure === undefined ? [] : wrapped(`${name}: ${failure.code} ${plain(failure.message)}`, width),
  )
  return [draw(HEAD), rule, ...lines.map(draw), ...(failures.length === 0 ? [] : ['', ...failures])]
}

/** Whether there are colours is decided by who draws, not by the stream the text may go to. */
const ALWAYS = { validateStream: false } as const

/** As many facts as fit, the first in any case. */
function fitting(facts: readonly string[], width: number): string {
  let text = facts[0] ?? ''
  for (const fact of facts.slice(1)) {
    if (text.length + GAP.length + fact.length > width) break
    text += `${GAP}${fact}`
  }
  return text
}

/** Text of others without control characters, which could redraw the terminal. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}

export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 2))}..`
}

/** Broken between words; further lines are indented. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = '  '
    }
    line = line.trim() === '' ? `${line}${word}` : `${line} ${word}`
  }
  return [...lines, line]
}
