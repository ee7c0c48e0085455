/** `millrace nodes`: the nodes of a gateway, and what they offer. */
import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import {
  connectTo,
  type ErrorForm,
  errorFormOption,
  type GatewayFlags,
  withGatewayOptions,
} from '../remote/connection-options.ts'
import { jsonLine, write } from '../remote/output.ts'
import { reportRemoteError } from '../remote/report-remote-error.ts'
import { nodeTable } from '../terminal/remote-table.ts'
import { styleFor, widthOf } from '../terminal/style.ts'

interface Options extends GatewayFlags {
  readonly json: boolean
  readonly errors: ErrorForm
}

export function nodesCommand(io: Io, exit: Exit): Command {
  const command = new Command('nodes')
    .description('the nodes of a gateway: a table on a terminal, else a line of JSON each')
    .option('--json', 'lines of JSON also on a terminal', false)
    .addOption(errorFormOption())
  withGatewayOptions(command).action(async (options: Options) => {
    exit(await nodes(options, io))
  })
  return command
}

async function nodes(options: Options, io: Io): Promise<number> {
  try {
    const client = await connectTo(options, io)
    const list = await client.nodes().finally(() => client.close())
    if (io.stdout.isTTY === true && !options.json) {
      const lines = nodeTable(list, widthOf(io.stdout, io.env), styleFor(io.stdout, io.env))
      await write(io.stdout, `${lines.join('\n')}\n`)
    } else await write(io.stdout, list.map(jsonLine).join(''))
    return EXIT.ok
  } catch (error) {
    return reportRemoteError(error, io, options.errors)
  }
}
