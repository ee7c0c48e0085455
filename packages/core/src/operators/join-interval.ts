/**
 * Interval join: pairs of rows with one key whose times lie within bounds of each other.
 *
 * Rows wait in time slices, a table group per slice: one probe reads a few sorted arrays, and an expired slice is dropped
 * whole, whatever the number of its keys.
 *
 * Invariants:
 *  IJ1 A row is kept while a row of the other input that is not late may still pair with it, and at most a slice longer.
 *  IJ2 A pair comes out when its second row arrives, with the later of the two times.
 *  IJ3 A row that found no partner comes out once, when its slice expires, with its own time; until then the watermark
 *      is held back to the start of the oldest slice kept.
 */
import type { Batch } from '../batch/batch.ts'
import { type CanonicalKey, type Key, originalKey } from '../batch/key.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { type Duration, durationMs, formatMs } from '../time/duration.ts'
import { addRow, lowerBound, MATCHED, RETRACTED, type TimeBuffer, timeBuffer } from './join-buffer.ts'
import { emitLate, keysOf, lateBefore, refuseRetractions, weightAt } from './join-input.ts'
import { checkJoinType, type JoinType, type Pair } from './join-types.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'

/** `right.time` lies in `[left.time - before, left.time + after]`, bounds included. */
export type Within = readonly [before: Duration, after: Duration]

export interface IntervalJoinOptions extends Omit<StepOptions, 'onError'> {
  readonly name: string
  readonly left: Edge
  readonly right: Edge
  /** Default 'inner'. */
  readonly type?: JoinType
  readonly within: Within
}

/**
 * Joins rows of two keyed inputs with `right.time` in `[left.time - before, left.time + after]`.
 * Output: `{ key, left, right }`, keyed; late rows on the side output `late`. The multiset of results does not depend on
 * arrival; pairs of one key come in the order in which they were completed. Inner joins take retractions: the weight of a
 * pair is the product of its rows' weights.
 * @throws UsageError `DURATION` for a malformed bound, `JOIN_TYPE` for an unknown type
 */
export function intervalJoin(graph: Graph, options: IntervalJoinOptions): GraphNode {
  const type = checkJoinType(options.name, options.type)
  const beforeMs = durationMs(options.within[0], `"within" before, of join "${options.name}"`)
  const afterMs = durationMs(options.within[1], `"within" after, of join "${options.name}"`)
  return graph.add({
    kind: 'join',
    name: options.name,
    inputs: [options.left, options.right],
    spec: {
      type: 'operator',
      create: (ctx) => new IntervalJoin(ctx, type, beforeMs, afterMs),
      outputs: ['late'],
      keepsKeys: true,
      changes: 'keeps',
      describe: { type, within: [formatMs(beforeMs), formatMs(afterMs)] },
    },
    ...nodeOptions(options),
  })
}

/** Slices per span of the interval: more make probes dearer, fewer keep rows longer after they expired. */
const slicesPerSpan = 4

interface Side {
  readonly table: Table<TimeBuffer>
  /** Partners of a row at `t` lie in `[t - behindMs, t + aheadMs]`. */
  readonly behindMs: number
  readonly aheadMs: number
  /** Do rows without a partner come out? */
  readonly keepsUnmatched: boolean
  rowCount: number
  /** Slices below this one were dropped. */
  firstSlice: number
}

class IntervalJoin implements Operator {
  readonly #ctx: OperatorContext
  readonly #isInner: boolean
  readonly #sliceMs: number
  readonly #sides: readonly [Side, Side]

