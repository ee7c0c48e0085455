/**
 * `millrace dev FILE`: runs a flow and starts it again when its file, or a file it imports by a relative path, is saved.
 * Each run is a process of its own, so nothing of the old program is left. Before a reload the old one drains and commits.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import { watchModules } from '../dev/watch-modules.ts'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { onSignals } from '../signals.ts'

interface Options {
  readonly flow?: string
  readonly state?: string
  readonly fresh: boolean
}

export function devCommand(io: Io, exit: Exit): Command {
  return new Command('dev')
    .description('run a flow and start it again whenever its code is saved')
    .argument('<file>', 'module that exports the flow')
    .argument('[options...]', 'options for millrace run, after --')
    .option('--flow <name>', 'which flow, when the file exports several')
    .option('--state <dir>', 'folder of its state (default: .millrace/dev/<file>)')
    .option('--fresh', 'forget the state at the start and at every reload', false)
    .action(async (file: string, rest: readonly string[], options: Options) => {
      exit(await dev(file, rest, options, io))
    })
}

async function dev(file: string, rest: readonly string[], options: Options, io: Io): Promise<number> {
  const own = path.join('.millrace', 'dev', path.basename(file).replace(/\.[^.]+$/, ''))
  const state = path.resolve(io.cwd, options.state ?? own)
  const say = (text: string): void => void io.stderr.write(`dev: ${text}\n`)
  const args = ['run', file, '--state', state, ...(options.flow === undefined ? [] : ['--flow', options.flow]), ...rest]
  let child: ChildProcess | undefined
  let wake: () => void = () => {}
  let isEnding = false
  let isChanged = false
  const watch = watchModules(path.resolve(io.cwd, file), () => {
    isChanged = true
    wake()
  })
  const forgetSignals = onSignals((signal) => {
    isEnding = true
    // The terminal sends Ctrl-C to the child as well; SIGTERM comes only here.
    if (signal === 'SIGTERM') child?.kill('SIGTERM')
    wake()
  })
  try {
    while (!isEnding) {
      isChanged = false
      if (options.fresh) rmSync(state, { recursive: true, force: true })
      child = spawn(process.execPath, [...process.execArgv, process.argv[1], ...args], {
        stdio: 'inherit',
        cwd: io.cwd,
      })
      const ended = new Promise<number>((resolve) => child?.on('exit', (code) => resolve(code ?? EXIT.failed)))
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      await Promise.race([ended, woken])
      watch.refresh()
      if (isChanged && !isEnding && child.exitCode === null) {
        say('saved; committing and starting again')
        child.kill('SIGTERM')
      }
      const code = await ended
      if (isEnding) break
      if (isChanged) continue
      say(
        `${code === EXIT.ok ? 'it has finished' : 'it has failed'}; waiting for the next save${code === EXIT.ok && !options.fresh ? ' (--fresh reads everything again)' : ''}`,
      )
      await woken
    }
    return EXIT.interrupted
  } finally {
    forgetSignals()
    watch.close()
  }
}
