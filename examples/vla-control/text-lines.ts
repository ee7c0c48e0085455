/** Words typed or piped in: a line is an utterance, at the time it came. */
import { createReadStream, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { isatty, ReadStream } from 'node:tty'
import type { WordFeed } from './language.ts'

/** More than this without a line break is not an utterance; it is thrown away up to the next one. */
const LINE_CHARS_MAX = 1000

/** The lines of the standard input, also in a worker thread, which has no `process.stdin` of its own. */
export const stdinLines: WordFeed = textLines('stdin', openStdin)

/** A line of the stream is an utterance. The feed closes the stream. */
export function textLines(kind: string, open: () => Readable): WordFeed {
  return {
    kind,
    async *words({ signal }) {
      const stream = open().setEncoding('utf8')
      const stop = (): void => {
        stream.destroy()
      }
      signal.addEventListener('abort', stop)
      let rest = ''
      let isTooLong = false
      try {
        for await (const chunk of stream) {
          const lines = (rest + chunk).split(/\r?\n/)
          rest = lines.pop() as string
          for (const line of lines) {
            if (!isTooLong && line.trim() !== '') yield { text: line.trim() }
            isTooLong = false
          }
          if (rest.length > LINE_CHARS_MAX) isTooLong = true
          if (isTooLong) rest = ''
        }
        if (!isTooLong && rest.trim() !== '') yield { text: rest.trim() }
      } catch (error) {
        // A stream that we closed ourselves ends in the middle.
        if (!signal.aborted) throw error
      } finally {
        signal.removeEventListener('abort', stop)
        stream.destroy()
      }
    },
  }
}

function openStdin(): Readable {
  if (isatty(0)) return new ReadStream(0)
  return fstatSync(0).isFile()
    ? createReadStream('', { fd: 0, autoClose: false })
    : new Socket({ fd: 0, readable: true, writable: false })
}
