/** Columns of a CSV file: their names, and how the text of a field becomes a value. */
import { messageOf, OperationalError, UsageError } from 'millrace/connector'

/** A field's type. With `?` an empty field becomes undefined; without it an empty number, bigint or boolean is bad. */
export type ColumnType = BasicType | `${BasicType}?` | ((text: string) => unknown)

type BasicType = 'string' | 'number' | 'bigint' | 'boolean'

/** Names alone (all of them strings), or names with types. */
export type Columns = readonly string[] | Readonly<Record<string, ColumnType>>

type BasicValue<N> = N extends 'string' ? string : N extends 'number' ? number : N extends 'bigint' ? bigint : boolean

type ColumnValue<C> = C extends (text: string) => infer V
  ? V
  : C extends `${infer N}?`
    ? BasicValue<N> | undefined
    : BasicValue<C>

/** The rows that columns with types give. */
export type CsvRow<C> = { [Name in keyof C]: ColumnValue<C[Name]> }

/** Returned by a parser for a text that is no value of the column. */
export const BAD = Symbol('bad value')

export interface Column {
  readonly name: string
  /** What the column holds, for messages. */
  readonly type: string
  /** Index of the field in a record. */
  readonly field: number
  /** Undefined: the text itself. */
  readonly parse: ((text: string) => unknown) | undefined
}

/** Names of the columns as the options give them; undefined when the header line decides. */
export function columnNames(columns: Columns | undefined): readonly string[] | undefined {
  if (columns === undefined) return undefined
  return Array.isArray(columns) ? (columns as readonly string[]) : Object.keys(columns)
}

/** @throws UsageError `CSV_OPTION` for an unknown type, a name that is empty, twice there, or `__proto__` */
export function checkColumns(columns: Columns): void {
  const names = columnNames(columns) as readonly string[]
  const bad = names.length === 0 ? 'columns is empty' : nameProblem(names)
  if (bad !== undefined) throw new UsageError('CSV_OPTION', `${bad}. Give every column a name of its own.`)
  if (!Array.isArray(columns)) for (const [name, type] of Object.entries(columns)) parserOf(name, type as ColumnType)
}

/**
 * Columns to take from records whose fields are called `header`.
 * @throws OperationalError `CSV_HEADER` when a wanted column is not there or the header names a column twice
 */
export function columnsOf(header: readonly string[], wanted: Columns | undefined, path: string): readonly Column[] {
  const names = columnNames(wanted) ?? header
  const missing = names.filter((name) => !header.includes(name))
  const problem = missing.length > 0 ? `has no column ${missing.map((n) => `"${n}"`).join(', ')}` : nameProblem(header)
  if (problem !== undefined) {
    throw new OperationalError(
      'CSV_HEADER',
      `the first line of "${path}" ${problem}; it reads ${JSON.stringify(header)}. Nothing was read. Correct columns or delimiter, or say header: false if the file has no header line.`,
      { data: { path, header } },
    )
  }
  return names.map((name) => {
    const type = wanted === undefined || Array.isArray(wanted) ? 'string' : (wanted as Record<string, ColumnType>)[name]
    return {
      name,
      type: typeof type === 'function' ? 'by function' : type,
      field: header.indexOf(name),
      parse: parserOf(name, type),
    }
  })
}

function parserOf(name: string, type: ColumnType): ((text: string) => unknown) | undefined {
  if (type === 'string') return undefined
  if (typeof type === 'function') return (text) => tryParse(type, text)
  const isOptional = typeof type === 'string' && type.endsWith('?')
  const parse = parsers[isOptional ? type.slice(0, -1) : type]
  if (parse === undefined) {
    throw new UsageError(
      'CSV_OPTION',
      `column "${name}" has type ${JSON.stringify(type)}; it must be 'string', 'number', 'bigint' or 'boolean', with ? when it may be empty, or a function of the text.`,
    )
  }
  return isOptional ? (text) => (text === '' ? undefined : parse(text)) : parse
}

const parsers: Readonly<Record<string, (text: string) => unknown>> = {
  string: (text) => text,
  number(text) {
    const value = Number(text)
    // Number('') and Number(' ') are 0.
    return Number.isNaN(value) || (value === 0 && text.trim() === '') ? BAD : value
  },
  bigint: (text) => (/^[+-]?\d+$/.test(text) ? BigInt(text) : BAD),
  boolean: (text) => (text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : BAD),
}

function tryParse(parse: (text: string) => unknown, text: string): unknown {
  try {
    return parse(text)
  } catch (thrown) {
    return new ParseFailure(messageOf(thrown))
  }
}

/** What a column's function threw. */
export class ParseFailure {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

function nameProblem(names: readonly string[]): string | undefined {
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) return `names a column "${twice}" twice`
  const bad = names.find((name) => typeof name !== 'string' || name === '' || name === '__proto__')
  return bad === undefined ? undefined : `names a column ${JSON.stringify(bad)}`
}
