/** `millrace stream FN ARGS`: prints the items of a stream as they come, a line of JSON each. */
import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { wholeNumber } from '../parse-options.ts'
import { parseArguments } from '../remote/arguments.ts'
import { type CallFlags, callOptionsOf, withCallOptions } from '../remote/call-options.ts'
import { connectTo, withGatewayOptions } from '../remote/connection-options.ts'
import { LineWriter } from '../remote/output.ts'
import { reportRemoteError } from '../remote/report-remote-error.ts'
import { onSignals } from '../signals.ts'

interface Options extends CallFlags {
  readonly resumable: boolean
  readonly take?: number
  readonly window?: number
}

const AFTER_HELP = `
Examples:
  millrace stream readings '{"sensors":["temperature"],"sampleRate":10}'
  millrace stream gen 5 | head -2
  millrace stream gen 1000000 --take 10

The producer goes no faster than this command's output is read. Ctrl-C, or a closed pipe, ends it on its node.`

export function streamCommand(io: Io, exit: Exit): Command {
  const command = new Command('stream')
    .description('read a stream of a node: each item is a line of JSON on stdout')
    .argument('<function>')
    .argument('[args...]', 'each a JSON value, or @FILE for the bytes of a file')
    .option('--resumable', 'goes on where it was when the gateway or the link was lost', false)
    .option('--take <n>', 'end after this many items', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--window <n>', 'items the node may be ahead (default: 256)', wholeNumber(1, 1_000_000))
    .addHelpText('after', AFTER_HELP)
  withCallOptions(withGatewayOptions(command)).action(async (fn: string, args: string[], options: Options) => {
    exit(await stream(fn, args, options, io))
  })
  return command
}

async function stream(fn: string, texts: readonly string[], options: Options, io: Io): Promise<number> {
  const stop = new AbortController()
  let interrupted: number | undefined
  const giveBack = onSignals((signal) => {
    interrupted = signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
    stop.abort()
  })
  const { resumable, window, take = Number.POSITIVE_INFINITY } = options
  const lines = new LineWriter(io.stdout)
  try {
    const args = parseArguments(texts, io)
    const client = await connectTo(options, io, {
      ...callOptionsOf(options, stop.signal),
      resumable,
      ...(window === undefined ? {} : { window: { items: window } }),
    })
    try {
      let taken = 0
      for await (const item of client.stream[fn](...args)) {
        const full = lines.line(item)
        if (full !== undefined) await full
        else if (lines.isBehind) await lines.flush()
        if (++taken >= take) break
      }
    } finally {
      await lines.flush()
      await client.close()
    }
    return EXIT.ok
  } catch (error) {
    return interrupted ?? reportRemoteError(error, io, options.errors)
  } finally {
    giveBack()
  }
}
