/** `millrace top`: what goes through a gateway, by function and by node, drawn over and over. */
import type { Client, GatewayStats, NodeStatus } from '@millrace/remote'
import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { wholeNumber } from '../parse-options.ts'
import {
  connectTo,
  type ErrorForm,
  errorFormOption,
  type GatewayFlags,
  withGatewayOptions,
} from '../remote/connection-options.ts'
import { jsonLine, write } from '../remote/output.ts'
import { reportRemoteError } from '../remote/report-remote-error.ts'
import { rowsOf, type TopSample } from '../remote/top-rows.ts'
import { topLines } from '../terminal/remote-table.ts'
import { withScreen } from '../terminal/screen.ts'
import { styleFor, widthOf } from '../terminal/style.ts'

interface Options extends GatewayFlags {
  readonly once: boolean
  readonly json: boolean
  readonly every: number
  readonly resources: boolean
  readonly errors: ErrorForm
}

/** Rates of a single look are taken over this time. */
const RATE_MS = 1_000

export function topCommand(io: Io, exit: Exit): Command {
  const command = new Command('top')
    .description('streams and functions of a gateway as they run: status, progress, throughput, latency, errors')
    .option('--once', 'print it once', false)
    .option('--json', 'with --once: one JSON document', false)
    .option('--every <ms>', 'between pictures', wholeNumber(100, 60_000), 1_000)
    .option('--no-resources', 'without CPU and memory of the nodes')
    .addOption(errorFormOption())
  withGatewayOptions(command).action(async (options: Options) => {
    exit(await top(options, io))
  })
  return command
}

async function top(options: Options, io: Io): Promise<number> {
  try {
    const client = await connectTo(options, io)
    try {
      let before = await sampleOf(client)
      const style = styleFor(io.stdout, io.env)
      const look = async (): Promise<readonly string[]> => {
        const now = await sampleOf(client)
        const lines = topLines(rowsOf(before, now), now, widthOf(io.stdout, io.env), style, options.resources)
        before = now
        return lines
      }
      if (options.once || io.stdout.isTTY !== true) {
        await new Promise((resolve) => setTimeout(resolve, RATE_MS))
        if (options.json) {
          const now = await sampleOf(client)
          await write(io.stdout, jsonLine({ functions: rowsOf(before, now), nodes: now.nodes, stats: now.stats }))
        } else await write(io.stdout, `${(await look()).join('\n')}\n`)
      } else await withScreen(io, options.every, look)
    } finally {
      await client.close()
    }
    return EXIT.ok
  } catch (error) {
    return reportRemoteError(error, io, options.errors)
  }
}

async function sampleOf(client: Client): Promise<TopSample> {
  const [stats, nodes, functions] = await Promise.all([
    client.call.$stats() as Promise<GatewayStats>,
    client.nodes() as Promise<readonly NodeStatus[]>,
    client.functions(),
  ])
  return { atMs: performance.now(), stats, nodes, functions }
}
