/** An error as a person reads it: code, what happened, what to do; the place in their own code when there is one. */
import { MillraceError, UsageError } from 'millrace'
import { EXIT } from './exit-codes.ts'
import { explanations } from './explanations.ts'
import type { Io } from './io.ts'
import { type ColorMode, plain, styleFor } from './terminal/style.ts'

/** Writes the error to stderr and gives the exit code that goes with it. */
export function reportError(thrown: unknown, io: Io, color: ColorMode = 'auto'): number {
  const style = styleFor(io.stderr, io.env, color)
  if (!(thrown instanceof MillraceError)) {
    const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    io.stderr.write(`${style.bad('millrace failed')}  ${text}\n`)
    return EXIT.failed
  }
  const step = thrown.step === undefined ? '' : `step "${plain(thrown.step)}": `
  io.stderr.write(`${style.bad(thrown.code)}  ${step}${clean(thrown.message)}\n`)
  const frames = userFrames(thrown)
  for (const frame of frames) io.stderr.write(`${style.dim(`    ${frame}`)}\n`)
  if (explanations().has(thrown.code)) io.stderr.write(style.dim(`millrace errors ${thrown.code} says more\n`))
  return thrown instanceof UsageError ? EXIT.usage : EXIT.failed
}

function clean(text: string): string {
  return text.split('\n').map(plain).join('\n')
}

const FRAMES_MAX = 3
const OURS = /node:|node_modules|millrace-chain|\/packages\/(core|cli|connectors)\/(src|bin)\//

/** Frames of the first cause that lie in the user's files. */
function userFrames(error: Error): string[] {
  let cause: unknown = error.cause
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause
  if (!(cause instanceof Error)) return []
  return (cause.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !OURS.test(line))
    .slice(0, FRAMES_MAX)
    .map((line) => plain(line.trim()))
}
