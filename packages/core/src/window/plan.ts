/**
 * What a set of aggregates compiles to: one loop that adds rows to numeric accumulators, and the functions that add,
 * merge and answer for both kinds of accumulators.
 *
 * Invariants:
 *  P1  A row is read by every aggregate before any accumulator changes: a row that one cannot take is in none.
 *  P2  The generated loop and the interpreted one give equal results (operators/window-oracle.test.ts).
 */
import type { Batch } from '../batch/batch.ts'
import { type CanonicalKey, originalKey } from '../batch/key.ts'
import { messageOf, OperationalError, UsageError } from '../errors.ts'
import type { NumericSlice } from '../state/table.ts'
import type { Columns } from './numeric.ts'
import {
  type Aggregate,
  type Arrival,
  BadValue,
  type NumericPart,
  type ObjectPart,
  type Pane,
  type WindowBounds,
} from './types.ts'

/** Aggregates by name as the operators hold them, their row types forgotten. */
export type AnyAggregates = Readonly<Record<string, Aggregate<never, unknown>>>

interface NumericEntry {
  readonly name: string
  readonly part: NumericPart
  /** First own column. */
  readonly at: number
}

interface ObjectEntry {
  readonly name: string
  readonly part: ObjectPart
}

/** Key of un-keyed streams. */
export const noKey: CanonicalKey = ''

/** Adds rows `from .. to` to a slice; returns `to`, or the row that failed, with what was thrown in `failure`. */
export type AddRows = (
  batch: Batch,
  from: number,
  to: number,
  slice: NumericSlice,
  failure: { thrown: unknown },
) => number

/** What the aggregates need of a row: the numbers, and what object aggregates read. */
export interface Inputs {
  readonly n: readonly number[]
  readonly o: readonly unknown[]
}

export interface AggregatePlan {
  /** Initial values of all numeric columns; column 0 counts rows. */
  readonly initial: readonly number[]
  readonly isNumeric: boolean
  readonly isMergeable: boolean
  /** Only for plans that are numeric. */
  readonly addRows: AddRows
  /** Reads row `i` for the `add` calls that follow. Throws what `ctx.onError` is to be given. */
  read(batch: Batch, i: number, weight: number): void
  /** What `read` found, to be kept; `use` puts it back in place of a `read`. */
  inputs(): Inputs
  use(inputs: Inputs): void
  addNumbers(columns: Columns, slot: number, weight: number): void
  mergeNumbers(into: Columns, intoSlot: number, from: Columns, fromSlot: number): void
  createObjects(): unknown[]
  addObjects(objects: unknown[], arrival: Arrival, weight: number): void
  mergeObjects(into: unknown[], from: readonly unknown[]): void
  /** The result row. Throws what `ctx.onError` is to be given. */
  result(
    key: CanonicalKey,
    window: WindowBounds,
    columns: Columns,
    slot: number,
    objects: readonly unknown[] | undefined,
    pane: Pane | undefined,
  ): Record<string, unknown>
}

export interface PlanOptions {
  readonly step: string
  /** Result rows have a `key`. */
  readonly isKeyed: boolean
  readonly hasPanes: boolean
  /** False: interpret. Default: generate where the platform allows. */
  readonly generate?: boolean
}

/** Names a result row cannot have for aggregates. */
const reserved = ['key', 'window', 'pane', '__proto__']

/** @throws UsageError `AGGREGATE_NAME`, `AGGREGATE_SHAPE` */
export function checkAggregates(step: string, aggregates: AnyAggregates): void {
  const entries = Object.entries(aggregates)
  if (entries.length === 0) {
    throw new UsageError('AGGREGATE_SHAPE', 'there is no aggregate; give at least one, such as { n: count() }.', {
      step,
    })
  }
  for (const [name, aggregate] of entries) {
    if (reserved.includes(name)) {
      throw new UsageError(
        'AGGREGATE_NAME',
        `an aggregate is called "${name}", which result rows use themselves (${reserved.slice(0, 3).join(', ')}). Give it another name.`,
        { step, data: { name } },
      )
    }
    if (aggregate?.part === undefined) {
      throw new UsageError(
        'AGGREGATE_SHAPE',
        `"${name}" is no aggregate; use count(), sum(f), ... or aggregate({ ... }).`,
        {
          step,
          data: { name },
        },
      )
    }
  }
}

