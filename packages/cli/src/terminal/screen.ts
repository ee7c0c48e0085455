/** The alternate screen, for commands that show something until Ctrl-C. It is given back on every way out. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Io } from '../io.ts'

const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME_AND_CLEAR = '\u001b[H\u001b[J'

/** Draws `lines()` every `everyMs` until Ctrl-C or SIGTERM. */
export async function withScreen(io: Io, everyMs: number, lines: () => Promise<readonly string[]>): Promise<void> {
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  const restore = (): void => void io.stdout.write(LEAVE)
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  process.once('exit', restore)
  io.stdout.write(ENTER)
  try {
    while (!abort.signal.aborted) {
      const text = (await lines()).slice(0, (io.stdout.rows ?? 24) - 1).join('\n')
      io.stdout.write(`${HOME_AND_CLEAR}${text}\n`)
      await sleep(everyMs, undefined, { signal: abort.signal }).catch(() => {})
    }
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    process.off('exit', restore)
    restore()
  }
}
