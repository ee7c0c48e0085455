/**
 * Row views of column batches: one object per schema whose properties are read from the columns when they are asked
 * for, so that a function that reads 3 of 12 fields decodes 3. The properties are own and enumerable: spread,
 * JSON.stringify and Object.keys see a row as it is.
 *
 * Each schema gets a generated subclass of ColumnBatch, so that every loop over its batches has one `row` to inline.
 * Where code generation is forbidden, and with `poisonsViews`, the same is put together from closures. There is one
 * view object per schema because V8 keeps objects with own accessors as slow dictionaries (7 ns a read instead of 1),
 * but for those that are prototypes: each view is made the prototype of an object that is thrown away.
 */
import { UsageError } from '../errors.ts'
import type { ColumnArray, ColumnBatch, ColumnStore } from './columns.ts'
import type { Column, Fields, RowOf, Schema } from './schema.ts'

type BatchClass<F extends Fields> = new (...args: ConstructorParameters<typeof ColumnBatch<F>>) => ColumnBatch<F>
type Base = typeof ColumnBatch

const classes = new WeakMap<Schema, unknown>()

/** The class of the batches of a schema. `base` is ColumnBatch, passed in because that file imports this one. */
export function batchClass<F extends Fields>(schema: Schema<F>, base: Base): BatchClass<F> {
  let made = classes.get(schema) as BatchClass<F> | undefined
  if (made === undefined) {
    made = schema.poisonsViews ? closureClass(schema, base) : fastClass(schema, base)
    classes.set(schema, made)
  }
  return made
}

function fastClass<F extends Fields>(schema: Schema<F>, base: Base): BatchClass<F> {
  try {
    return new Function('Base', 'schema', classSource(schema.columns))(base, schema) as BatchClass<F>
  } catch (error) {
    if (error instanceof EvalError) return closureClass(schema, base)
    throw error
  }
}

/** The generated class, as the body of a function that returns it. */
function classSource(columns: readonly Column[]): string {
  const bind = columns.map(({ name, kind, isNullable }, c) => {
    const key = JSON.stringify(name)
    const dictionary = kind === 'string' ? `; d${c} = from.dictionaries[${key}]` : ''
    return `c${c} = from.columns[${key}]${dictionary}${isNullable ? `; n${c} = from.validity[${key}]` : ''}`
  })
  const read = ({ kind, isNullable }: Column, c: number): string => {
    const value = kind === 'string' ? `d${c}[c${c}[at]]` : kind === 'bool' ? `c${c}[at] === 1` : `c${c}[at]`
    return isNullable ? `n${c}[at] === 0 ? null : ${value}` : value
  }
  const properties = columns.map((column, c) => [JSON.stringify(column.name), read(column, c)])
  return `'use strict'
let store, at = 0, ${columns.map((_, c) => `c${c}, d${c}, n${c}`).join(', ')}
function bind(from) {
store = from
${bind.join('\n')}
}
const view = Object.freeze({
${properties.map(([key, value]) => `get ${key}() { return ${value} },`).join('\n')}
})
Object.create(view)
return class SchemaBatch extends Base {
get schema() { return schema }
row(i) {
if (store !== this.store) bind(this.store)
at = this.selection === undefined ? i : this.selection[i]
return view
}
keep(i) {
if (store !== this.store) bind(this.store)
const before = at
at = this.selection === undefined ? i : this.selection[i]
const row = { ${properties.map(([key, value]) => `${key}: ${value}`).join(', ')} }
at = before
return row
}
}
//# sourceURL=millrace-rows-${schemaCount++}`
}

let schemaCount = 0

function closureClass<F extends Fields>(schema: Schema<F>, base: Base): BatchClass<F> {
  const readers = schema.columns.map((column) => readerOf(column))
  let store: ColumnStore | undefined
  let at = 0
  /** The one view that may be read; every `row` call makes another one current when views are poisoned. */
  let current: object = {}

  function makeView(): object {
    const view = {}
    schema.columns.forEach(({ name }, c) => {
      const get = () => {
        if (schema.poisonsViews && current !== view) throw viewKept(name)
        return readers[c](store as ColumnStore, at)
      }
      Object.defineProperty(view, name, { get, enumerable: true })
    })
    Object.freeze(view)
    Object.create(view)
    return view
  }

  const shared = makeView()
  return class SchemaBatch extends (base as unknown as BatchClass<F>) {
    override get schema(): Schema<F> {
      return schema
    }

    override row(i: number): RowOf<Schema<F>> {
      store = this.store
      at = this.selection === undefined ? i : this.selection[i]
      current = schema.poisonsViews ? makeView() : shared
      return current as RowOf<Schema<F>>
    }

    override keep(i: number): RowOf<Schema<F>> {
      const from = this.selection === undefined ? i : this.selection[i]
      return Object.fromEntries(schema.columns.map(({ name }, c) => [name, readers[c](this.store, from)])) as RowOf<
        Schema<F>
      >
    }
  } as unknown as BatchClass<F>
}

type Reader = (store: ColumnStore, at: number) => unknown

function readerOf({ name, kind, isNullable }: Column): Reader {
  const read: Reader =
    kind === 'string'
      ? (store, at) => store.dictionaries[name][(store.columns[name] as Uint32Array)[at]]
      : kind === 'bool'
        ? (store, at) => (store.columns[name] as Uint8Array)[at] === 1
        : (store, at) => (store.columns[name] as ColumnArray)[at]
  return isNullable ? (store, at) => (store.validity[name][at] === 0 ? null : read(store, at)) : read
}

function viewKept(name: string): UsageError {
  return new UsageError(
    'ROW_VIEW_KEPT',
    `property "${name}" of a row was read after its batch moved on to another row; without development mode this would have given another row's value. Copy rows that you keep: { ...row }.`,
    { data: { column: name } },
  )
}
