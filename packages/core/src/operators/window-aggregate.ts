/**
 * The window step: from a description to a node, and from a node to the operator of its kind of window.
 *
 * All kinds share one core: rows go into slices (of time, of row numbers, of merging gaps), a slice is a set of
 * accumulators in tables, and a window merges its slices when it fires.
 */
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import { durationMs, positiveDurationMs } from '../time/duration.ts'
import { applyRows } from '../window/aggregates-rows.ts'
import { type Grid, gridOf } from '../window/grid.ts'
import { type AnyAggregates, checkAggregates, planAggregates } from '../window/plan.ts'
import type { WindowOptions, WindowSpec } from '../window/types.ts'
import { PartialAggregate } from './aggregate-partial.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { CountWindows } from './window-count.ts'
import { GlobalWindows } from './window-global.ts'
import { GridWindows } from './window-grid.ts'
import { SessionWindows } from './window-session.ts'
import { SlidingWindows } from './window-sliding.ts'
import { SlidingNumbers } from './window-sliding-numbers.ts'
import { type WindowSettings, WindowStep } from './window-step.ts'

export interface WindowStepOptions extends StepOptions, Omit<WindowOptions, 'lateTo'> {
  /** Partitioned by key for keyed streams, to a single instance for whole streams. */
  readonly input: Edge
  readonly name: string
  readonly window: WindowSpec
}

export interface WindowAggregateOptions extends WindowStepOptions {
  readonly aggregates: AnyAggregates
  /** False: interpret the inner loop instead of generating it. */
  readonly generate?: boolean
}

export interface WindowApplyOptions extends WindowStepOptions {
  readonly apply: (rows: readonly never[]) => unknown
}

/**
 * A step that aggregates windows. Rows `{ key, window, pane?, ...aggregates }` on `out`, without `key` when the input
 * goes to a single instance; records too late for every window on `late`.
 * @throws UsageError `AGGREGATE_NAME`, `AGGREGATE_SHAPE`, `AGGREGATE_MERGE`, `WINDOW_OPTION`, `WINDOW_TIMEZONE`, `DURATION`
 */
export function windowAggregate(graph: Graph, options: WindowAggregateOptions): GraphNode {
  const { input, name, window, aggregates } = options
  checkAggregates(name, aggregates)
  checkOptions(options)
  const isKeyed = input.partitioning !== 'single'
  const latenessMs = options.lateness === undefined ? 0 : durationMs(options.lateness, 'lateness')
  const earlyMs = options.early === undefined ? 0 : positiveDurationMs(options.early, 'early')
  const grid = window.type === 'time' ? gridOf(window, options) : undefined
  const plan = () =>
    planAggregates(aggregates, {
      step: name,
      isKeyed,
      hasPanes: latenessMs > 0 || earlyMs > 0,
      ...(options.generate === undefined ? {} : { generate: options.generate }),
    })
  const { isNumeric, isMergeable } = plan()
  if (!isMergeable && isPutTogether(window)) throw mergeError(name, aggregates)
  const combines = isNumeric && grid !== undefined
  const create = (ctx: OperatorContext): Operator =>
    createWindows(ctx, window, grid, combines, { plan: plan(), isKeyed, latenessMs, earlyMs })
  return graph.add({
    kind: 'window',
    name,
    inputs: [input],
    determinism: dependsOnArrival(window) || earlyMs > 0 ? 'timed' : 'deterministic',
    ...((window.type === 'time' || window.type === 'count') && window.buffer !== undefined
      ? { buffer: window.buffer }
      : {}),
    ...nodeOptions(options),
    spec: {
      type: 'operator',
      create,
      outputs: ['late'],
      keepsKeys: isKeyed,
      describe: describeStep(options),
      ...(combines ? { preAggregate: (ctx: OperatorContext) => new PartialAggregate(ctx, plan(), grid, isKeyed) } : {}),
    },
  })
}

/** Like `windowAggregate`, for a plain function of the window's rows: rows `{ key, window, pane?, value }`. */
export function windowApply(graph: Graph, options: WindowApplyOptions): GraphNode {
  const { apply, ...rest } = options
  if (typeof apply !== 'function') {
    throw new UsageError(
      'AGGREGATE_SHAPE',
      `a window takes aggregates or a function of its rows; got ${typeof apply}.`,
      {
        step: options.name,
      },
    )
  }
  return windowAggregate(graph, { ...rest, aggregates: { value: applyRows(apply) } })
}

function createWindows(
  ctx: OperatorContext,
  window: WindowSpec,
  grid: Grid | undefined,
  takesPartials: boolean,
  settings: WindowSettings,
): Operator {
  const step = new WindowStep(ctx, settings)
  switch (window.type) {
    case 'time':
      return new GridWindows(step, grid as Grid, takesPartials)
    case 'sliding':
      return settings.plan.isNumeric && settings.latenessMs === 0
        ? new SlidingNumbers(step, window)
        : new SlidingWindows(step, window)
    case 'session':
      return new SessionWindows(step, window)
    case 'count':
      return new CountWindows(step, window)
    case 'global':
      return new GlobalWindows(step, window)
  }
}

/** Are the windows made of several slices? */
function isPutTogether(window: WindowSpec): boolean {
  if (window.type === 'time') return window.slideMs !== window.sizeMs
  if (window.type === 'count') return window.slide !== window.size
  return window.type === 'session'
}

/** Does it depend on the clock, or on how the rows of several partitions interleave, where windows begin and end? */
function dependsOnArrival(window: WindowSpec): boolean {
  if (window.type === 'count') return window.order === 'arrival'
  return window.type === 'global' && window.trigger.type !== 'end'
}

const takes: Readonly<Record<WindowSpec['type'], readonly (keyof WindowOptions)[]>> = {
  time: ['lateness', 'early', 'offset', 'timeZone'],
  session: ['lateness', 'early'],
  sliding: ['lateness'],
  count: [],
  global: [],
}

function checkOptions(options: WindowStepOptions): void {
  const { type } = options.window
  for (const option of ['lateness', 'early', 'offset', 'timeZone'] as const) {
    if (options[option] === undefined || takes[type].includes(option)) continue
    throw new UsageError(
      'WINDOW_OPTION',
      `a ${type} window takes no option "${option}"${takes[type].length === 0 ? '' : `; it takes ${takes[type].join(', ')}`}. Leave it out.`,
      { step: options.name, data: { option, window: type } },
    )
  }
}

function mergeError(step: string, aggregates: AnyAggregates): UsageError {
  const missing = Object.keys(aggregates).filter((name) => {
    const { part } = aggregates[name]
    return part.type === 'object' && part.merge === undefined
  })
  return new UsageError(
    'AGGREGATE_MERGE',
    `windows of this kind are put together from parts, but ${missing.map((name) => `"${name}"`).join(', ')} has no merge. Give aggregate({ ... }) a merge(into, from), or use tumbling windows.`,
    { step, data: { aggregates: missing } },
  )
}

function describeStep(options: WindowAggregateOptions): Readonly<Record<string, unknown>> {
  const { window, lateness, early, offset, timeZone } = options
  const kinds = Object.entries(options.aggregates).map(([name, aggregate]) => [name, aggregate.kind])
  const shown: Record<string, unknown> = { ...window }
  delete shown.buffer
  if (window.type === 'global' && window.trigger.type === 'when') shown.trigger = { type: 'when' }
  const described: Record<string, unknown> = { window: shown, aggregates: Object.fromEntries(kinds) }
  for (const [name, value] of Object.entries({ lateness, early, offset, timeZone })) {
    if (value !== undefined) described[name] = value
  }
  return described
}
