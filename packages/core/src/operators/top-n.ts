/**
 * topN: keeps the n first records of each key by some measure, and emits how the ranking changes.
 *
 * A change is one or more updates of one time: the row that held a rank is retracted (weight -1), the one that holds it
 * now is inserted (weight +1), from the best changed rank down. Whoever adds up the weights has the ranking.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { OperationalError, UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { WHOLE_STREAM } from './instance-key.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { reportFailure, wrongReturn } from './user-function.ts'

/** A place in the ranking; rank 1 is the first. */
export interface Ranked<T> {
  readonly rank: number
  readonly row: T
}

export interface TopNOptions<T> extends StepOptions {
  /** How many to keep: 1 to 10 000. */
  readonly n: number
  /** The measure. Among equals the one that came first ranks first. */
  readonly by: (row: T) => number | bigint | string
  /** 'desc' (default): the largest first. */
  readonly order?: 'desc' | 'asc'
}

export interface TopNSpec<T> extends TopNOptions<T> {
  readonly name: string
  readonly input: Edge
}

/**
 * Adds a ranking per key, or of the whole of an un-keyed stream (one instance). Rows are `{ rank, row }`.
 * State: n rows per key. Cost: O(log n) for a record that does not rank, O(n) updates for one that comes first.
 * @throws UsageError `TOP_N` when n is out of its range
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createTopN<number>({ n: 2, by: row => row }))
 * host.send([[1_000, 5, 'a'], [2_000, 7, 'a']])
 * host.take().map(({ row, weight }) => [weight, row])
 * // => [[1, { rank: 1, row: 5 }], [-1, { rank: 1, row: 5 }], [1, { rank: 1, row: 7 }], [1, { rank: 2, row: 5 }]]
 */
export function topN<T>(graph: Graph, spec: TopNSpec<T>): GraphNode {
  const isKeyed = spec.input.partitioning === 'key'
  return graph.add({
    kind: 'topN',
    name: spec.name,
    inputs: [isKeyed ? spec.input : { ...spec.input, partitioning: 'single' }],
    spec: {
      type: 'operator',
      create: createTopN({ ...spec, n: checkedN(spec.n, spec.name) }, { isKeyed }),
      keepsKeys: isKeyed,
      changes: 'makes',
      describe: { n: spec.n, order: spec.order ?? 'desc' },
    },
    ...nodeOptions(spec),
  })
}

/** The operator alone. */
export function createTopN<T>(
  options: Omit<TopNOptions<T>, keyof StepOptions>,
  stream: { readonly isKeyed: boolean } = { isKeyed: true },
): (ctx: OperatorContext) => Operator {
  return (ctx) => new TopNOperator(ctx, options as TopNOptions<unknown>, stream.isKeyed)
}

type Measure = number | bigint | string

interface Place {
  readonly by: Measure
  readonly row: unknown
}

class TopNOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #n: number
  readonly #by: (row: unknown) => unknown
  readonly #isAscending: boolean
  readonly #isKeyed: boolean
  /** The ranking of each key, the first in front. */
  readonly #rankings: Table<readonly Place[]>

  constructor(ctx: OperatorContext, options: TopNOptions<unknown>, isKeyed: boolean) {
    this.#ctx = ctx
    this.#isKeyed = isKeyed
    this.#n = options.n
    this.#by = options.by
    this.#isAscending = options.order === 'asc'
    this.#rankings = ctx.state.table('rankings')
  }

  process(batch: Batch): void {
    const { length, times } = batch
    const keys = this.#isKeyed ? batch.keys : undefined
    let handled = 0
    for (let i = 0; i < length; i++) {
      try {
        if (batch.weights?.[i] === -1) throw retracted(this.#ctx.step)
        const by = this.#measure(this.#by(batch.row(i)))
        this.#add(batch, i, by, times[i], keys?.[i])
        handled++
      } catch (error) {
        reportFailure(this.#ctx, error, batch, i)
      }
    }
    this.#ctx.metrics.merged(handled)
  }

  #measure(by: unknown): Measure {
    if ((typeof by === 'number' && !Number.isNaN(by)) || typeof by === 'bigint' || typeof by === 'string') return by
    throw wrongReturn(
      by,
      this.#ctx.step,
      'the function `by`',
      'it must return a number that is not NaN, a bigint or a string',
    )
  }

  #add(batch: Batch, i: number, by: Measure, time: number, key: CanonicalKey | undefined): void {
    const address = key ?? WHOLE_STREAM
    const before = this.#rankings.get(address) ?? []
    const at = this.#placeOf(before, by)
    if (at >= this.#n) return
    const after = [...before.slice(0, at), { by, row: batch.keep(i) }, ...before.slice(at, this.#n - 1)]
    this.#rankings.set(address, after)
    for (let p = at; p < after.length; p++) {
      const rank = p + 1
      if (p < before.length) this.#ctx.out.emit({ rank, row: before[p].row }, time, key, -1)
      this.#ctx.out.emit({ rank, row: after[p].row }, time, key)
    }
  }

  /** Where a record with this measure goes: behind everything that is better or equal. */
  #placeOf(ranking: readonly Place[], by: Measure): number {
    let low = 0
    let high = ranking.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = ranking[middle].by
      if (this.#isAscending ? by < other : by > other) high = middle
      else low = middle + 1
    }
    return low
  }
}

function checkedN(n: number, step: string): number {
  if (Number.isInteger(n) && n >= 1 && n <= 10_000) return n
  throw new UsageError('TOP_N', `n is ${String(n)}; it must be an integer from 1 to 10 000.`, { step })
}

function retracted(step: string): OperationalError {
  return new OperationalError(
    'RETRACTION',
    'a record that takes an earlier one back reached topN, which keeps only the first rows and cannot tell who would move up. Aggregate or rank before the step that retracts.',
    { step },
  )
}
