/** The `millrace` command: `main(argv)` gives the exit code; the bin of `millrace` calls it. */
import { Command, CommanderError } from 'commander'
import { callCommand } from './commands/call.ts'
import { capacityCommand } from './commands/capacity.ts'
import { devCommand } from './commands/dev.ts'
import { errorsCommand } from './commands/errors.ts'
import { gatewayCommand } from './commands/gateway.ts'
import { mcpCommand } from './commands/mcp.ts'
import { nodeCommand } from './commands/node.ts'
import { nodesCommand } from './commands/nodes.ts'
import { planCommand } from './commands/plan.ts'
import { runCommand } from './commands/run.ts'
import { savepointsCommand } from './commands/savepoints.ts'
import { statusCommand } from './commands/status.ts'
import { stopCommand } from './commands/stop.ts'
import { streamCommand } from './commands/stream.ts'
import { topCommand } from './commands/top.ts'
import { topicsCommand } from './commands/topics.ts'
import { EXIT } from './exit-codes.ts'
import { endQuietlyOnClosedPipe, type Io, processIo } from './io.ts'
import { reportError } from './report-error.ts'
import { version } from './version.ts'

const AFTER_HELP = `
Examples:
  millrace run averages.ts                 runs to the end, continues where the last run committed
  millrace plan averages.ts --mermaid      the graph, for a document
  millrace stop averages --savepoint v1    drains, commits, keeps that commit under a name
  millrace status                          what runs here

Exit codes: 0 ended well, 1 failed, 2 wrong usage, 3 not running, 130 Ctrl-C, 143 SIGTERM (both after committing)`

/** Sets the exit code of the command that ran. */
export type Exit = (code: number) => void

/** Runs one command line, without the leading `node` and script. Resolves to the exit code; never rejects. */
export async function main(argv: string[], io: Io = processIo()): Promise<number> {
  endQuietlyOnClosedPipe(io)
  let code: number = EXIT.ok
  const program = newProgram(io, (value) => {
    code = value
  })
  try {
    // Without a command the help is the answer, and nothing is wrong.
    await program.parseAsync(argv.length === 0 ? ['--help'] : argv, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    return reportError(error, io)
  }
}

function newProgram(io: Io, exit: Exit): Command {
  const program = new Command('millrace')
    .description('Stateful stream processing: event time, windows, joins, exactly-once.')
    .version(version)
    .showHelpAfterError('(millrace --help shows every command)')
    .showSuggestionAfterError()
    .addHelpText('after', AFTER_HELP)
  const commands = [
    runCommand,
    planCommand,
    devCommand,
    statusCommand,
    stopCommand,
    savepointsCommand,
    topicsCommand,
    capacityCommand,
    gatewayCommand,
    nodeCommand,
    callCommand,
    streamCommand,
    nodesCommand,
    topCommand,
    mcpCommand,
    errorsCommand,
  ]
  for (const command of commands) program.addCommand(command(io, exit))
  for (const command of [program, ...program.commands, ...program.commands.flatMap((each) => each.commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    })
  }
  return program
}
