/** `millrace stop FLOW|DIR`: asks a running flow to drain, commit and end, and waits until it has. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { OperationalError } from 'millrace'
import { ask, isAlive } from '../control/control-client.ts'
import { findFolder, readControlFile } from '../control/control-file.ts'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { savepointName } from '../parse-options.ts'

/** A process that has answered ends soon; longer is worth a word. */
const END_MS = 10_000
const STILL_EVERY_MS = 10_000

export function stopCommand(io: Io, exit: Exit): Command {
  return new Command('stop')
    .description('stop a running flow: it commits what it has read, then ends')
    .argument('<flow>', 'name of the flow, or its state folder')
    .option('--savepoint <name>', 'keep that commit under a name', savepointName)
    .action(async (name: string, options: { readonly savepoint?: string }) => {
      exit(await stop(name, options.savepoint, io))
    })
}

async function stop(name: string, savepoint: string | undefined, io: Io): Promise<number> {
  const folder = findFolder(name, io.cwd)
  const control = folder === undefined ? undefined : readControlFile(folder)
  if (control === undefined || !isAlive(control.pid)) return notRunning(name, folder, io)
  const since = Date.now()
  const still = setInterval(() => {
    io.stderr.write(`still waiting for ${control.flow} to commit (${Math.round((Date.now() - since) / 1000)} s)\n`)
  }, STILL_EVERY_MS)
  try {
    for await (const reply of ask(control, savepoint === undefined ? { type: 'stop' } : { type: 'stop', savepoint })) {
      if (reply.type === 'failed')
        throw new OperationalError(reply.code, `${control.flow} failed while it stopped: ${reply.message}`)
      if (reply.type !== 'stopped') continue
      await ended(control.pid)
      const kept = savepoint === undefined ? '' : `, kept as savepoint ${savepoint}`
      const why = reply.outcome === 'finished' ? 'had just finished' : 'stopped'
      io.stdout.write(`${control.flow} ${why} after commit ${reply.lastEpoch}${kept}\n`)
      return EXIT.ok
    }
    throw new OperationalError(
      'CONTROL_GONE',
      `process ${control.pid} of flow "${control.flow}" ended without an answer. Its last commit stands; its own output says why.`,
    )
  } catch (error) {
    if (error instanceof OperationalError && error.code === 'CONTROL_GONE' && !isAlive(control.pid))
      return notRunning(name, folder, io)
    throw error
  } finally {
    clearInterval(still)
  }
}

/** The state folder is free only when the process has ended. */
async function ended(pid: number): Promise<void> {
  for (const until = Date.now() + END_MS; isAlive(pid) && Date.now() < until; ) await sleep(20)
}

export function notRunning(name: string, folder: string | undefined, io: Io): number {
  const what =
    folder === undefined
      ? `there is no state of "${name}" here (.millrace/${name}, or a folder of that path)`
      : `${name} is not running`
  io.stderr.write(`NOT_RUNNING  ${what}. millrace status shows what runs.\n`)
  return EXIT.notRunning
}
