/** `millrace savepoints`: commits that were kept under a name. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import { readSavepoint } from 'millrace/host'
import { findFolder, stateFolders } from '../control/control-file.ts'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { padEnd, plain } from '../terminal/style.ts'
import { notRunning } from './stop.ts'

interface Savepoint {
  readonly flow: string
  readonly name: string
  /** Null: the file cannot be read. */
  readonly epoch: number | null
  readonly at: number | null
  readonly folder: string
}

export function savepointsCommand(io: Io, exit: Exit): Command {
  return new Command('savepoints')
    .description('list the savepoints of the flows of this folder')
    .argument('[flow]', 'only this flow, or this state folder')
    .option('--json', 'one JSON document', false)
    .action((name: string | undefined, options: { readonly json: boolean }) => {
      const folder = name === undefined ? undefined : findFolder(name, io.cwd)
      if (name !== undefined && folder === undefined) return exit(notRunning(name, undefined, io))
      const found = (folder === undefined ? stateFolders(io.cwd) : [folder]).flatMap(savepointsOf)
      if (options.json) io.stdout.write(`${JSON.stringify({ savepoints: found }, null, 2)}\n`)
      else io.stdout.write(`${text(found)}\n`)
      exit(EXIT.ok)
    })
}

function savepointsOf(folder: string): Savepoint[] {
  const parent = path.join(folder, 'savepoints')
  return list(parent).map((name) => {
    const found = readSavepoint(readFileSync(path.join(parent, name)))
    return {
      flow: found?.flow ?? path.basename(folder),
      name,
      epoch: found?.epoch ?? null,
      at: found?.timeMs ?? null,
      folder,
    }
  })
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => !name.endsWith('.tmp'))
  } catch {
    return []
  }
}

function text(found: readonly Savepoint[]): string {
  if (found.length === 0) return 'no savepoints. Make one: millrace stop FLOW --savepoint NAME'
  const flowWidth = Math.max(4, ...found.map((s) => s.flow.length))
  const nameWidth = Math.max(9, ...found.map((s) => s.name.length))
  const line = (flow: string, name: string, commit: string, at: string): string =>
    `${padEnd(flow, flowWidth)}  ${padEnd(name, nameWidth)}  ${padEnd(commit, 8)}  ${at}`
  return [
    line('FLOW', 'SAVEPOINT', 'COMMIT', 'TAKEN'),
    ...found.map((s) =>
      line(
        plain(s.flow),
        plain(s.name),
        s.epoch === null ? 'damaged' : String(s.epoch),
        s.at === null ? '-' : new Date(s.at).toISOString(),
      ),
    ),
  ].join('\n')
}
