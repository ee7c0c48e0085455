/**
 * Stream to table: the latest value per key by event time, and its changes.
 *
 * Invariants:
 *  T1  Changes are applied in event-time order, when the watermark has passed them; equal times in order of arrival.
 *  T2  The weighted sum of everything emitted is the table.
 */
import { type Batch, describeOrigin } from '../batch/batch.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { Inbox } from './join-inbox.ts'
import { emitLate, keysOf, lateBefore, weightAt } from './join-input.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { booleanFrom } from './user-function.ts'

/** True for a row that says its key is gone. */
export type IsDeleted = (row: never) => boolean

export interface ToTableOptions extends StepOptions {
  readonly name: string
  readonly input: Edge
  readonly isDeleted?: IsDeleted
}

/**
 * Keeps the latest row per key and emits the changes, keyed: the old row with weight -1 where there was one, then the new
 * one, both at the new row's time. A row for which `isDeleted` is true, and a retraction, end their key's value.
 * Late rows go to the side output `late`.
 * State: one row per living key, for ever.
 */
export function toTable(graph: Graph, options: ToTableOptions): GraphNode {
  return graph.add({
    kind: 'toTable',
    name: options.name,
    inputs: [options.input],
    spec: {
      type: 'operator',
      create: (ctx) => new ToTable(ctx, options.isDeleted),
      outputs: ['late'],
      keepsKeys: true,
      changes: 'makes',
    },
    ...nodeOptions(options),
  })
}

/** Does row `i` delete? Undefined when the user's function failed and the step's policy lets the record go. */
export function isDeletion(
  ctx: OperatorContext,
  batch: Batch,
  i: number,
  isDeleted: IsDeleted | undefined,
): boolean | undefined {
  if (weightAt(batch, i) === -1) return true
  if (isDeleted === undefined) return false
  try {
    return booleanFrom((isDeleted as (row: unknown) => unknown)(batch.row(i)), ctx.step, 'isDeleted')
  } catch (error) {
    ctx.onError(error, batch.keep(i), batch.times[i], batch.keys?.[i], describeOrigin(batch.origin, i))
    return undefined
  }
}

class ToTable implements Operator {
  readonly #ctx: OperatorContext
  readonly #isDeleted: IsDeleted | undefined
  readonly #inbox: Inbox
  /** Boxed, because any value may be a row. */
  readonly #current: Table<{ readonly row: unknown }>

  constructor(ctx: OperatorContext, isDeleted: IsDeleted | undefined) {
    this.#ctx = ctx
    this.#isDeleted = isDeleted
    this.#inbox = new Inbox(ctx.state.table('changes'))
    this.#current = ctx.state.table('current')
  }

  process(batch: Batch): void {
    const ctx = this.#ctx
    const keys = keysOf(batch, ctx)
    const floor = lateBefore(ctx, 0)
    for (let i = 0; i < batch.length; i++) {
      if (batch.times[i] < floor) {
        emitLate(ctx, batch, i)
        continue
      }
      const isDeleted = isDeletion(ctx, batch, i, this.#isDeleted)
      if (isDeleted === undefined) continue
      this.#inbox.add(keys[i], batch.times[i], isDeleted ? null : batch.keep(i), isDeleted ? -1 : 1)
    }
  }

  watermark(time: number): void {
    const { out, metrics } = this.#ctx
    for (let change = this.#inbox.first(); change !== undefined && change.time < time; change = this.#inbox.first()) {
      this.#inbox.done(change)
      const { key, row, weight } = change
      const old = this.#current.get(key)
      if (old !== undefined) out.emit(old.row, change.time, key, -1)
      if (weight === 1) {
        this.#current.set(key, { row })
        out.emit(row, change.time, key)
      } else this.#current.delete(key)
      // A change comes out as none, one or two of the table's.
      if (weight === -1 && old === undefined) metrics.filtered(1)
      else metrics.merged(1)
    }
  }

  held(): number {
    return this.#inbox.size
  }
}
