/**
 * throttle: lets at most n records per key through in any span of the given length, and drops the rest.
 *
 * A record passes unless some half-open span of that length would then hold more than n that passed; what arrives first
 * passes first. In event time the outcome depends on the records alone.
 */
import type { Batch } from '../batch/batch.ts'
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { type Duration, formatMs, positiveDurationMs } from '../time/duration.ts'
import { WHOLE_STREAM } from './instance-key.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'

export interface ThrottleOptions extends StepOptions {
  /** Most records in any span of `per`: 1 to 10 000. */
  readonly limit: number
  readonly per: Duration
  /** 'event' (default): by the records' times. 'processing': by the clock; the step is then 'timed'. */
  readonly time?: 'event' | 'processing'
}

export interface ThrottleSpec extends ThrottleOptions {
  readonly name: string
  readonly input: Edge
}

/**
 * Adds a step that drops records above a rate, per key or of a whole un-keyed stream, and counts them `throttled`.
 * State: up to `limit` times per key.
 * @throws UsageError `THROTTLE` when the limit is out of its range
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createThrottle({ limit: 2, per: '1s' }))
 * host.send([[100, 'a'], [200, 'b'], [900, 'c'], [1_100, 'd'], [1_150, 'e']])
 * host.take().map(out => out.row) // => ['a', 'b', 'd']
 */
export function throttle(graph: Graph, spec: ThrottleSpec): GraphNode {
  const isKeyed = spec.input.partitioning === 'key'
  const perMs = checkedOptions(spec, spec.name)
  return graph.add({
    kind: 'throttle',
    name: spec.name,
    inputs: [isKeyed ? spec.input : { ...spec.input, partitioning: 'single' }],
    spec: {
      type: 'operator',
      create: createThrottle(spec, { isKeyed }),
      keepsKeys: isKeyed,
      changes: 'keeps',
      describe: { limit: spec.limit, per: formatMs(perMs), time: spec.time ?? 'event' },
    },
    determinism: spec.time === 'processing' ? 'timed' : 'deterministic',
    ...nodeOptions(spec),
  })
}

/** The operator alone. */
export function createThrottle(
  options: ThrottleOptions,
  stream: { readonly isKeyed: boolean } = { isKeyed: true },
): (ctx: OperatorContext) => Operator {
  return (ctx) => {
    const perMs = checkedOptions(options, ctx.step)
    return new ThrottleOperator(ctx, options.limit, perMs, options.time === 'processing', stream.isKeyed)
  }
}

class ThrottleOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #limit: number
  readonly #perMs: number
  readonly #isTimed: boolean
  readonly #isKeyed: boolean
  /** Times of the records that passed and still count, rising. */
  readonly #passed: Table<number[]>

  constructor(ctx: OperatorContext, limit: number, perMs: number, isTimed: boolean, isKeyed: boolean) {
    this.#ctx = ctx
    this.#limit = limit
    this.#perMs = perMs
    this.#isTimed = isTimed
    this.#isKeyed = isKeyed
    this.#passed = ctx.state.table('passed', { ttlMs: perMs })
  }

  process(batch: Batch): void {
    const { length, times } = batch
    const keys = this.#isKeyed ? batch.keys : undefined
    const now = this.#isTimed ? this.#ctx.now() : 0
    const picked = new Int32Array(length)
    let count = 0
    for (let i = 0; i < length; i++) {
      const key = keys?.[i] ?? WHOLE_STREAM
      const time = this.#isTimed ? now : times[i]
      const passed = this.#passed.get(key) ?? []
      if (!this.#pass(passed, time)) continue
      this.#passed.set(key, passed, undefined, passed[passed.length - 1])
      picked[count++] = i
    }
    if (count === length) this.#ctx.out.emitBatch(batch)
    else if (count > 0) this.#ctx.out.emitBatch(batch.select(picked, count))
    if (count < length) this.#ctx.metrics.dropped(length - count, 'throttled')
    if (this.#isTimed) this.#passed.expire(now)
  }

  watermark(time: number): void {
    if (!this.#isTimed && time !== Number.POSITIVE_INFINITY) this.#passed.expire(time)
  }

  /** Puts `time` among the times, and takes those out that no longer count; false, and nothing, when it must not pass. */
  #pass(passed: number[], time: number): boolean {
    const limit = this.#limit
    let at = passed.length
    while (at > 0 && passed[at - 1] > time) at--
    // With it, no limit + 1 neighbours may lie within `per`: the runs of them that it is part of begin from `first` on.
    for (let first = Math.max(0, at - limit); first <= at && first + limit <= passed.length; first++) {
      const start = first === at ? time : passed[first]
      const last = first + limit
      const end = last === at ? time : passed[last - 1]
      if (end - start < this.#perMs) return false
    }
    const horizon = (this.#isTimed ? time : this.#ctx.currentWatermark()) - this.#perMs
    let gone = 0
    while (gone < at && passed[gone] <= horizon) gone++
    if (at === passed.length) passed.push(time)
    else passed.splice(at, 0, time)
    if (gone > 0) passed.splice(0, gone)
    return true
  }
}

function checkedOptions({ limit, per }: ThrottleOptions, step: string): number {
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= 10_000)) {
    throw new UsageError('THROTTLE', `limit is ${String(limit)}; it must be an integer from 1 to 10 000.`, { step })
  }
  return positiveDurationMs(per, `per of step "${step}"`)
}
