/** `millrace plan FILE`: what would run, without running it. */
import { Command } from 'commander'
import { UsageError } from 'millrace'
import { OBSERVE_CONTRACT, planMermaid, planMessage, planText } from 'millrace/observe'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { loadFlow } from '../load-flow.ts'
import { wholeNumber } from '../parse-options.ts'

interface Options {
  readonly flow?: string
  readonly workers: number
  readonly json: boolean
  readonly mermaid: boolean
}

export function planCommand(io: Io, _exit: Exit): Command {
  return new Command('plan')
    .description('show the graph of a flow and how it is cut into stages')
    .argument('<file>', 'module that exports the flow')
    .option('--flow <name>', 'which flow, when the file exports several')
    .option('--workers <n>', 'plan for this many worker threads', wholeNumber(1, 64), 1)
    .option('--json', 'as the plan message of millrace/observe', false)
    .option('--mermaid', 'as a Mermaid flowchart', false)
    .action(async (file: string, options: Options) => {
      if (options.json && options.mermaid)
        throw new UsageError('PLAN_FORMAT', '--json and --mermaid exclude each other; take one.')
      const { flow } = await loadFlow(file, options.flow, io.cwd)
      const message = planMessage(flow.plan(options.workers))
      if (options.json) io.stdout.write(`${JSON.stringify({ contract: OBSERVE_CONTRACT, ...message }, null, 2)}\n`)
      else io.stdout.write(options.mermaid ? planMermaid(message) : planText(message))
    })
}
