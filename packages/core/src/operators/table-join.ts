/**
 * Stream-table join: each row of a keyed stream with the table's value for its key. By default the value as of the row's
 * event time, which is an as-of join without a tolerance; with `now`, the newest value that has arrived.
 */
import type { Batch } from '../batch/batch.ts'
import { originalKey } from '../batch/key.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { AsOfOperator } from './as-of-operator.ts'
import type { RightSide } from './as-of-right.ts'
import { keysOf, weightAt } from './join-input.ts'
import { checkJoinType } from './join-types.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { type IsDeleted, isDeletion } from './table.ts'

export interface JoinTableOptions extends StepOptions {
  readonly name: string
  readonly stream: Edge
  /** Values by key, keyed alike: a stream of them, or what `toTable` gives. Retractions delete. */
  readonly table: Edge
  /** 'inner' (default): rows whose key has no value go to the `unmatched` output. 'left': they come with `undefined`. */
  readonly type?: 'inner' | 'left'
  /** True for a row of the table that says its key is gone. */
  readonly isDeleted?: IsDeleted
  /** Look up at once what the table holds at the moment: quicker, and dependent on arrival ('timed'). */
  readonly now?: boolean
  /** Values kept per key while the stream lags behind the table. */
  readonly maxVersionsPerKey?: number
}

/** As many changes of one key may lie between the table's newest row and the slowest row of the stream. */
const versionsPerKeyMax = 10_000

/**
 * Output: `{ key, left, right }`, keyed, at the stream row's time. Rows are decided when the table's watermark has passed
 * them (unless `now`), and see every change of the table up to their own time, changes at the same time included.
 * Late rows go to the side output `late`, misses of an inner join to `unmatched`.
 * @throws UsageError `JOIN_TYPE`
 */
export function joinTable(graph: Graph, options: JoinTableOptions): GraphNode {
  const { name, isDeleted, now = false } = options
  const required = checkJoinType(name, options.type) === 'inner'
  const deletes = (_row: unknown, batch: Batch, i: number, ctx: OperatorContext): boolean | undefined =>
    isDeletion(ctx, batch, i, isDeleted)
  const side: RightSide = {
    name: 'table',
    withinMs: Number.POSITIVE_INFINITY,
    required,
    fill: { type: 'none' },
    maxPerKey: options.maxVersionsPerKey ?? versionsPerKeyMax,
  }
  return graph.add({
    kind: 'joinTable',
    name,
    inputs: [options.stream, options.table],
    determinism: now ? 'timed' : 'deterministic',
    spec: {
      type: 'operator',
      create: (ctx) =>
        now
          ? new LookupNow(ctx, required, isDeleted)
          : new AsOfOperator(ctx, {
              sides: [side],
              waitMs: null,
              record: false,
              isDeleted: deletes,
              build: (key, left, [right]) => ({ key: originalKey(key), left, right }),
            }),
      outputs: ['unmatched', 'late'],
      keepsKeys: true,
      changes: 'keeps',
      describe: { type: required ? 'inner' : 'left', now },
    },
    ...nodeOptions(options),
  })
}

interface Current {
  readonly time: number
  /** Absent after a deletion: an older value that arrives later must not come back. */
  readonly row: unknown
  readonly isDeleted: boolean
}

/** Processing-order lookups: the value with the latest event time among those that have arrived. */
class LookupNow implements Operator {
  readonly #ctx: OperatorContext
  readonly #required: boolean
  readonly #isDeleted: IsDeleted | undefined
  readonly #current: Table<Current>

  constructor(ctx: OperatorContext, required: boolean, isDeleted: IsDeleted | undefined) {
    this.#ctx = ctx
    this.#required = required
    this.#isDeleted = isDeleted
    this.#current = ctx.state.table('current')
  }

  process(batch: Batch, input: number): void {
    if (input === 0) this.#lookUp(batch)
    else this.#update(batch)
  }

  #lookUp(batch: Batch): void {
    const ctx = this.#ctx
    const keys = keysOf(batch, ctx)
    for (let i = 0; i < batch.length; i++) {
      const found = this.#current.get(keys[i])
      const left = batch.keep(i)
      const isMissing = found === undefined || found.isDeleted
      if (isMissing && this.#required) {
        ctx.metrics.dropped(1, 'unmatched')
        ctx.side('unmatched').emit(left, batch.times[i], keys[i], weightAt(batch, i))
        continue
      }
      const row = { key: originalKey(keys[i]), left, right: isMissing ? undefined : found.row }
      ctx.out.emit(row, batch.times[i], keys[i], weightAt(batch, i))
    }
  }

  #update(batch: Batch): void {
    const keys = keysOf(batch, this.#ctx)
    for (let i = 0; i < batch.length; i++) {
      const isDeleted = isDeletion(this.#ctx, batch, i, this.#isDeleted)
      if (isDeleted === undefined) continue
      this.#ctx.metrics.merged(1)
      const found = this.#current.get(keys[i])
      if (found !== undefined && found.time > batch.times[i]) continue
      this.#current.set(keys[i], { time: batch.times[i], row: isDeleted ? null : batch.keep(i), isDeleted })
    }
  }
}
