/**
 * process: the step for logic that no other step has, with state, timers and side outputs per key.
 *
 * Path of a record: `process` sets the scope (key, time), calls onRecord, clears the scope. A timer takes the same path
 * from `watermark` or `wake`. State handles and the context read the scope, so that they work during a call only.
 */

import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import { WHOLE_STREAM } from './instance-key.ts'
import { CallScope, callContext, notTimed } from './process-context.ts'
import type {
  ProcessHandlers,
  ProcessHandlers2,
  ProcessOptions,
  ProcessSetup,
  RecordContext,
  SideRows,
  Timer,
} from './process-types.ts'
import { StateHandles } from './state-handles.ts'
import { nodeOptions } from './step-options.ts'
import { TimerService } from './timers.ts'
import { isFatal, refusePromise, reportFailure } from './user-function.ts'

type AnyHandlers = ProcessHandlers<unknown, unknown, unknown> &
  Partial<Pick<ProcessHandlers2<unknown, unknown, unknown>, 'onRecord2'>>

export interface ProcessSpec<T, O, K, S extends SideRows> extends ProcessOptions<S> {
  readonly name: string
  /** With partitioning 'key', or of an un-keyed stream, which then goes to one instance whole. */
  readonly input: Edge
  /** Runs once per instance of the step; declares its state and returns the handlers. */
  readonly create: (setup: ProcessSetup) => ProcessHandlers<T, O, K, S>
}

/**
 * Adds a step that handles each record with user code.
 * @example
 * import { openOperator } from 'millrace/testing'
 * const operator = createProcess<number, number>(setup => {
 *   const total = setup.value('total', { default: 0 })
 *   return { onRecord: (n, ctx) => ctx.emit(total.update(sum => sum + n)) }
 * }, { isKeyed: true })
 * const host = openOperator(operator)
 * host.send([[1_000, 5, 'a'], [2_000, 7, 'b'], [3_000, 1, 'a']])
 * host.take().map(out => out.row) // => [5, 7, 6]
 */
export function process<T, O, K = unknown, S extends SideRows = SideRows>(
  graph: Graph,
  spec: ProcessSpec<T, O, K, S>,
): GraphNode {
  return addNode(graph, 'process', [spec.input], spec, spec.create as (setup: ProcessSetup) => AnyHandlers)
}

export interface Process2Spec<A, B, O, K, S extends SideRows> extends ProcessOptions<S> {
  readonly name: string
  /** Both with partitioning 'key', keyed alike. */
  readonly inputs: readonly [Edge, Edge]
  readonly create: (setup: ProcessSetup) => ProcessHandlers2<A, B, O, K, S>
}

/** Like `process`, over two keyed streams: onRecord gets the records of the first, onRecord2 those of the second. */
export function process2<A, B, O, K = unknown, S extends SideRows = SideRows>(
  graph: Graph,
  spec: Process2Spec<A, B, O, K, S>,
): GraphNode {
  return addNode(graph, 'process2', spec.inputs, spec, spec.create as (setup: ProcessSetup) => AnyHandlers)
}

function addNode<S extends SideRows>(
  graph: Graph,
  kind: string,
  inputs: readonly Edge[],
  spec: ProcessOptions<S> & { readonly name: string },
  create: (setup: ProcessSetup) => AnyHandlers,
): GraphNode {
  const isKeyed = inputs.every((input) => input.partitioning === 'key')
  if (inputs.length > 1 && !isKeyed) {
    throw new UsageError('PROCESS_KEYS', 'process over two streams needs both keyed: call keyBy on each of them.', {
      step: spec.name,
    })
  }
  const outputs = spec.outputs ?? []
  return graph.add({
    kind,
    name: spec.name,
    inputs: isKeyed ? inputs : inputs.map((input) => ({ ...input, partitioning: 'single' as const })),
    spec: {
      type: 'operator',
      create: createProcess(create, { isKeyed, outputs, timed: spec.timed ?? false, inputs: inputs.length }),
      outputs,
      keepsKeys: isKeyed,
    },
    determinism: spec.timed === true ? 'timed' : 'deterministic',
    ...nodeOptions(spec),
  })
}

export interface ProcessOperatorOptions {
  readonly isKeyed: boolean
  readonly outputs?: readonly string[]
  readonly timed?: boolean
  readonly inputs?: number
}

export function createProcess<T, O>(
  create: (setup: ProcessSetup) => ProcessHandlers<T, O>,
  options: ProcessOperatorOptions,
): (ctx: OperatorContext) => Operator {
  return (ctx) => new ProcessOperator(ctx, create as (setup: ProcessSetup) => AnyHandlers, options)
}

class ProcessOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #isKeyed: boolean
  readonly #scope: CallScope
  readonly #states: StateHandles
  readonly #timers: TimerService
  readonly #handlers: AnyHandlers
  readonly #call: RecordContext<unknown>
  /** The last watermark before the end: what has expired by then is gone for onEnd too. */
  #lastFinite: number

  constructor(ctx: OperatorContext, create: (setup: ProcessSetup) => AnyHandlers, options: ProcessOperatorOptions) {
    this.#ctx = ctx
    this.#isKeyed = options.isKeyed
    this.#lastFinite = ctx.currentWatermark()
    this.#scope = new CallScope(ctx.step, () => ctx.now())
    const states = new StateHandles(this.#scope, ctx.state)
    this.#states = states
    this.#timers = new TimerService(ctx)
    const setup = {
      step: ctx.step,
      value: (name: string, given = {}) => states.value(name, given),
      list: (name: string, given = {}) => states.list(name, given),
      map: (name: string, given = {}) => states.map(name, given),
    } as ProcessSetup
    this.#handlers = checkedHandlers(create(setup), ctx.step, options.inputs ?? 1)
    if (states.usesClock && options.timed !== true) throw notTimed('a state with ttl in processing time', ctx.step)
    this.#call = callContext(ctx, this.#scope, this.#timers, options)
  }

  process(batch: Batch, input: number): void {
    const { keys, times, weights, length } = batch
    let handled = 0
    for (let i = 0; i < length; i++) {
      const key = this.#isKeyed && keys !== undefined ? keys[i] : WHOLE_STREAM
      this.#scope.enter(key, times[i], times[i], (weights?.[i] ?? 1) as 1 | -1)
      try {
        const row = batch.keep(i)
        const returned: unknown =
          input === 0 ? this.#handlers.onRecord(row, this.#call) : this.#handlers.onRecord2?.(row, this.#call)
        refusePromise(returned, this.#ctx.step, input === 0 ? 'onRecord' : 'onRecord2')
        handled++
      } catch (error) {
        reportFailure(this.#ctx, error, batch, i)
      } finally {
        this.#scope.leave()
      }
      // A timer set for a time the watermark has passed does not wait for the next watermark.
      if (this.#timers.event.next() <= this.#ctx.currentWatermark()) this.#fireEvent(this.#ctx.currentWatermark())
    }
    this.#ctx.metrics.merged(handled)
  }

  watermark(time: number): void {
    this.#fireEvent(time)
    if (time === Number.POSITIVE_INFINITY) {
      this.#end()
      return
    }
    this.#lastFinite = time
    this.#states.expire(time, this.#ctx.now())
  }

  wake(now: number): void {
    const watermark = this.#ctx.currentWatermark()
    const emitTime = Number.isFinite(watermark) ? watermark : undefined
    this.#timers.wake(now, (key, time, tag) =>
      this.#onTimer({ time, tag, kind: 'processing' }, key, emitTime ?? time, emitTime),
    )
  }

  #fireEvent(watermark: number): void {
    this.#timers.watermark(watermark, (key, time, tag) => this.#onTimer({ time, tag, kind: 'event' }, key, time, time))
  }

  #onTimer(timer: Timer, key: CanonicalKey, time: number, emitTime: number | undefined): void {
    this.#run(timer, key, time, emitTime, 'onTimer', () => this.#handlers.onTimer?.(timer, this.#call))
  }

  #end(): void {
    if (this.#handlers.onEnd === undefined) return
    for (const key of this.#isKeyed ? this.#states.keys() : [WHOLE_STREAM]) {
      this.#run({ end: true }, key, this.#lastFinite, undefined, 'onEnd', () => this.#handlers.onEnd?.(this.#call))
    }
  }

  /** A call that no record caused; `cause` stands for the record where it fails. */
  #run(
    cause: unknown,
    key: CanonicalKey,
    time: number,
    emitTime: number | undefined,
    what: string,
    handler: () => unknown,
  ): void {
    this.#scope.enter(key, time, emitTime, 1)
    try {
      refusePromise(handler(), this.#ctx.step, what)
    } catch (error) {
      if (isFatal(error)) throw error
      this.#ctx.onError(error, cause, time, this.#isKeyed ? key : undefined, undefined)
      // The policy let it go and counted a record, which was handled before.
      this.#ctx.metrics.merged(-1)
    } finally {
      this.#scope.leave()
    }
  }
}

function checkedHandlers(handlers: AnyHandlers, step: string, inputs: number): AnyHandlers {
  const needed = inputs === 1 ? (['onRecord'] as const) : (['onRecord', 'onRecord2'] as const)
  for (const name of needed) {
    if (typeof handlers?.[name] === 'function') continue
    throw new UsageError(
      'PROCESS_HANDLERS',
      `create returned no ${name} function; it must return { ${needed.join(', ')}, onTimer?, onEnd? }, and not a promise of them.`,
      { step, data: { missing: name } },
    )
  }
  return handlers
}
