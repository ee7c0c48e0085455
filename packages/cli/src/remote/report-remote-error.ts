/** A failed remote call as a person reads it, or as one line of JSON. */
import { RemoteError } from '@millrace/remote'
import { EXIT } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { reportError } from '../report-error.ts'
import { plain, styleFor } from '../terminal/style.ts'
import type { ErrorForm } from './connection-options.ts'

const FRAMES_MAX = 6

/** Writes the error to stderr and gives the exit code that goes with it. */
export function reportRemoteError(thrown: unknown, io: Io, form: ErrorForm = 'text'): number {
  if (!(thrown instanceof RemoteError)) return reportError(thrown, io)
  if (form === 'json') {
    io.stderr.write(`${JSON.stringify(asJson(thrown))}\n`)
    return EXIT.failed
  }
  const code = reportError(thrown, io)
  const style = styleFor(io.stderr, io.env)
  for (const line of details(thrown)) io.stderr.write(`${style.dim(`    ${plain(line)}`)}\n`)
  return code
}

function details(error: RemoteError): string[] {
  const { node, function: fn, retryable, remoteName, remoteStack } = error
  const facts = [
    ...(remoteName === undefined ? [] : [remoteName]),
    ...(fn === undefined ? [] : [`function ${fn}`]),
    ...(node === undefined ? [] : [`node ${node}`]),
    `retryable ${retryable}`,
  ]
  const frames = (remoteStack ?? '').split('\n').filter((line) => /^\s+at /.test(line) && !OURS.test(line))
  const causes: string[] = []
  for (let cause = error.cause; cause instanceof RemoteError && causes.length < FRAMES_MAX; cause = cause.cause) {
    causes.push(`caused by ${cause.remoteName ?? cause.code}: ${cause.message.split('\n')[0]}`)
  }
  return [facts.join(', '), ...frames.slice(0, FRAMES_MAX).map((line) => line.trim()), ...causes]
}

const OURS = /node:|node_modules|\/packages\/remote\/(src|dist)\//

function asJson(error: RemoteError): Record<string, unknown> {
  const { code, message, remoteName: name, node, function: fn, retryable, data, remoteStack: stack, cause } = error
  return {
    ...{ code, message, name, node, function: fn, retryable, data, stack },
    ...(cause instanceof RemoteError ? { cause: asJson(cause) } : {}),
  }
}
