/**
 * Writes plain rows into columns, checking every value: a number that is no int32 would be cut silently. Generated per
 * schema, so that each column has one place that reads the row and one that writes its array; where code generation is
 * forbidden a loop over the columns does the same.
 */
import { OperationalError } from '../errors.ts'
import type { ColumnArray } from './columns.ts'
import type { Column, ColumnKind, Schema } from './schema.ts'

export type Cells = Readonly<Record<string, unknown>>

/** What is written to: a ColumnBuilder. */
export interface RowTarget {
  readonly columns: Readonly<Record<string, ColumnArray>>
  readonly validity: Readonly<Record<string, Uint8Array>>
  code(name: string, text: string): number
}

/** Writes `row` as row `i`. @throws OperationalError `COLUMN_TYPE`; cells before that one are written */
export type RowWriter = (row: Cells, i: number, target: RowTarget) => void

const writers = new WeakMap<Schema, RowWriter>()

export function rowWriter(schema: Schema): RowWriter {
  let writer = writers.get(schema)
  if (writer === undefined) {
    writer = makeWriter(schema.columns)
    writers.set(schema, writer)
  }
  return writer
}

function makeWriter(columns: readonly Column[]): RowWriter {
  try {
    return new Function('columns', 'wrong', writerSource(columns))(columns, columnType) as RowWriter
  } catch (error) {
    if (error instanceof EvalError) return loopWriter(columns)
    throw error
  }
}

/** The condition on a value `x` that is not null. */
const accepts: Readonly<Record<ColumnKind, string>> = {
  int32: `typeof x === 'number' && (x | 0) === x`,
  float64: `typeof x === 'number'`,
  int64: `typeof x === 'bigint' && BigInt.asIntN(64, x) === x`,
  bool: `typeof x === 'boolean'`,
  string: `typeof x === 'string'`,
  bytes: 'x instanceof Uint8Array',
  object: 'x !== null && x !== undefined',
}

/** The generated writer, as the body of a function that returns it. */
function writerSource(columns: readonly Column[]): string {
  const lines = columns.map(({ name, kind, isNullable }, c) => {
    const key = JSON.stringify(name)
    const value = kind === 'string' ? `target.code(${key}, x)` : kind === 'bool' ? 'x ? 1 : 0' : 'x'
    const write = `if (!(${accepts[kind]})) throw wrong(columns[${c}], x)\nto[${key}][i] = ${value}`
    if (!isNullable) return `x = row[${key}]\n${write}`
    return `x = row[${key}]
if (x === null || x === undefined) target.validity[${key}][i] = 0
else {
${write}
target.validity[${key}][i] = 1
}`
  })
  return `'use strict'
return function write(row, i, target) {
const to = target.columns
let x
${lines.join('\n')}
}
//# sourceURL=millrace-writer-${writerCount++}`
}

let writerCount = 0

const tests: Readonly<Record<ColumnKind, (x: unknown) => boolean>> = {
  int32: (x) => typeof x === 'number' && (x | 0) === x,
  float64: (x) => typeof x === 'number',
  int64: (x) => typeof x === 'bigint' && BigInt.asIntN(64, x) === x,
  bool: (x) => typeof x === 'boolean',
  string: (x) => typeof x === 'string',
  bytes: (x) => x instanceof Uint8Array,
  object: (x) => x !== null && x !== undefined,
}

export function loopWriter(columns: readonly Column[]): RowWriter {
  return (row, i, target) => {
    for (const column of columns) {
      const { name, kind, isNullable } = column
      const x = row[name]
      const isNull = isNullable && (x === null || x === undefined)
      if (isNullable) target.validity[name][i] = isNull ? 0 : 1
      if (isNull) continue
      if (!tests[kind](x)) throw columnType(column, x)
      target.columns[name][i] = kind === 'string' ? target.code(name, x as string) : kind === 'bool' ? Number(x) : x
    }
  }
}

function columnType(column: Column, value: unknown): OperationalError {
  const isNull = value === null || value === undefined
  const isPlain = isNull || (typeof value !== 'object' && typeof value !== 'function')
  const text = isPlain ? String(value).slice(0, 40) : `a value of type ${typeof value}`
  const remedy = isNull ? ` Declare it '${column.kind}?' to allow null.` : ''
  return new OperationalError(
    'COLUMN_TYPE',
    `column "${column.name}" holds ${column.kind} values and was given ${typeof value === 'string' ? JSON.stringify(text) : text}.${remedy}`,
    { data: { column: column.name, kind: column.kind, got: typeof value } },
  )
}
