/** `millrace node FILE`: serves the functions of a file at a gateway, until it is told to stop. */
import { existsSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { computeNode, type ServedFile, serveFile } from '@millrace/remote'
import { Command } from 'commander'
import { UsageError } from 'millrace'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { importFailure, missing } from '../load-flow.ts'
import { wholeNumber } from '../parse-options.ts'
import { accessOf, type GatewayFlags, type TagValues, tag, withGatewayOptions } from '../remote/connection-options.ts'
import { newLoadMeter } from '../remote/load-meter.ts'
import { reportRemoteError } from '../remote/report-remote-error.ts'
import { onSignals } from '../signals.ts'

interface Options extends GatewayFlags {
  readonly id?: string
  readonly tag?: TagValues
  readonly weight?: number
  readonly threads?: number
  readonly stacks: boolean
  readonly drain: number
}

const AFTER_HELP = `
FILE ends in: export default { add: (a, b) => a + b, async *readings(config) { ... } }
Functions share the variables of the file. Generators that are not async, and functions marked with cpu() of
@millrace/remote, run in a pool of threads, each with the file loaded anew: export const options = { name: { thread: false } }
keeps one with the others. Ctrl-C takes no new calls, waits for those that run (--drain) and ends; a second one ends at once.`

export function nodeCommand(io: Io, exit: Exit): Command {
  const command = new Command('node')
    .description('serve the functions of a file at a gateway')
    .argument('<file>', 'module whose default export is an object of functions')
    .option('--id <name>', 'unique at the gateway (default: HOST-PID)')
    .option('--tag <tag>', 'NAME=VALUE that calls may ask for: gpu=true. May be repeated', tag)
    .option('--weight <n>', 'share of calls under the policy weighted (default: 1)', wholeNumber(0, 1_000_000))
    .option('--threads <n>', 'threads of the pool (default: as many as processors)', wholeNumber(1, 256))
    .option('--drain <ms>', 'how long calls may go on after Ctrl-C', wholeNumber(0, 86_400_000), 5_000)
    .option('--no-stacks', 'callers do not see stacks of what functions throw')
    .addHelpText('after', AFTER_HELP)
  withGatewayOptions(command).action(async (file: string, options: Options) => {
    exit(await serve(file, options, io))
  })
  return command
}

async function serve(file: string, options: Options, io: Io): Promise<number> {
  const full = path.resolve(io.cwd, file)
  if (!existsSync(full) || !statSync(full).isFile()) throw missing(file, full)
  const { weight, threads, stacks, tag: tags } = options
  const access = accessOf(options, io)
  const id = options.id ?? `${hostname().replace(/[^A-Za-z0-9_.-]/g, '-')}-${process.pid}`
  const say = (text: string): void => void io.stderr.write(`${text}\n`)
  // No code of the user runs in this thread: nothing can block it.
  const node = computeNode({
    ...access,
    ...{ id, stacks, load: newLoadMeter(), alive: false },
    ...(tags === undefined ? {} : { tags }),
    ...(weight === undefined ? {} : { weight }),
    log: (_, message) => say(message),
    onLink: (isOpen) => {
      if (isOpen) say(`node ${id} is connected to ${access.gateway}`)
    },
  })
  let stopping: Promise<number> | undefined
  const stopped = new Promise<number>((resolve) => {
    onSignals((signal) => {
      stopping = stop(signal).then((code) => {
        resolve(code)
        return code
      })
    })
  })
  const stop = async (signal: 'SIGINT' | 'SIGTERM'): Promise<number> => {
    if (node.inFlight > 0 && options.drain > 0)
      say(`${signal}: no new calls; ${node.inFlight} may go on for ${options.drain} ms`)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, options.drain)
    })
    await Promise.race([node.drain(), late])
    clearTimeout(timer)
    await node.close()
    return signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
  }
  try {
    const served = await load(node, file, full, threads)
    announce(served, say)
    await Promise.race([node.startPatiently(), stopped])
    if (stopping === undefined && io.stdout.isTTY !== true) {
      const functions = served.functions.map(({ name, kind }) => ({ name, kind }))
      io.stdout.write(`${JSON.stringify({ node: id, gateway: access.gateway, functions })}\n`)
    }
    return await Promise.race([stopped, node.ended.then((error) => Promise.reject(error))])
  } catch (error) {
    if (stopping !== undefined) return await stopping
    await node.close()
    return reportRemoteError(error, io)
  }
}

async function load(
  node: ReturnType<typeof computeNode>,
  file: string,
  full: string,
  threads: number | undefined,
): Promise<ServedFile> {
  try {
    return await serveFile(node, pathToFileURL(full), threads === undefined ? {} : { threads })
  } catch (error) {
    throw error instanceof UsageError ? error : importFailure(error, file, full)
  }
}

function announce({ functions, threaded }: ServedFile, say: (text: string) => void): void {
  say(`serving ${functions.map(({ name }) => name).join(', ')}`)
  if (threaded.length > 0) say(`in threads of their own, without the variables of the others: ${threaded.join(', ')}`)
}
