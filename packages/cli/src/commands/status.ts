/** `millrace status`: the flows of this folder, what they do and what needs a person. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { OBSERVE_CONTRACT, stalls } from 'millrace/observe'
import { ask } from '../control/control-client.ts'
import { findFolder, lastCommit, readControlFile, stateFolders } from '../control/control-file.ts'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { colorMode } from '../parse-options.ts'
import { withScreen } from '../terminal/screen.ts'
import { statusLines } from '../terminal/status-table.ts'
import { type ColorMode, styleFor, widthOf } from '../terminal/style.ts'
import { RunView } from '../terminal/view.ts'
import { notRunning } from './stop.ts'

interface Options {
  readonly json: boolean
  readonly watch: boolean
  readonly color: ColorMode
}

/** One flow as `status --json` gives it. */
export interface FlowStatus {
  readonly flow: string
  readonly folder: string
  readonly state: 'running' | 'starting' | 'stopping' | 'ended' | 'not running'
  readonly pid: number | null
  readonly startedAt: number | null
  readonly lastCommitAt: number | null
  readonly epoch: number | null
  /** Records per second at the sources and the sinks. */
  readonly rateIn: number | null
  readonly rateOut: number | null
  readonly lag: number | null
  readonly late: number
  readonly dead: number
  readonly errors: number
  readonly restarts: number
  readonly http: string | null
  /** What needs a person, in sentences. */
  readonly problems: readonly string[]
}

/** Rates are taken over this time. */
const RATE_MS = 500
const WATCH_MS = 1000

export function statusCommand(io: Io, exit: Exit): Command {
  return new Command('status')
    .description('show the flows of this folder')
    .argument('[flow]', 'only this flow, or this state folder')
    .option('--json', 'one JSON document', false)
    .option('--watch', 'again every second, until Ctrl-C', false)
    .option('--color <mode>', 'auto, always or never', colorMode, 'auto')
    .action(async (name: string | undefined, options: Options) => {
      exit(await status(name, options, io))
    })
}

async function status(name: string | undefined, options: Options, io: Io): Promise<number> {
  const folder = name === undefined ? undefined : findFolder(name, io.cwd)
  if (name !== undefined && folder === undefined) return notRunning(name, undefined, io)
  const look = async (): Promise<FlowStatus[]> =>
    Promise.all((folder === undefined ? stateFolders(io.cwd) : [folder]).map((one) => statusOf(one)))
  const style = styleFor(io.stdout, io.env, options.color)
  const width = io.stdout.isTTY === true ? widthOf(io.stdout, io.env) : Number.POSITIVE_INFINITY
  if (options.watch && io.stdout.isTTY === true && !options.json) {
    await withScreen(io, WATCH_MS, async () => statusLines(await look(), Date.now(), widthOf(io.stdout, io.env), style))
    return EXIT.ok
  }
  const flows = await look()
  if (options.json) io.stdout.write(`${JSON.stringify({ contract: OBSERVE_CONTRACT, flows }, null, 2)}\n`)
  else io.stdout.write(`${statusLines(flows, Date.now(), width, style).join('\n')}\n`)
  return exitOf(flows)
}

function exitOf(flows: readonly FlowStatus[]): number {
  const running = flows.filter((f) => f.state !== 'not running')
  if (running.length === 0) return EXIT.notRunning
  return running.some((f) => f.problems.length > 0) ? EXIT.failed : EXIT.ok
}

async function statusOf(folder: string): Promise<FlowStatus> {
  const control = readControlFile(folder)
  const commit = lastCommit(folder)
  const quiet: FlowStatus = {
    flow: control?.flow ?? folder.slice(Math.max(folder.lastIndexOf('/'), folder.lastIndexOf('\\')) + 1),
    folder,
    state: 'not running',
    pid: null,
    startedAt: null,
    lastCommitAt: commit?.at ?? null,
    epoch: null,
    rateIn: null,
    rateOut: null,
    lag: null,
    late: 0,
    dead: 0,
    errors: 0,
    restarts: 0,
    http: null,
    problems: [],
  }
  if (control === undefined) return quiet
  try {
    const view = new RunView()
    const snapshot = async (): Promise<void> => {
      for await (const reply of ask(control, { type: 'snapshot' })) {
        if (reply.type === 'snapshot') for (const message of reply.messages) view.update(message)
      }
    }
    await snapshot()
    await sleep(RATE_MS)
    await snapshot()
    const { sample } = view
    if (sample === undefined) return quiet
    return {
      ...quiet,
      state: sample.state,
      pid: control.pid,
      startedAt: control.startedAt,
      lastCommitAt: view.commit?.committedAt ?? quiet.lastCommitAt,
      epoch: view.commit?.epoch ?? null,
      rateIn: view.flow('in').rate,
      rateOut: view.flow('out').rate,
      lag: view.sources?.lag ?? null,
      late: view.total('late'),
      dead: view.total('dead'),
      errors: view.total('errors'),
      restarts: sample.attempt,
      http: control.http,
      problems: problemsOf(view, sample),
    }
  } catch {
    return quiet
  }
}

function problemsOf(view: RunView, sample: { readonly at: number; readonly attempt: number }): string[] {
  const problems: string[] = []
  if (view.plan !== undefined && view.sources !== undefined) {
    for (const stall of stalls(view.plan, view.sources, sample.at)) {
      const source = view.plan.steps[stall.source]?.name
      problems.push(
        `"${view.plan.steps[stall.step]?.name}" waits for "${source}" partition ${stall.partition}, silent for ${Math.round(stall.silentMs / 1000)} s`,
      )
    }
  }
  if (sample.attempt > 0)
    problems.push(`it was started again ${sample.attempt} time${sample.attempt === 1 ? '' : 's'} after failures`)
  if ((view.balance?.remainder ?? 0) !== 0) problems.push(`${view.balance?.remainder} records are not accounted for`)
  return problems
}
