/**
 * dedupe: lets the first record with an id through and drops those that repeat it.
 *
 * A record is a duplicate when a record with its id (and key) was let through less than `within` before or after it, in
 * event time. Which one of them is the first is decided by arrival, in the order of each source partition.
 *
 * Invariants:
 *  D1  An id is kept until no record that is at most `within` behind the watermark can be its duplicate.
 *  D2  A record further behind than that cannot be judged: it is late, and goes to the output 'late'.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey, Key } from '../batch/key.ts'
import { type Edge, edge, type Graph, type GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { type Duration, formatMs, positiveDurationMs } from '../time/duration.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { keyFrom, reportFailure } from './user-function.ts'

export interface DedupeOptions<T> extends StepOptions {
  /** What makes two records the same. On a keyed stream, among records of one key. */
  readonly by: (row: T) => Key
  /** How far apart in event time two records may be and still be the same. Ids are kept for up to 2.25 times as long. */
  readonly within: Duration
}

export interface DedupeSpec<T> extends DedupeOptions<T> {
  readonly name: string
  readonly input: Edge
}

/**
 * Adds a step that drops repeated records and counts them `deduplicated`. An un-keyed stream is spread over the workers
 * by id and stays un-keyed.
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createDedupe<{ id: number }>({ by: row => row.id, within: '1m' }, { isKeyed: true }))
 * host.send([[1_000, { id: 1 }, 'a'], [2_000, { id: 1 }, 'a'], [3_000, { id: 1 }, 'b'], [61_000, { id: 1 }, 'a']])
 * host.take().map(out => out.time) // => [1_000, 3_000, 61_000]
 */
export function dedupe<T>(graph: Graph, spec: DedupeSpec<T>): GraphNode {
  const isKeyed = spec.input.partitioning === 'key'
  const by = (row: unknown): CanonicalKey => keyFrom(spec.by(row as T), spec.name, 'the function `by`')
  const input = isKeyed
    ? spec.input
    : edge(
        graph.add({
          kind: 'keyBy',
          inputs: [spec.input],
          spec: { type: 'inline', op: 'keyBy', fn: spec.by },
          ...(spec.onError === undefined ? {} : { onError: spec.onError }),
        }),
        'key',
      )
  return graph.add({
    kind: 'dedupe',
    name: spec.name,
    inputs: [input],
    spec: {
      type: 'operator',
      create: (ctx) => new DedupeOperator(ctx, isKeyed ? by : undefined, withinMs(spec, spec.name)),
      outputs: ['late'],
      keepsKeys: isKeyed,
      changes: 'keeps',
      describe: { within: formatMs(withinMs(spec, spec.name)) },
    },
    ...nodeOptions(spec),
  })
}

/** The operator alone; un-keyed, the records come keyed by their id. */
export function createDedupe<T>(
  options: DedupeOptions<T>,
  stream: { readonly isKeyed: boolean },
): (ctx: OperatorContext) => Operator {
  return (ctx) => {
    const by = (row: unknown): CanonicalKey => keyFrom(options.by(row as T), ctx.step, 'the function `by`')
    return new DedupeOperator(ctx, stream.isKeyed ? by : undefined, withinMs(options, ctx.step))
  }
}

class DedupeOperator implements Operator {
  readonly #ctx: OperatorContext
  /** Undefined: the record's key is its id. */
  readonly #by: ((row: unknown) => CanonicalKey) | undefined
  readonly #withinMs: number
  /** (key, id) -> event time of the record let through; several where they came in disorder, each `within` apart. */
  readonly #seen: Table<number | readonly number[]>

  constructor(ctx: OperatorContext, by: ((row: unknown) => CanonicalKey) | undefined, within: number) {
    this.#ctx = ctx
    this.#by = by
    this.#withinMs = within
    this.#seen = ctx.state.table('seen', { ttlMs: 2 * within })
  }

  process(batch: Batch): void {
    const { length, times } = batch
    const keys = batch.keys as ArrayLike<CanonicalKey>
    const oldest = this.#ctx.currentWatermark() - this.#withinMs
    const passed = new Int32Array(length)
    const late: number[] = []
    let count = 0
    let duplicates = 0
    for (let i = 0; i < length; i++) {
      try {
        const id = this.#by === undefined ? undefined : this.#by(batch.row(i))
        if (times[i] <= oldest) late.push(i)
        else if (this.#isFirst(keys[i], id, times[i])) passed[count++] = i
        else duplicates++
      } catch (error) {
        reportFailure(this.#ctx, error, batch, i)
      }
    }
    this.#emit(batch, passed, count)
    if (duplicates > 0) this.#ctx.metrics.deduplicated(duplicates)
    if (late.length > 0) {
      this.#ctx.metrics.late(late.length)
      this.#ctx.side('late').emitBatch(this.#keyed(batch.select(late, late.length)))
    }
  }

  watermark(time: number): void {
    if (time !== Number.POSITIVE_INFINITY) this.#seen.expire(time)
  }

  #isFirst(key: CanonicalKey, id: CanonicalKey | undefined, time: number): boolean {
    const seen = this.#seen.get(key, id)
    if (seen === undefined) {
      this.#seen.set(key, time, id, time)
      return true
    }
    if (typeof seen === 'number' && Math.abs(time - seen) < this.#withinMs) return false
    const times = typeof seen === 'number' ? [seen] : seen
    if (typeof seen !== 'number' && times.some((other) => Math.abs(time - other) < this.#withinMs)) return false
    // Of the older ones, those that no record can repeat any more are dropped with this write.
    const oldest = this.#ctx.currentWatermark() - 2 * this.#withinMs
    const kept = times.filter((other) => other > oldest)
    this.#seen.set(key, kept.length === 0 ? time : [...kept, time], id, time)
    return true
  }

  #emit(batch: Batch, passed: Int32Array, count: number): void {
    if (count === 0) return
    this.#ctx.out.emitBatch(this.#keyed(count === batch.length ? batch : batch.select(passed, count)))
  }

  /** The ids of an un-keyed stream were its keys on the way here only. */
  #keyed(batch: Batch): Batch {
    return this.#by === undefined ? batch.rekey(undefined) : batch
  }
}

function withinMs(options: { readonly within: Duration }, step: string): number {
  return positiveDurationMs(options.within, `within of step "${step}"`)
}
