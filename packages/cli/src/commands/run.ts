/** `millrace run FILE`: runs a flow to its end, or until it is told to stop, and shows how it goes. */
import path from 'node:path'
import { Command, Option } from 'commander'
import type { Duration, Run, RunOptions, RunReport } from 'millrace'
import { nodePorts } from 'millrace/host'
import { Observer } from 'millrace/observe'
import { lastCommit } from '../control/control-file.ts'
import { ControlServer } from '../control/control-server.ts'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { type LoadedFlow, loadFlow } from '../load-flow.ts'
import { METRICS_PORT, startMetricsServer } from '../metrics-server.ts'
import {
  colorMode,
  duration,
  fromPosition,
  names,
  type Positions,
  untilPosition,
  wholeNumber,
} from '../parse-options.ts'
import { reportError } from '../report-error.ts'
import { onSignals } from '../signals.ts'
import { Progress } from '../terminal/progress.ts'
import type { ColorMode } from '../terminal/style.ts'
import { version } from '../version.ts'

interface Options {
  readonly flow?: string
  readonly state?: string
  readonly log?: string
  readonly workers: number
  readonly commitEvery?: Duration
  readonly guarantee?: 'exactly-once' | 'at-least-once'
  readonly from?: Positions
  readonly until?: number | Positions
  readonly savepoint?: string
  readonly allowDropped?: readonly string[]
  readonly metricsPort?: number
  readonly metrics: boolean
  readonly progress: boolean
  readonly json: boolean
  readonly color: ColorMode
}

export function runCommand(io: Io, exit: Exit): Command {
  return new Command('run')
    .description('run a flow; it continues where its last commit left off')
    .argument('<file>', 'module that exports the flow: export default flow')
    .option('--flow <name>', 'which flow, when the file exports several')
    .option('--state <dir>', 'folder of its state (default: .millrace/<flow>)')
    .option('--log <dir>', 'folder of the embedded log, where steps name none (default: .millrace/log)')
    .option('--workers <n>', 'worker threads', wholeNumber(1, 64), 1)
    .option('--commit-every <duration>', 'how often results become visible (default: 100ms)', duration)
    .addOption(
      new Option('--guarantee <which>', 'exactly-once refuses to start where it cannot hold').choices([
        'exactly-once',
        'at-least-once',
      ]),
    )
    .option(
      '--from <position>',
      'SOURCE=POSITION, SOURCE/PARTITION=POSITION or earliest; only without state',
      fromPosition,
    )
    .option(
      '--until <time>',
      'ends at an event time (2026-01-31T12:00:00Z or ms), or at SOURCE=POSITION',
      untilPosition,
    )
    .option('--savepoint <name>', 'goes back to a savepoint: state, positions and sinks as they were then')
    .option('--allow-dropped <steps>', 'steps whose stored state may be thrown away, by comma', names)
    .option(
      '--metrics-port <n>',
      `port of /metrics on 127.0.0.1; 0 takes a free one (default: ${METRICS_PORT} or the next free)`,
      wholeNumber(0, 65_535),
    )
    .option('--no-metrics', 'no /metrics')
    .option('--no-progress', 'only warnings, errors and the report')
    .option('--json', 'events of millrace/observe on stdout, one per line, instead of progress', false)
    .option('--color <mode>', 'auto, always or never', colorMode, 'auto')
    .addHelpText(
      'after',
      '\nCtrl-C (or SIGTERM) reads no more, commits what was read and ends; a second Ctrl-C ends at once.',
    )
    .action(async (file: string, options: Options) => {
      exit(await run(file, options, io))
    })
}

