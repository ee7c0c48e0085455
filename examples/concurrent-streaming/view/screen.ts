/** Lines that are drawn over while they change; where that cannot be, a line per stream now and then. */
import type { StreamRow } from './rows.ts'
import { plain, TABLE_WIDTH_MIN, tableLines } from './table.ts'

const REFRESH_MS = 500
/** Without a terminal. */
const TELL_MS = 5_000

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

/** Shows the rows twice a second until the result is called, which draws them once more. */
export function showTable(rows: readonly StreamRow[], out: Output, env: NodeJS.ProcessEnv): () => void {
  const isLive = out.isTTY === true && env.TERM !== 'dumb' && widthOf(out) >= TABLE_WIDTH_MIN
  const hasColor = isLive && (env.NO_COLOR ?? '') === ''
  let drawn = 0
  const draw = (): void => {
    const width = widthOf(out)
    const lines = tableLines(rows, { width, hasColor })
    // A terminal that is too low would scroll, and the cursor cannot go back to what has scrolled away.
    const shown = isLive ? lines.slice(0, Math.max(3, (out.rows ?? 24) - 1)) : lines
    out.write(`${drawn > 0 ? `\u001b[${drawn}A\r\u001b[J` : ''}${shown.join('\n')}\n`)
    drawn = isLive ? shown.length : 0
  }
  const tell = (): void => {
    for (const { title, status, progress, latest } of rows.map((row) => row.lines()[0]))
      out.write(`${[`${title}: ${status}`, progress, ...latest.map(plain)].join(', ')}\n`)
  }
  if (isLive) draw()
  const timer = setInterval(isLive ? draw : tell, isLive ? REFRESH_MS : TELL_MS)
  return () => {
    clearInterval(timer)
    draw()
  }
}

export function widthOf({ columns }: Output): number {
  // A bare pseudo-terminal says 0. The last column stays free: some terminals wrap when it is written.
  return columns === undefined || columns === 0 ? 80 : columns - 1
}