  constructor(ctx: OperatorContext, type: JoinType, beforeMs: number, afterMs: number) {
    this.#ctx = ctx
    this.#isInner = type === 'inner'
    this.#sliceMs = Math.max(1, Math.ceil((beforeMs + afterMs) / slicesPerSpan))
    this.#sides = [
      openSide(ctx, 'left', beforeMs, afterMs, type !== 'inner'),
      openSide(ctx, 'right', afterMs, beforeMs, type === 'outer'),
    ]
  }

  process(batch: Batch, input: number): void {
    const ctx = this.#ctx
    if (!this.#isInner) refuseRetractions(batch, ctx, 'a left or outer join')
    const own = this.#sides[input]
    const keys = keysOf(batch, ctx)
    const floor = lateBefore(ctx, input)
    for (let i = 0; i < batch.length; i++) {
      const time = batch.times[i]
      if (time < floor) {
        emitLate(ctx, batch, i)
        continue
      }
      const row = batch.keep(i)
      const retracted = weightAt(batch, i) === -1 ? RETRACTED : 0
      const matched = this.#probe(keys[i], time, row, retracted, input)
      const slice = Math.floor(time / this.#sliceMs)
      const buffer = own.table.get(keys[i], slice) ?? timeBuffer()
      addRow(buffer, time, row, retracted | matched)
      own.table.set(keys[i], buffer, slice)
      own.rowCount++
    }
  }

  watermark(time: number): void {
    for (const side of this.#sides) this.#expire(side, time)
  }

  hold(): number {
    const watermark = this.#ctx.currentWatermark()
    let hold = Number.POSITIVE_INFINITY
    for (const side of this.#sides) {
      if (side.keepsUnmatched) hold = Math.min(hold, this.#sliceAt(side, watermark) * this.#sliceMs)
    }
    return hold
  }

  held(): number {
    return this.#sides[0].rowCount + this.#sides[1].rowCount
  }

  /** Emits the pairs of a new row. Reads at most `slicesPerSpan + 2` slices. */
  #probe(key: CanonicalKey, time: number, row: unknown, retracted: number, input: number): number {
    const other = this.#sides[1 - input]
    const { behindMs, aheadMs } = this.#sides[input]
    const from = time - behindMs
    const to = time + aheadMs
    const last = Math.floor(to / this.#sliceMs)
    let matched = 0
    for (let slice = Math.floor(from / this.#sliceMs); slice <= last; slice++) {
      const buffer = other.table.get(key, slice)
      if (buffer === undefined) continue
      const { times, rows, flags } = buffer
      let isDirty = false
      for (let j = lowerBound(times, from); j < times.length && times[j] <= to; j++) {
        const pair = input === 0 ? pairOf(key, row, rows[j]) : pairOf(key, rows[j], row)
        const weight = (flags[j] & RETRACTED) === retracted ? 1 : -1
        this.#ctx.out.emit(pair, Math.max(time, times[j]), key, weight)
        matched = MATCHED
        if (!other.keepsUnmatched || (flags[j] & MATCHED) !== 0) continue
        flags[j] |= MATCHED
        isDirty = true
      }
      if (isDirty) other.table.set(key, buffer, slice)
    }
    return matched
  }

  /** First slice that may hold a row with partners still to come: they lie up to `aheadMs` after it. */
  #sliceAt(side: Side, watermark: number): number {
    return Math.floor((watermark - side.aheadMs) / this.#sliceMs)
  }

  #expire(side: Side, watermark: number): void {
    const first = this.#sliceAt(side, watermark)
    if (first === side.firstSlice) return
    side.firstSlice = first
    const expired: number[] = []
    for (const slice of side.table.outers()) if ((slice as number) < first) expired.push(slice as number)
    expired.sort((a, b) => a - b)
    for (const slice of expired) {
      let count = 0
      side.table.group(slice)?.forEach((buffer, key) => {
        count += buffer.times.length
        if (side.keepsUnmatched) this.#emitUnmatched(side, key, buffer)
      })
      side.rowCount -= count
      this.#ctx.metrics.merged(count)
      side.table.deleteGroup(slice)
    }
  }

  #emitUnmatched(side: Side, key: CanonicalKey, { times, rows, flags }: TimeBuffer): void {
    const isLeft = side === this.#sides[0]
    for (let j = 0; j < times.length; j++) {
      if ((flags[j] & MATCHED) !== 0) continue
      this.#ctx.out.emit(isLeft ? pairOf(key, rows[j], undefined) : pairOf(key, undefined, rows[j]), times[j], key)
    }
  }
}

function openSide(
  ctx: OperatorContext,
  name: string,
  behindMs: number,
  aheadMs: number,
  keepsUnmatched: boolean,
): Side {
  const table = ctx.state.table<TimeBuffer>(name, { major: 'sub' })
  let rowCount = 0
  table.forEach((_key, _sub, buffer) => {
    rowCount += buffer.times.length
  })
  return { table, behindMs, aheadMs, keepsUnmatched, rowCount, firstSlice: Number.NaN }
}

function pairOf(key: CanonicalKey, left: unknown, right: unknown): Pair<Key, unknown, unknown> {
  return { key: originalKey(key), left, right }
}
