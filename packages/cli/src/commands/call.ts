/** `millrace call FN ARGS`: calls a function of a node and prints its value as a line of JSON. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import { UsageError } from 'millrace'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { wholeNumber } from '../parse-options.ts'
import { parseArguments } from '../remote/arguments.ts'
import { callEach } from '../remote/call-each.ts'
import { type CallFlags, callOptionsOf, withCallOptions } from '../remote/call-options.ts'
import { connectTo, withGatewayOptions } from '../remote/connection-options.ts'
import { jsonLine, write } from '../remote/output.ts'
import { reportRemoteError } from '../remote/report-remote-error.ts'
import { onSignals } from '../signals.ts'

interface Options extends CallFlags {
  readonly out?: string
  readonly each: boolean
  readonly parallel: number
}

const AFTER_HELP = `
Examples:
  millrace call add 1 2
  millrace call hello '"Ada"' --deadline 1000
  millrace call resize @photo.jpg --where gpu=true --out small.jpg
  millrace call score --each --parallel 8 < lines.jsonl`

export function callCommand(io: Io, exit: Exit): Command {
  const command = new Command('call')
    .description('call a function of a node; its value is a line of JSON on stdout')
    .argument('<function>')
    .argument('[args...]', 'each a JSON value, or @FILE for the bytes of a file')
    .option('--out <file>', 'write a value of bytes to this file')
    .option(
      '--each',
      'a call per line of stdin, which is a JSON list of arguments; the first that fails ends it',
      false,
    )
    .option('--parallel <n>', 'with --each: calls under way at once', wholeNumber(1, 10_000), 1)
    .addHelpText('after', AFTER_HELP)
  withCallOptions(withGatewayOptions(command)).action(async (fn: string, args: string[], options: Options) => {
    exit(await call(fn, args, options, io))
  })
  return command
}

async function call(fn: string, texts: readonly string[], options: Options, io: Io): Promise<number> {
  const stop = new AbortController()
  let interrupted: number | undefined
  const giveBack = onSignals((signal) => {
    interrupted = signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
    stop.abort()
  })
  try {
    const args = parseArguments(texts, io)
    const client = await connectTo(options, io, callOptionsOf(options, stop.signal))
    try {
      if (options.each) await callEach(client, fn, args, options.parallel, io)
      else {
        const value = await client.call[fn](...args)
        if (options.out === undefined) await write(io.stdout, jsonLine(value))
        else writeFileSync(path.resolve(io.cwd, options.out), bytesOf(value, fn))
      }
    } finally {
      await client.close()
    }
    return EXIT.ok
  } catch (error) {
    return interrupted ?? reportRemoteError(error, io, options.errors)
  } finally {
    giveBack()
  }
}

function bytesOf(value: unknown, fn: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new UsageError('REMOTE_OUT', `"${fn}" gave no bytes, which --out wants; without --out its value is printed.`)
}
