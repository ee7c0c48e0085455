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
      const all = explanations()
      if (all.size === 0) {
        throw new UsageError(
          'ERROR_UNKNOWN',
          'the explanations are not part of this installation; docs/errors.md of the repository has them.',
        )
      }
      if (code === undefined) {
        io.stdout.write(`${[...all.keys()].join('\n')}\n`)
        return
      }
      const found = all.get(code.toUpperCase())
      if (found === undefined) {
        throw new UsageError('ERROR_UNKNOWN', `there is no error code ${code}. millrace errors lists all of them.`)
      }
      const who = WHO_ACTS[found.class.split(/[ ,]/)[0]] ?? found.class
      io.stdout.write(
        `${code.toUpperCase()}  ${who}\n\nWhat it means  ${found.meaning}\nWhat to do     ${found.remedy}\n`,
      )
    })
}

/** The classes of errors, by who must act. */
const WHO_ACTS: Readonly<Record<string, string>> = {
  Usage: 'something to mend in the flow or the command',
  Operational: 'the environment failed: a disk, a file, a peer',
  Invariant: 'a defect of Millrace; please report it with its message',
  Record: 'one record cannot be used',
}