async function run(file: string, options: Options, io: Io): Promise<number> {
  const loaded = await loadFlow(file, options.flow, io.cwd)
  const folder = path.resolve(io.cwd, options.state ?? path.join('.millrace', loaded.flow.name))
  const observer = new Observer({ ...nodePorts(), hz: 2, server: `millrace ${version}`, pid: process.pid })
  const progress = new Progress(io, {
    color: options.color,
    isJson: options.json,
    isQuiet: !options.progress,
    hint: 'Ctrl-C commits and stops; start again to continue',
  })
  const hasState = lastCommit(folder) !== undefined
  const started = performance.now()
  const handle = await loaded.flow.start(runOptions(options, loaded, folder, observer, io))
  progress.start(observer)
  observer.attach(handle.job)
  let signalled: 'SIGINT' | 'SIGTERM' | undefined
  const forgetSignals = onSignals((signal) => {
    signalled = signal
    progress.hint = 'committing what was read; Ctrl-C again ends at once'
    if (!progress.isLive) progress.say(`${signal}: committing what was read, then ending`)
    handle.stop().catch(() => {})
  })
  let servers: Servers | undefined
  try {
    servers = await openServers(handle, observer, folder, loaded.flow.name, options)
    if (options.progress) for (const note of servers.notes) progress.say(note)
    // Silence would look as if it had worked.
    if (options.from !== undefined && hasState) {
      const { name } = loaded.flow
      progress.say(`--from has no effect: ${name} has committed and continues from there. Another --state starts anew.`)
    }
    const report = await handle.done
    progress.end(report)
    if (hasState && readNothing(loaded, report)) {
      const shown = path.relative(io.cwd, folder) || '.'
      progress.say(
        `nothing new: every source had been read to its end. To begin anew, remove ${shown} and the results.`,
      )
    }
    return signalled === undefined ? EXIT.ok : exitOf(signalled)
  } catch (error) {
    // The run goes on by itself when it was not the run that failed.
    await handle.stop().catch(() => {})
    const { commits, restarts } = handle.job
    progress.end({ outcome: 'failed', elapsedMs: performance.now() - started, epochs: commits, lastEpoch: 0, restarts })
    return reportError(error, io, options.color)
  } finally {
    forgetSignals()
    observer.close()
    await servers?.close()
  }
}

function runOptions(options: Options, loaded: LoadedFlow, folder: string, observer: Observer, io: Io): RunOptions {
  const { guarantee } = options
  return {
    state: folder,
    log: path.resolve(io.cwd, options.log ?? path.join('.millrace', 'log')),
    workers: options.workers,
    module: loaded.flow.module ?? loaded.module,
    onEvent: observer.onEvent,
    ...(guarantee === undefined ? {} : { guarantee }),
    ...(options.commitEvery === undefined ? {} : { commitEvery: options.commitEvery }),
    ...(options.from === undefined ? {} : { from: options.from }),
    ...(options.until === undefined ? {} : { until: options.until }),
    ...(options.savepoint === undefined ? {} : { savepoint: options.savepoint }),
    ...(options.allowDropped === undefined ? {} : { allowDropped: options.allowDropped }),
  }
}

interface Servers {
  /** Where they listen, for people. */
  readonly notes: readonly string[]
  close(): Promise<void>
}

async function openServers(
  handle: Run,
  observer: Observer,
  folder: string,
  flow: string,
  options: Options,
): Promise<Servers> {
  const metrics = options.metrics
    ? await startMetricsServer(observer, version, options.metricsPort ?? METRICS_PORT)
    : undefined
  const stop = (savepoint: string | undefined): Promise<RunReport> =>
    handle.stop(savepoint === undefined ? {} : { savepoint })
  const handlers = { snapshot: () => observer.snapshot(), stop }
  const control = await ControlServer.start({ folder, flow, http: metrics?.url ?? null, handlers })
  const notes = metrics === undefined ? [] : [`metrics on ${metrics.url}/metrics${metrics.note}`]
  return {
    notes,
    close: async () => {
      await Promise.all([metrics?.close(), control.close()])
    },
  }
}

/** A run to the end in which no source gave a record. */
function readNothing({ flow }: LoadedFlow, report: RunReport): boolean {
  const sources = flow.graph.nodes.filter((node) => node.spec.type === 'source')
  return report.outcome === 'finished' && sources.every((node) => report.steps[node.name].recordsIn === 0)
}

function exitOf(signal: 'SIGINT' | 'SIGTERM'): number {
  return signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
}
