/** `millrace errors CODE`: what docs/errors.md says about a code. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { UsageError } from 'millrace'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'

/** In a checkout the documentation, in the published package the copy beside the code. */
const PLACES = ['../../../../docs/errors.md', '../../errors.md']

export function errorsCommand(io: Io, _exit: Exit): Command {
  return new Command('errors')
    .description('explain an error code')
    .argument('[code]', 'for example FLOW_RUNNING; without one, all codes are listed')
    .action((code: string | undefined) => {
      const sections = read()
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

function read(): Map<string, string> {
  const file = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) => existsSync(path))
  const sections = new Map<string, string>()
  const text = file === undefined ? '' : readFileSync(file, 'utf8')
  for (const row of text.matchAll(/^\| `([A-Z][A-Z_]+)` \| (.+?) \|$/gm))
    sections.set(row[1], row[2].split(' | ').join('\n'))
  return sections
}
