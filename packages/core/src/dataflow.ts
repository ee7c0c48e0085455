/**
 * A dataflow: sources, steps and sinks under one name. Building it describes; `plan` shows; `run` runs.
 */
import type { Source } from './connector.ts'
import { UsageError } from './errors.ts'
import { addDeadLetterSinks } from './graph/dead-letters.ts'
import { callerUrl, Graph, type OnError, type SourceSettings } from './graph/node.ts'
import { type Plan, plan } from './graph/plan.ts'
import { nodeOptions } from './operators/step-options.ts'
import type { RunReport } from './runtime/job-contract.ts'
import { announce } from './runtime/park.ts'
import { type Run, type RunOptions, startRun } from './runtime/run.ts'
import { Stream } from './stream.ts'
import { type Duration, durationMs } from './time/duration.ts'

/** Event time comes from each row, or records are stamped with the clock when they are read. */
export type SourceOptions<T> = EventTimeOptions<T> | ProcessingTimeOptions

interface CommonSourceOptions {
  /** What happens to records that cannot be decoded or have no usable time. Default: the flow fails. */
  readonly onError?: OnError
  /** Names this source had in earlier versions of the flow: its positions are found under them. */
  readonly renamedFrom?: string | readonly string[]
  /**
   * A partition that has nothing more to give for this long no longer holds the watermark back. Without it a quiet
   * partition holds back every window.
   */
  readonly idleAfter?: Duration
}

export interface EventTimeOptions<T> extends CommonSourceOptions {
  /** Event time of a row: ms since the epoch, fractions allowed. */
  readonly time: (row: T) => number
  /** How much later than a younger record an older one of the same partition may still come. More is late. */
  readonly disorder: Duration
  /** How far one partition's watermark may run ahead of the slowest before it waits. Default 5m; bounds join state. */
  readonly align?: Duration
  /** Event times further ahead of the clock than this are refused, since one would close every window. Default 1d. */
  readonly maxFuture?: Duration
}

export interface ProcessingTimeOptions extends CommonSourceOptions {
  readonly time: 'processing'
}

export class Dataflow {
  readonly name: string
  readonly graph: Graph
  /** The module that made it, when it was made at the module's top level: workers import it to run in threads. */
  readonly module: string | undefined

  constructor(name: string, module: string | undefined) {
    this.name = name
    this.graph = new Graph(name)
    this.module = module
    announce(this)
  }

  /**
   * Adds a source.
   * @throws UsageError `SOURCE_TIME` when `time` is missing, `DURATION` for malformed durations
   */
  source<T>(name: string, source: Source<T>, options: SourceOptions<T>): Stream<T> {
    const settings = sourceSettings(name, options as SourceOptions<unknown>)
    const node = this.graph.add({
      kind: 'source',
      name,
      inputs: [],
      spec: { type: 'source', source: source as Source<unknown>, options: settings },
      determinism: settings.time === 'processing' ? 'timed' : 'deterministic',
      ...nodeOptions({ ...options, onError: options.onError ?? source.onError ?? 'fail' }),
    })
    return new Stream<T>(this.graph, node)
  }

  /** Stages and channels for a number of workers. @throws UsageError `PLAN_*` */
  plan(workers = 1): Plan {
    addDeadLetterSinks(this.graph)
    return plan(this.graph, workers)
  }

  /**
   * Runs until every source has ended, or until the signal: then what was read is committed first.
   * State lies in `.millrace/<flow>`; a run continues where the last commit left off.
   * @throws UsageError before data flows; OperationalError or InvariantError when the run fails
   */
  async run(options: RunOptions = {}): Promise<RunReport> {
    const run = await this.start(options)
    return run.done
  }

  /** Starts a run and returns a handle to stop and observe it. */
  start(options: RunOptions = {}): Promise<Run> {
    return startRun(this, options)
  }
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/

/**
 * A new, empty dataflow. Its name identifies its state and metrics.
 * @throws UsageError `FLOW_NAME` unless it is 1 to 80 letters, digits, dots, dashes or underscores
 * @example dataflow('sensor-averages').name // => 'sensor-averages'
 */
export function dataflow(name: string): Dataflow {
  if (typeof name !== 'string' || !namePattern.test(name)) {
    throw new UsageError(
      'FLOW_NAME',
      `a dataflow cannot be called ${JSON.stringify(name)}: its name is the folder of its state. Use 1 to 80 letters, digits, dots, dashes or underscores, starting with a letter or digit.`,
    )
  }
  const caller = callerUrl()
  return new Dataflow(name, caller?.isTopLevel === true ? caller.url : undefined)
}

function sourceSettings(name: string, options: SourceOptions<unknown>): SourceSettings {
  const what = (option: string): string => `"${option}" of source "${name}"`
  const idleAfterMs = options?.idleAfter === undefined ? undefined : durationMs(options.idleAfter, what('idleAfter'))
  if (options?.time === 'processing') {
    return {
      time: 'processing',
      disorderMs: 0,
      idleAfterMs,
      alignMs: Number.POSITIVE_INFINITY,
      maxFutureMs: Number.POSITIVE_INFINITY,
    }
  }
  if (typeof options?.time !== 'function') {
    throw new UsageError(
      'SOURCE_TIME',
      `source "${name}" does not say where event time comes from. Give it { time: row => row.at, disorder: '2s' }, or { time: 'processing' } to stamp records with the clock.`,
      { step: name },
    )
  }
  return {
    time: options.time,
    disorderMs: durationMs(options.disorder, what('disorder')),
    idleAfterMs,
    alignMs: durationMs(options.align ?? '5m', what('align')),
    maxFutureMs: durationMs(options.maxFuture ?? '1d', what('maxFuture')),
  }
}

/** For tools that load modules: is this value a dataflow, also one made by another copy of this package? */
export function isDataflow(value: unknown): value is Dataflow {
  return typeof value === 'object' && value !== null && 'graph' in value && 'plan' in value && 'start' in value
}