export function planAggregates(aggregates: AnyAggregates, options: PlanOptions): AggregatePlan {
  checkAggregates(options.step, aggregates)
  const numbers: NumericEntry[] = []
  const objects: ObjectEntry[] = []
  const initial = [0]
  for (const [name, { part }] of Object.entries(aggregates)) {
    if (part.type === 'object') objects.push({ name, part })
    else {
      numbers.push({ name, part, at: initial.length })
      initial.push(...part.kind.initial)
    }
  }
  const values = new Float64Array(numbers.length)
  const inputs: unknown[] = objects.map(() => undefined)

  const plan: AggregatePlan = {
    initial,
    isNumeric: objects.length === 0,
    isMergeable: objects.every((entry) => entry.part.merge !== undefined),
    addRows: (batch, from, to, slice, failure) => addRows(batch, from, to, slice, failure),
    read(batch, i, weight) {
      for (let n = 0; n < numbers.length; n++) values[n] = readNumber(options.step, numbers[n], batch, i, weight)
      for (let n = 0; n < objects.length; n++) inputs[n] = readObject(options.step, objects[n], batch, i, weight)
    },
    inputs: () => ({ n: Array.from(values), o: inputs.slice() }),
    use(kept) {
      for (let n = 0; n < values.length; n++) values[n] = kept.n[n]
      for (let n = 0; n < inputs.length; n++) inputs[n] = kept.o[n]
    },
    addNumbers(columns, slot, weight) {
      columns[0][slot] += weight
      for (let n = 0; n < numbers.length; n++) numbers[n].part.kind.add(columns, numbers[n].at, slot, values[n], weight)
    },
    mergeNumbers(into, intoSlot, from, fromSlot) {
      into[0][intoSlot] += from[0][fromSlot]
      for (let n = 0; n < numbers.length; n++) {
        numbers[n].part.kind.merge(into, intoSlot, from, fromSlot, numbers[n].at)
      }
    },
    createObjects: () => objects.map((entry) => entry.part.create()),
    addObjects(accs, arrival, weight) {
      for (let n = 0; n < objects.length; n++) {
        const { part } = objects[n]
        accs[n] =
          weight < 0 && part.retract !== undefined
            ? part.retract(accs[n], inputs[n], arrival)
            : part.add(accs[n], inputs[n], arrival)
      }
    },
    mergeObjects(into, from) {
      for (let n = 0; n < objects.length; n++) into[n] = objects[n].part.merge?.(into[n], from[n])
    },
    result(key, window, columns, slot, accs, pane) {
      const row: Record<string, unknown> = options.isKeyed ? { key: originalKey(key), window } : { window }
      if (options.hasPanes) row.pane = pane
      let n = 0
      let o = 0
      for (const name of names) {
        if (n < numbers.length && numbers[n].name === name) {
          const { part, at } = numbers[n++]
          row[name] = part.kind.result(columns, at, slot)
        } else {
          const { part } = objects[o]
          row[name] = part.result((accs as readonly unknown[])[o++])
        }
      }
      return row
    },
  }
  const names = Object.keys(aggregates)
  const addRows =
    options.generate !== false && canGenerate() ? generateAddRows(options.step, numbers) : interpretAddRows(plan)
  return plan
}

function readNumber(step: string, entry: NumericEntry, batch: Batch, i: number, weight: number): number {
  const { kind, value } = entry.part
  if (weight < 0 && !kind.retracts) throw retractError(step, entry.name, kind.name)
  if (value === undefined) return 0
  const got = value(batch.row(i) as never)
  const isGood = typeof got === 'number' && (kind.takes === 'finite' ? got - got === 0 : !Number.isNaN(got))
  if (!isGood) throw valueError(step, entry.name, got, kind.takes === 'finite' ? 'a finite number' : 'a number')
  return (got as number) + 0
}

function readObject(step: string, entry: ObjectEntry, batch: Batch, i: number, weight: number): unknown {
  const { part } = entry
  if (weight < 0 && part.retract === undefined) throw retractError(step, entry.name, 'it')
  const got = part.read((part.retains ? batch.keep(i) : batch.row(i)) as never)
  if (got instanceof BadValue) throw valueError(step, entry.name, got.got, got.expects)
  return got
}

