/**
 * Description of typed rows: which columns there are and how their values lie in memory. `columns.ts` holds the batches
 * that use it. A source without a schema gives plain objects instead.
 */
import { createHash } from 'node:crypto'
import { UsageError } from '../errors.ts'

/**
 * int32: integers of 32 bits; float64: any number; int64: bigint of 64 bits; bool; string: a dictionary per column, so
 * best with values that repeat; bytes: Uint8Array by reference; object: any value by reference.
 */
export type ColumnKind = 'int32' | 'float64' | 'int64' | 'bool' | 'string' | 'bytes' | 'object'

/** `?` allows null. */
export type ColumnType = ColumnKind | `${ColumnKind}?` | ObjectColumn<unknown>

/** An 'object' column whose values have the type `T`; made by `object<T>()`. */
export type ObjectColumn<T> = 'object' & { readonly _value?: T }

export type Fields = Readonly<Record<string, ColumnType>>

export interface Schema<F extends Fields = Fields> {
  readonly fields: F
  readonly columns: readonly Column[]
  /** Equal for equal names and types, whatever their order; part of the identity of state. 16 hex digits. */
  readonly hash: string
  /** Rows used after their batch moved on throw `ROW_VIEW_KEPT`; slow, for development. */
  readonly poisonsViews: boolean
}

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
  readonly isNullable: boolean
}

interface KindValues {
  int32: number
  float64: number
  int64: bigint
  bool: boolean
  string: string
  bytes: Uint8Array
}

/** Type of the values of a column. */
export type ColumnValue<C> = C extends `${infer K}?`
  ? ColumnValue<K> | null
  : C extends keyof KindValues
    ? KindValues[C]
    : C extends ObjectColumn<infer T>
      ? T
      : never

/** Type of the rows of a schema: `RowOf<typeof bids>`. */
export type RowOf<S> = S extends Schema<infer F> ? { readonly [K in keyof F]: ColumnValue<F[K]> } : never

const kinds: readonly string[] = ['int32', 'float64', 'int64', 'bool', 'string', 'bytes', 'object']
const columnsMax = 1000
const byHash = new Map<string, Schema>()

/**
 * Describes rows as typed columns.
 * @param options.poisonViews throw when a row is used after its batch moved on; default: MILLRACE_DEV=1 is set
 * @throws UsageError `SCHEMA` when there are no columns, more than 1000, an unknown type, or a column "__proto__"
 * @example schema({ price: 'float64', channel: 'string' }).columns.length // => 2
 */
export function schema<const F extends Fields>(fields: F, options: { readonly poisonViews?: boolean } = {}): Schema<F> {
  const columns = Object.entries(fields).map(([name, type]): Column => {
    const isNullable = type.endsWith('?')
    const kind = isNullable ? type.slice(0, -1) : type
    if (!kinds.includes(kind) || name === '__proto__') {
      throw new UsageError(
        'SCHEMA',
        `column ${JSON.stringify(name)} has type ${JSON.stringify(type)}; types are ${kinds.join(', ')}, with "?" where null is allowed, and a column cannot be called "__proto__".`,
        { data: { column: name, type } },
      )
    }
    return { name, kind: kind as ColumnKind, isNullable }
  })
  if (columns.length === 0 || columns.length > columnsMax) {
    throw new UsageError('SCHEMA', `a schema has ${columns.length} columns; it must have 1 to ${columnsMax}.`)
  }
  const made: Schema<F> = Object.freeze({
    fields,
    columns,
    hash: hashOf(columns),
    poisonsViews: options.poisonViews ?? process.env.MILLRACE_DEV === '1',
  })
  if (!byHash.has(made.hash)) byHash.set(made.hash, made)
  return made
}

/** Column of values of your own type, held by reference within a thread: `schema({ frame: object<Frame>() })`. */
export function object<T>(): ObjectColumn<T> {
  return 'object' as ObjectColumn<T>
}

/** The first schema of this program with these columns; workers find the schema of a frame by it. */
export function schemaByHash(hash: string): Schema | undefined {
  return byHash.get(hash)
}

function hashOf(columns: readonly Column[]): string {
  const parts = columns.map(({ name, kind, isNullable }) => JSON.stringify([name, kind, isNullable])).sort()
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16)
}
