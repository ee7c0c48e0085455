/** `millrace errors CODE`: what docs/errors.md says about a code. */
import { Command } from 'commander'
import { UsageError } from 'millrace'
import { explanations } from '../explanations.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'

export function errorsCommand(io: Io, _exit: Exit): Command {
  return new Command('errors')
    .description('explain an error code')
    .argument('[code]', 'for example FLOW_RUNNING; without one, all codes are listed')
    .action((code: string | undefined) => {
      const sections = explanations()
      if (code === undefined) {
        io.stdout.write(`${[...sections.keys()].join('\n')}\n`)
        return
      }
      const found = sections.get(code.toUpperCase())
      if (found === undefined) {
        throw new UsageError('ERROR_UNKNOWN', `there is no error code ${code}. millrace errors lists all of them.`)
      }
      io.stdout.write(`${code.toUpperCase()}\n\n${found}\n`)
    })
}