function interpretAddRows(plan: AggregatePlan): AddRows {
  return (batch, from, to, slice, failure) => {
    let i = from
    try {
      for (; i < to; i++) {
        const weight = batch.weights === undefined ? 1 : batch.weights[i]
        plan.read(batch, i, weight)
        const slot = slice.slot(batch.keys === undefined ? noKey : batch.keys[i])
        plan.addNumbers(slice.columns, slot, weight)
      }
    } catch (thrown) {
      failure.thrown = thrown
    }
    return i
  }
}

let generated = 0

/**
 * The loop with one call site per user function and per kind, so that V8 inlines them. Its text is different for every
 * step: functions from equal texts would share what V8 has learned about their calls.
 */
function generateAddRows(step: string, entries: readonly NumericEntry[]): AddRows {
  const reads: string[] = []
  const adds: string[] = []
  entries.forEach(({ part }, n) => {
    if (!part.kind.retracts) reads.push(`if (w < 0) fail(${n}, 0, true)`)
    if (part.value === undefined) return
    const test = part.kind.takes === 'finite' ? `v${n} - v${n} === 0` : `v${n} === v${n}`
    reads.push(`const v${n} = value${n}(row)`, `if (!(typeof v${n} === 'number' && ${test})) fail(${n}, v${n}, false)`)
    adds.push(`kind${n}.add(columns, ${entries[n].at}, slot, v${n} + 0, w)`)
  })
  const text = `'use strict' // ${generated++}
return function addRows(batch, from, to, slice, failure) {
  const keys = batch.keys, weights = batch.weights
  let i = from
  try {
    for (; i < to; i++) {
      const w = weights === undefined ? 1 : weights[i]
      ${entries.some((entry) => entry.part.value !== undefined) ? 'const row = batch.row(i)' : ''}
      ${reads.join('\n      ')}
      const slot = slice.slot(keys === undefined ? '' : keys[i])
      const columns = slice.columns
      columns[0][slot] += w
      ${adds.join('\n      ')}
    }
  } catch (thrown) {
    failure.thrown = thrown
  }
  return i
}`
  const fail = (n: number, got: unknown, isRetraction: boolean): never => {
    const { name, part } = entries[n]
    throw isRetraction
      ? retractError(step, name, part.kind.name)
      : valueError(step, name, got, part.kind.takes === 'finite' ? 'a finite number' : 'a number')
  }
  const names = entries.flatMap((_, n) => [`value${n}`, `kind${n}`])
  const args = entries.flatMap((entry) => [entry.part.value, entry.part.kind])
  return new Function('fail', ...names, text)(fail, ...args) as AddRows
}

let canGenerateCode: boolean | undefined

/** False under --disallow-code-generation-from-strings. */
function canGenerate(): boolean {
  if (canGenerateCode === undefined) {
    try {
      new Function('')
      canGenerateCode = true
    } catch {
      canGenerateCode = false
    }
  }
  return canGenerateCode
}

function valueError(step: string, name: string, got: unknown, expects: string): OperationalError {
  const shown = typeof got === 'number' || got === undefined || got === null ? String(got) : `a ${typeof got}`
  const hint = got === undefined ? ' Did you forget `return`, or is the field missing?' : ''
  return new OperationalError(
    'CALLBACK_RETURN',
    `the function of aggregate "${name}" returned ${shown}; it must return ${expects}.${hint}`,
    { step, data: { aggregate: name, got: shown } },
  )
}

function retractError(step: string, name: string, what: string): OperationalError {
  return new OperationalError(
    'AGGREGATE_RETRACT',
    `aggregate "${name}" was given a retraction, but ${what} cannot take a row back. Use count, sum, mean, variance, stddev, distinct, or aggregate({ ..., retract }).`,
    { step, data: { aggregate: name } },
  )
}

/** What a failing merge or result becomes. */
export function resultError(step: string, thrown: unknown): OperationalError {
  if (thrown instanceof OperationalError) return thrown
  return new OperationalError('AGGREGATE_RESULT', `the result of a window failed: ${messageOf(thrown)}`, {
    step,
    cause: thrown,
  })
}
