/** `millrace mcp`: the functions of a gateway's nodes as tools of a language model. */
import { Command } from 'commander'
import type { Duration } from 'millrace'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { wholeNumber } from '../parse-options.ts'
import { accessOf, type GatewayFlags, withGatewayOptions } from '../remote/connection-options.ts'
import { reportRemoteError } from '../remote/report-remote-error.ts'
import { onSignals } from '../signals.ts'
import { version } from '../version.ts'

interface Options extends GatewayFlags {
  readonly http?: number
  readonly only: readonly string[]
  readonly callDeadline: string
  readonly items: number
}

const AFTER_HELP = `
Without --http it speaks MCP on stdin and stdout, for a client that starts it:
  { "command": "npx", "args": ["millrace", "mcp", "--gateway", "ws://127.0.0.1:8080", "--only", "sensor.*"] }`

export function mcpCommand(io: Io, exit: Exit): Command {
  const command = new Command('mcp')
    .description('functions of nodes as tools of a language model (MCP)')
    .option('--http <port>', 'streamable HTTP on 127.0.0.1, at /mcp; 0 takes a free port', wholeNumber(0, 65_535))
    .option(
      '--only <pattern>',
      'functions that are tools, * stands for anything; may be repeated (default: all)',
      (pattern: string, before: readonly string[]) => [...before, pattern],
      [],
    )
    .option('--call-deadline <duration>', 'a call, or a stream, ends after this', '60s')
    .option('--items <n>', 'items of a stream in one result', wholeNumber(1, 1_000_000), 1_000)
    .addHelpText('after', AFTER_HELP)
  withGatewayOptions(command).action(async (options: Options) => {
    exit(await mcp(options, io))
  })
  return command
}

async function mcp(options: Options, io: Io): Promise<number> {
  const { only, callDeadline, items, http } = options
  try {
    // Loaded by those who use it: it brings the SDK.
    const { serveMcpHttp, serveMcpStdio } = await import('@millrace/remote/mcp')
    const settings = {
      ...accessOf(options, io),
      ...(only.length === 0 ? {} : { only }),
      callDeadline: callDeadline as Duration,
      itemsMax: items,
      version,
      log: (_level: string, message: string): void => void io.stderr.write(`${message}\n`),
    }
    const asked = new Promise<'SIGINT' | 'SIGTERM'>((resolve) => onSignals(resolve))
    if (http === undefined) {
      const served = await serveMcpStdio(settings)
      io.stderr.write(`MCP on stdin and stdout, tools of ${settings.gateway}\n`)
      const why = await Promise.race([asked, served.ended])
      await served.close()
      return exitOf(why)
    }
    const served = await serveMcpHttp({ ...settings, port: http })
    io.stderr.write(`MCP at ${served.url}, tools of ${settings.gateway}\n`)
    if (io.stdout.isTTY !== true) io.stdout.write(`${JSON.stringify({ mcp: served.url })}\n`)
    const why = await asked
    await served.close()
    return exitOf(why)
  } catch (error) {
    return reportRemoteError(error, io, 'text')
  }
}

// biome-ignore lint/suspicious/noConfusingVoidType: the other side has closed its end
function exitOf(why: 'SIGINT' | 'SIGTERM' | void): number {
  if (why === 'SIGINT') return EXIT.interrupted
  return why === 'SIGTERM' ? EXIT.terminated : EXIT.ok
}
