/**
 * What the generated and the interpreted form of a chain of inline steps share: the contract, the checks of what user
 * functions return, and how the output batch is put together. `fused.ts` generates, `interpret.ts` interprets.
 *
 * Invariants:
 *  F1  Both forms give equal batches, equal counts and equal `onError` calls, in the same order.
 *  F2  Nothing of a row whose step failed comes out; a flatMap gives all rows of one call or none of them.
 *  F3  A batch on which `onError` threw is not counted.
 */
import { type Batch, describeOrigin, RowBatch, selectOrigin, selectWeights } from '../batch/batch.ts'
import { type CanonicalKey, canonicalKey } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import type { AnyFn, InlineOp } from '../graph/node.ts'

/** One step without state. `at` is the place in the user's program, 'app.ts:18'. */
export interface InlineStep {
  readonly op: InlineOp
  readonly fn: AnyFn
  readonly step: string
  readonly at: string | undefined
}

export interface ChainHost {
  /**
   * A user function threw or returned the wrong type. Returns to go on with the next row, throws to stop the task.
   * `row` is what the failing step was given and may be retained; `at` is the record's origin, as `describeOrigin` says.
   */
  onError(
    stepIndex: number,
    error: unknown,
    row: unknown,
    time: number,
    key: CanonicalKey | undefined,
    at: string | undefined,
  ): void
  /** [2 * stepIndex] rows in, [2 * stepIndex + 1] rows out of each inline step. */
  readonly counts: Float64Array
}

/** Runs a batch through the steps; undefined when nothing came out. */
export type Chain = (batch: Batch, host: ChainHost) => Batch | undefined

/** What a chain does to the shape of a batch, known before any data. */
export interface ChainShape {
  /** A map or flatMap is in it: the output is a RowBatch of new values. Otherwise the input's rows stay where they are. */
  readonly makesRows: boolean
  /** A flatMap is in it: rows out are not at most rows in. */
  readonly multiplies: boolean
  readonly setsKeys: boolean
  readonly setsTimes: boolean
}

export function shapeOf(steps: readonly InlineStep[]): ChainShape {
  const has = (op: InlineOp) => steps.some((step) => step.op === op)
  return {
    makesRows: has('map') || has('flatMap'),
    multiplies: has('flatMap'),
    setsKeys: has('keyBy'),
    setsTimes: has('timestamp'),
  }
}

/**
 * The output batch. `indices[j]` is the input row that output row `j` came from; `rows`, `keys` and `times` are given
 * when the shape says so, have at least `count` entries, and are owned by the output from here on.
 */
export function assemble(
  batch: Batch,
  shape: ChainShape,
  count: number,
  indices: ArrayLike<number>,
  rows: unknown[] | undefined,
  keys: CanonicalKey[] | undefined,
  times: number[] | undefined,
): Batch | undefined {
  if (count === 0) return undefined
  const isWhole = !shape.multiplies && count === batch.length
  if (!isWhole) {
    if (rows !== undefined) rows.length = count
    if (keys !== undefined) keys.length = count
    if (times !== undefined) times.length = count
  }
  if (rows === undefined) {
    if (isWhole) return keys === undefined && times === undefined ? batch : batch.rekey(keys ?? batch.keys, times)
    const selected = batch.select(indices, count, keys)
    return times === undefined ? selected : selected.rekey(selected.keys, times)
  }
  if (isWhole) return new RowBatch(rows, times ?? batch.times, keys ?? batch.keys, batch.weights, batch.origin)
  return new RowBatch(
    rows,
    times ?? gather(batch.times, indices, count),
    keys ?? (batch.keys === undefined ? undefined : gather(batch.keys, indices, count)),
    selectWeights(batch.weights, indices, count),
    selectOrigin(batch.origin, indices, count),
  )
}

function gather<T>(from: ArrayLike<T>, indices: ArrayLike<number>, count: number): T[] {
  const out = new Array<T>(count)
  for (let j = 0; j < count; j++) out[j] = from[indices[j]]
  return out
}

/** Hands a failed row to the host. `time` NaN and `key` undefined mean: as in the input. */
export function reportRow(
  host: ChainHost,
  batch: Batch,
  i: number,
  stepIndex: number,
  error: unknown,
  value: unknown,
  row: unknown,
  time: number,
  key: CanonicalKey | undefined,
): void {
  host.onError(
    stepIndex,
    error,
    value === row ? batch.keep(i) : value,
    Number.isNaN(time) ? batch.times[i] : time,
    key ?? batch.keys?.[i],
    describeOrigin(batch.origin, i),
  )
}

/** Rows a flatMap returned, as an array without undefined; iterables are read to their end. */
export function itemsOf(step: InlineStep, returned: unknown): readonly unknown[] {
  let items: readonly unknown[]
  if (Array.isArray(returned)) items = returned
  else if (typeof returned === 'object' && returned !== null && Symbol.iterator in returned)
    items = Array.from(returned as Iterable<unknown>)
  else throw wrongReturn(step, returned)
  for (let j = 0; j < items.length; j++) {
    if (items[j] === undefined) throw undefinedItem(step, j)
  }
  return items
}

/** Canonical form of what a keyBy function returned. */
export function keyFrom(step: InlineStep, returned: unknown): CanonicalKey {
  try {
    return canonicalKey(returned)
  } catch (cause) {
    throw new OperationalError(
      'KEY_TYPE',
      `${who(step)} returned ${shown(returned)}; a key must be a string, a number that is not NaN, a bigint, a boolean, or a non-empty tuple of them.${hint(step, returned)}`,
      { step: step.step, data: { returned: shown(returned) }, cause },
    )
  }
}

const mustReturn = {
  filter: 'it must return a boolean',
  map: 'it must return the new row',
  flatMap: 'it must return an array or another iterable of rows',
} as const

/** What a user function returned cannot be used. */
export function wrongReturn(step: InlineStep, returned: unknown): OperationalError {
  const details = { step: step.step, data: { returned: shown(returned) } }
  if (step.op === 'timestamp') {
    const dateHint = returned instanceof Date ? ' Return date.getTime().' : hint(step, returned)
    const must = 'it must return the event time, a finite number of ms since the epoch'
    return new OperationalError(
      'TIME_INVALID',
      `${who(step)} returned ${shown(returned)}; ${must}.${dateHint}`,
      details,
    )
  }
  const must = mustReturn[step.op as keyof typeof mustReturn]
  return new OperationalError(
    'CALLBACK_RETURN',
    `${who(step)} returned ${shown(returned)}; ${must}.${hint(step, returned)}`,
    details,
  )
}

function undefinedItem(step: InlineStep, index: number): OperationalError {
  return new OperationalError(
    'CALLBACK_RETURN',
    `${who(step)} returned rows of which number ${index} is undefined; a row may be anything else. Leave out what should not come out.`,
    { step: step.step, data: { returned: 'undefined', index } },
  )
}

function who(step: InlineStep): string {
  const name = step.fn.name === '' ? '' : ` ${step.fn.name}`
  return `${step.op} function${name}${step.at === undefined ? '' : ` (${step.at})`}`
}

function hint(step: InlineStep, returned: unknown): string {
  if (returned === undefined) {
    return step.op === 'map' ? ' Did you forget `return`? To drop rows use filter.' : ' Did you forget `return`?'
  }
  if (isThenable(returned)) {
    return step.op === 'map'
      ? ' This step cannot wait: use mapAsync.'
      : ` This step cannot wait: get the value in a mapAsync step before it.`
  }
  return ''
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function shown(value: unknown): string {
  if (isThenable(value)) return 'a promise'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (value instanceof Date) return 'a Date'
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
