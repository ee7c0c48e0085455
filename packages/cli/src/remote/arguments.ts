/** Arguments of a call on the command line: each is a JSON value, or `@FILE` for the bytes of a file. */
import { UsageError } from 'millrace'
import type { Io } from '../io.ts'
import { readFileOf } from './connection-options.ts'

/** @throws UsageError `REMOTE_ARGUMENT` with what it should look like, `REMOTE_FILE` */
export function parseArguments(texts: readonly string[], io: Io): unknown[] {
  return texts.map((text, i) => {
    if (text.startsWith('@')) return new Uint8Array(readFileOf(`argument ${i + 1}`, text.slice(1), io))
    try {
      return JSON.parse(text) as unknown
    } catch {
      const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text
      const quoted = JSON.stringify(text)
      const hint = quoted.length > 60 ? 'A text is written with quotes inside quotes' : `As a text it is '${quoted}'`
      throw new UsageError(
        'REMOTE_ARGUMENT',
        `argument ${i + 1} is no JSON value: ${shown}. ${hint}; @FILE gives the bytes of a file. Nothing was called.`,
        { data: { position: i + 1 } },
      )
    }
  })
}
