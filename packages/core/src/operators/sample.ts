/**
 * sample: lets some records through. Every nth of a key; a fraction, chosen by a hash; or the latest of each interval.
 * What is left out is counted `sampled`.
 */
import type { Batch } from '../batch/batch.ts'
import { hashKey, type Key } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { type Duration, positiveDurationMs } from '../time/duration.ts'
import { WHOLE_STREAM } from './instance-key.ts'
import { SampleLatestOperator } from './sample-latest.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { keyFrom, reportFailure } from './user-function.ts'

export type SampleRule<T> =
  /** The nth, 2nth, ... record of each key, in order of arrival. 1 to 1 000 000. */
  | { readonly every: number }
  /**
   * About this share, 0 to 1, chosen by a hash of the seed and the record's position, time and key, or of what `by`
   * returns: records that agree in it stay together. The choice does not depend on arrival or on the number of workers.
   */
  | { readonly fraction: number; readonly seed?: number; readonly by?: (row: T) => Key }
  /** The latest record of each key in each interval aligned to the epoch, when the watermark passes the interval's end. */
  | { readonly latestPer: Duration }

export type SampleOptions<T> = SampleRule<T> & StepOptions

export type SampleSpec<T> = SampleOptions<T> & { readonly name: string; readonly input: Edge }

/**
 * Adds a sampling step, per key or of a whole un-keyed stream.
 * @throws UsageError `SAMPLE` when a number is out of its range or the rule is none or several
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createSample({ every: 3 }))
 * host.send([[1_000, 'a'], [2_000, 'b'], [3_000, 'c'], [4_000, 'd'], [5_000, 'e'], [6_000, 'f']])
 * host.take().map(out => out.row) // => ['c', 'f']
 */
export function sample<T>(graph: Graph, spec: SampleSpec<T>): GraphNode {
  const isKeyed = spec.input.partitioning === 'key'
  const rule = checkedRule(spec, spec.name)
  const partitioning = isKeyed ? 'key' : rule.type === 'fraction' ? spec.input.partitioning : 'single'
  return graph.add({
    kind: 'sample',
    name: spec.name,
    inputs: [{ ...spec.input, partitioning }],
    spec: {
      type: 'operator',
      create: createSample(spec, { isKeyed }),
      outputs: rule.type === 'latestPer' ? ['late'] : [],
      keepsKeys: isKeyed || rule.type === 'fraction',
      changes: 'keeps',
      describe: { [rule.type]: rule.value },
    },
    ...nodeOptions(spec),
  })
}

/** The operator alone. */
export function createSample<T>(
  options: SampleOptions<T>,
  stream: { readonly isKeyed: boolean } = { isKeyed: true },
): (ctx: OperatorContext) => Operator {
  return (ctx) => {
    const rule = checkedRule(options, ctx.step)
    if (rule.type === 'latestPer') return new SampleLatestOperator(ctx, rule.value, stream.isKeyed)
    return rule.type === 'every'
      ? new SampleEveryOperator(ctx, rule.value, stream.isKeyed)
      : fractionOperator(ctx, rule)
  }
}

class SampleEveryOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #every: number
  readonly #isKeyed: boolean
  /** Records of each key since the last one that passed. */
  readonly #counts: Table<number>

  constructor(ctx: OperatorContext, every: number, isKeyed: boolean) {
    this.#ctx = ctx
    this.#isKeyed = isKeyed
    this.#every = every
    this.#counts = ctx.state.table('counts')
  }

  process(batch: Batch): void {
    const keys = this.#isKeyed ? batch.keys : undefined
    emitPicked(this.#ctx, batch, (i) => {
      const key = keys?.[i] ?? WHOLE_STREAM
      const count = ((this.#counts.get(key) ?? 0) + 1) % this.#every
      this.#counts.set(key, count)
      return count === 0
    })
  }
}

function fractionOperator(ctx: OperatorContext, rule: Extract<CheckedRule, { type: 'fraction' }>): Operator {
  const { value, seed, by } = rule
  const below = value * 2 ** 32
  return {
    process(batch) {
      emitPicked(ctx, batch, (i) => {
        const { origin } = batch
        const identity =
          by !== undefined
            ? keyFrom(by(batch.row(i)), ctx.step, 'the function `by`')
            : `${batch.times[i]} ${String(batch.keys?.[i])} ${origin === undefined ? '' : `${origin.partition} ${origin.at(i)}`}`
        return hashKey(`${seed} ${typeof identity} ${String(identity)}`) < below
      })
    },
  }
}

function emitPicked(ctx: OperatorContext, batch: Batch, isPicked: (i: number) => boolean): void {
  const picked = new Int32Array(batch.length)
  let count = 0
  let failed = 0
  for (let i = 0; i < batch.length; i++) {
    try {
      if (isPicked(i)) picked[count++] = i
    } catch (error) {
      failed++
      reportFailure(ctx, error, batch, i)
    }
  }
  if (count === batch.length) ctx.out.emitBatch(batch)
  else if (count > 0) ctx.out.emitBatch(batch.select(picked, count))
  const left = batch.length - count - failed
  if (left > 0) ctx.metrics.dropped(left, 'sampled')
}

type CheckedRule =
  | { readonly type: 'every'; readonly value: number }
  | { readonly type: 'latestPer'; readonly value: number }
  | {
      readonly type: 'fraction'
      readonly value: number
      readonly seed: number
      readonly by: ((row: unknown) => unknown) | undefined
    }

function checkedRule<T>(options: SampleRule<T>, step: string): CheckedRule {
  const wrong = (message: string) => new UsageError('SAMPLE', message, { step })
  const given = (['every', 'fraction', 'latestPer'] as const).filter((name) => name in options)
  if (given.length !== 1) {
    throw wrong(
      `sample was given ${given.length === 0 ? 'no rule' : given.join(' and ')}; give one of every, fraction, latestPer.`,
    )
  }
  if ('latestPer' in options) {
    return { type: 'latestPer', value: positiveDurationMs(options.latestPer, `latestPer of step "${step}"`) }
  }
  if ('every' in options) {
    const { every } = options
    if (Number.isInteger(every) && every >= 1 && every <= 1_000_000) return { type: 'every', value: every }
    throw wrong(`every is ${String(every)}; it must be an integer from 1 to 1 000 000.`)
  }
  const { fraction, seed = 0, by } = options
  if (!(fraction >= 0 && fraction <= 1))
    throw wrong(`fraction is ${String(fraction)}; it must be a number from 0 to 1.`)
  return { type: 'fraction', value: fraction, seed, by: by as ((row: unknown) => unknown) | undefined }
}
