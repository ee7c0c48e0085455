/** Rows as lines of CSV. */
import { UsageError } from 'millrace/connector'
import { jsonText } from './json-lines-encoder.ts'

/** @throws UsageError `CSV_COLUMNS` when there are no columns to write */
export function csvEncoder(
  names: readonly string[] | undefined,
  format: { readonly delimiter: number; readonly quote: number; readonly hasHeader: boolean },
): { header: Uint8Array; encode: (row: unknown) => string } {
  if (names === undefined) {
    throw new UsageError(
      'CSV_COLUMNS',
      `a CSV sink needs to know its columns, as the header is written before the first row: give it columns: ['key', 'window.start', ...].`,
    )
  }
  const delimiter = String.fromCharCode(format.delimiter)
  const quote = format.quote === -1 ? undefined : String.fromCharCode(format.quote)
  const needsQuotes = (text: string): boolean =>
    text.includes(delimiter) ||
    text.includes('\n') ||
    text.includes('\r') ||
    (quote !== undefined && text.includes(quote))

  const field = (text: string, name: string): string => {
    if (!needsQuotes(text)) return text
    if (quote === undefined) {
      throw new TypeError(`column "${name}" holds a delimiter or a line break, and there is no quote to put around it`)
    }
    return quote + text.replaceAll(quote, quote + quote) + quote
  }
  const line = (texts: readonly string[]): string => {
    const text = texts.map((value, i) => field(value, names[i])).join(delimiter)
    // An empty line would be skipped by readers.
    return text === '' && quote !== undefined ? `${quote}${quote}\n` : `${text}\n`
  }
  const paths = names.map((name) => name.split('.'))
  return {
    header: Buffer.from(format.hasHeader ? line(names) : ''),
    encode(row) {
      if (typeof row !== 'object' || row === null)
        throw new TypeError(`it is ${row === null ? 'null' : `a ${typeof row}`} and has no columns`)
      return line(names.map((name, i) => fieldText(valueAt(row, name, paths[i]) ?? absent(name))))
    },
  }
}

/** A row that is not marked as taken back counts. */
function absent(name: string): number | undefined {
  return name === '$weight' ? 1 : undefined
}

/** The row's own field of that name, else what the dotted name reaches. */
function valueAt(row: object, name: string, path: readonly string[]): unknown {
  if (path.length === 1 || Object.hasOwn(row, name)) return (row as Record<string, unknown>)[name]
  let value: unknown = row
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

function fieldText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'undefined':
      return ''
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      if (value === null) return ''
      return value instanceof Date ? value.toISOString() : jsonText(value)
  }
}
