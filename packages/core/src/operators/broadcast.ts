/**
 * Broadcast join: a small stream is sent to every instance and folded into a state; each row of the main stream meets the
 * state as of its event time.
 *
 * Invariants:
 *  BC1 A main row at `t` sees the small rows with a time <= t, no others: it is decided when the small stream's watermark
 *      is > t and the main one's >= t, and both are gone through in one order of time.
 *  BC2 Every instance holds the same state. A copy lies under a key of every key group, so that any number of instances
 *      finds it after a restore.
 */
import type { Batch } from '../batch/batch.ts'
import { type CanonicalKey, KEY_GROUPS, keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { instanceKey } from './instance-key.ts'
import { addRow, dropOldest, type TimeBuffer, timeBuffer, upperBound } from './join-buffer.ts'
import { Inbox, type Waiting } from './join-inbox.ts'
import { emitLate, keysOf, lateBefore, refuseRetractions, weightAt } from './join-input.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { refusePromise, wrongReturn } from './user-function.ts'

export interface BroadcastFunctions<T, R, S, U> {
  /** The state before the first small row. */
  readonly initial: () => S
  /** The state after a small row; may change and return the one it was given. */
  readonly update: (state: S, row: R) => S
  /** The output for a main row; must not change the state. */
  readonly join: (row: T, state: S) => U
}

export interface BroadcastOptions<T, R, S, U> extends StepOptions {
  readonly name: string
  /** Keyed ('key') or not ('forward'); a keyed one stays keyed. */
  readonly main: Edge
  /** Partitioning 'broadcast'. */
  readonly small: Edge
  readonly functions: BroadcastFunctions<T, R, S, U>
}

/**
 * Joins a main stream with the folded state of a small one. Output: what `join` returns, at the main row's time, in order
 * of time; weights pass. Late rows go to the side output `late`.
 * The state is written 128 times per commit after a change: keep it small.
 */
export function broadcast<T, R, S, U>(graph: Graph, options: BroadcastOptions<T, R, S, U>): GraphNode {
  const isKeyed = options.main.partitioning === 'key'
  return graph.add({
    kind: 'broadcast',
    name: options.name,
    inputs: [options.main, options.small],
    spec: {
      type: 'operator',
      create: (ctx) => new Broadcast(ctx, options.functions as unknown as AnyFunctions, isKeyed),
      outputs: ['late'],
      keepsKeys: isKeyed,
      changes: 'keeps',
    },
    ...nodeOptions(options),
  })
}

type AnyFunctions = BroadcastFunctions<unknown, unknown, unknown, unknown>

interface Copy {
  readonly state: unknown
  /** Small rows that no main row has passed yet. */
  readonly ahead: TimeBuffer
  /** Event time up to which small rows are folded into the state. */
  readonly foldedTo: number
}

class Broadcast implements Operator {
  readonly #ctx: OperatorContext
  readonly #functions: AnyFunctions
  readonly #isKeyed: boolean
  readonly #inbox: Inbox
  readonly #copies: Table<Copy>
  readonly #ownKey: CanonicalKey
  readonly #ahead: TimeBuffer
  #state: unknown
  #foldedTo: number
  #isDirty = false

  constructor(ctx: OperatorContext, functions: AnyFunctions, isKeyed: boolean) {
    this.#ctx = ctx
    this.#functions = functions
    this.#isKeyed = isKeyed
    this.#inbox = new Inbox(ctx.state.table('main'))
    this.#copies = ctx.state.table('state')
    this.#ownKey = instanceKey(ctx.instance)
    const copy = oldestCopy(this.#copies)
    this.#state = copy === undefined ? functions.initial() : copy.state
    this.#ahead = copy?.ahead ?? timeBuffer()
    this.#foldedTo = copy?.foldedTo ?? Number.NEGATIVE_INFINITY
  }

  process(batch: Batch, input: number): void {
    const ctx = this.#ctx
    if (input === 1) refuseRetractions(batch, ctx, 'the small side of a broadcast')
    const keys = input === 0 && this.#isKeyed ? keysOf(batch, ctx) : undefined
    const floor = lateBefore(ctx, input)
    for (let i = 0; i < batch.length; i++) {
      const time = batch.times[i]
      if (time < floor) emitLate(ctx, batch, i)
      else if (input === 0) this.#inbox.add(keys?.[i] ?? this.#ownKey, time, batch.keep(i), weightAt(batch, i))
      else this.#takeSmall(time, batch.keep(i))
    }
    this.#drain()
  }

  inputWatermark(): void {
    this.#drain()
  }

  watermark(): void {
    this.#drain()
  }

  held(): number {
    return this.#inbox.size + this.#ahead.times.length
  }

  /** One copy per key group of this instance; values are shared in memory. */
  barrier(): void {
    if (!this.#isDirty) return
    this.#isDirty = false
    const copy: Copy = { state: this.#state, ahead: this.#ahead, foldedTo: this.#foldedTo }
    const { index, count } = this.#ctx.instance
    for (let group = 0; group < KEY_GROUPS; group++) {
      if (ownerOfGroup(group, count) === index) this.#copies.set(groupKeys()[group], copy)
    }
  }

  #takeSmall(time: number, row: unknown): void {
    addRow(this.#ahead, time, row, 0)
    this.#isDirty = true
  }

  #drain(): void {
    const mainWatermark = lateBefore(this.#ctx, 0)
    const smallWatermark = lateBefore(this.#ctx, 1)
    for (let entry = this.#inbox.first(); entry !== undefined; entry = this.#inbox.first()) {
      if (entry.time > mainWatermark || entry.time >= smallWatermark) break
      this.#fold(entry.time)
      this.#join(entry)
    }
    // Rows that still wait are younger than this or wait for the small stream, and those to come are not older.
    if (mainWatermark < smallWatermark) this.#fold(mainWatermark)
  }

  /** Brings the state to time `t`. */
  #fold(time: number): void {
    const { times, rows } = this.#ahead
    const count = upperBound(times, time)
    if (count === 0) return
    for (let i = 0; i < count; i++) this.#update(rows[i], times[i])
    dropOldest(this.#ahead, count)
    this.#ctx.metrics.merged(count)
    this.#foldedTo = time
    this.#isDirty = true
  }

  #update(row: unknown, time: number): void {
    try {
      const state = this.#functions.update(this.#state, row)
      refusePromise(state, this.#ctx.step, 'update')
      if (state === undefined) throw wrongReturn(state, this.#ctx.step, 'update', 'it must return the new state')
      this.#state = state
    } catch (error) {
      this.#ctx.onError(error, row, time, undefined, undefined)
    }
  }

  #join(entry: Waiting): void {
    const { key, time, row, weight } = entry
    const outKey = this.#isKeyed ? key : undefined
    this.#inbox.done(entry)
    try {
      const out = this.#functions.join(row, this.#state)
      refusePromise(out, this.#ctx.step, 'join')
      if (out === undefined) throw wrongReturn(out, this.#ctx.step, 'join', 'it must return the output row')
      this.#ctx.out.emit(out, time, outKey, weight)
    } catch (error) {
      this.#ctx.onError(error, row, time, outKey, undefined)
    }
  }
}

/** After a change of the number of instances, copies of several may lie here: the one that saw the fewest small rows. */
function oldestCopy(copies: Table<Copy>): Copy | undefined {
  let oldest: Copy | undefined
  copies.forEach((_key, _sub, copy) => {
    if (oldest === undefined || copy.foldedTo < oldest.foldedTo) oldest = copy
  })
  return oldest
}

let keysByGroup: CanonicalKey[] | undefined

/** A key of each key group: the smallest integer in it. */
function groupKeys(): readonly CanonicalKey[] {
  if (keysByGroup !== undefined) return keysByGroup
  const keys: CanonicalKey[] = []
  for (let key = 0, found = 0; found < KEY_GROUPS; key++) {
    const group = keyGroupOf(key)
    if (keys[group] !== undefined) continue
    keys[group] = key
    found++
  }
  keysByGroup = keys
  return keys
}
