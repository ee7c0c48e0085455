/** CSV: one record per line, as source and as sink. */
import { UsageError } from 'millrace/connector'
import { type Columns, type ColumnType, type CsvRow, checkColumns, columnNames } from './csv-columns.ts'
import { CsvDecoder } from './csv-decoder.ts'
import { csvEncoder } from './csv-encoder.ts'
import {
  bytesOption,
  DEFAULT_RECORD_BYTES,
  type FileConnector,
  type FileOptions,
  fileConnector,
} from './file-connector.ts'
import type { TextEncoding } from './lines.ts'
import { checkSchema, type StandardSchema } from './standard-schema.ts'

export interface CsvOptions extends FileOptions {
  /**
   * The columns, by name. As a source: those to read, with types or (an array) as texts; default all of them, as texts.
   * As a sink: those to write, in this order; required. A sink's name with dots reaches into a row: 'window.start'.
   */
  readonly columns?: Columns
  /** The file's first line names the columns. Default true. Without a header a source's records must have all `columns`. */
  readonly header?: boolean
  /** One ASCII character between fields. Default ','. */
  readonly delimiter?: string
  /** One ASCII character around fields that hold delimiters, line breaks or quotes; false: there is none. Default '"'. */
  readonly quote?: string | false
  /** Source: longer records are skipped, and rejected; a quote must be closed within it. Default 1 MiB. */
  readonly maxRecordBytes?: number
  /** Source: how bytes are read as text. Default 'utf8'. Sinks write UTF-8. */
  readonly encoding?: TextEncoding
}

/**
 * Reads or writes a CSV file (RFC 4180: quoted fields may hold delimiters, doubled quotes and line breaks).
 *
 * As a source it resumes at the exact byte. Records with another number of fields (`CSV_FIELDS`), a value that is not of
 * its column's type (`CSV_VALUE`), a quote that is not closed (`CSV_QUOTE`), no UTF-8 (`UTF8_INVALID`), too long
 * (`RECORD_TOO_LARGE`) or not fitting the schema (`SCHEMA_MISS`) go to the source's error policy; reading goes on with
 * the next line. Empty lines are skipped.
 *
 * As a sink it is exactly-once, and the header is written once. undefined and null become empty fields, a Date ISO text,
 * objects JSON. A column `$weight` has 1, or -1 for a row that is taken back; without it such rows are refused. Texts that a spreadsheet would take for formulas are written as they are.
 *
 * @throws UsageError `FILE_PATH`, `FILE_OPTION`, `CSV_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `CSV_HEADER`, and those of `jsonLines`
 * @example csv({ path: 'flights.csv', columns: { origin: 'string', delay: 'number?' } }).kind // => 'file.csv'
 */
export function csv<const C extends Readonly<Record<string, ColumnType>>>(
  options: CsvOptions & { readonly columns: C; readonly schema?: undefined },
): FileConnector<CsvRow<C>>
export function csv<T = Record<string, string>>(
  options: CsvOptions & { readonly schema?: StandardSchema<T> },
): FileConnector<T>
export function csv<T>(options: CsvOptions & { readonly schema?: StandardSchema<T> | undefined }): FileConnector<T> {
  const { columns, header = true, encoding = 'utf8', schema } = options
  const delimiter = asciiCode('delimiter', options.delimiter ?? ',')
  const quote = options.quote === false ? -1 : asciiCode('quote', options.quote ?? '"')
  if (delimiter === quote) throw new UsageError('CSV_OPTION', 'delimiter and quote are the same character.')
  if (columns !== undefined) checkColumns(columns)
  else if (!header)
    throw new UsageError('CSV_OPTION', 'a file without a header line needs columns: [...], to name its fields.')
  if (schema !== undefined) checkSchema(schema)
  const maxRecordBytes = bytesOption('maxRecordBytes', options.maxRecordBytes ?? DEFAULT_RECORD_BYTES)
  const names = columnNames(columns)
  return fileConnector<T>(options, {
    kind: 'file.csv',
    describe: {
      ...(names === undefined ? {} : { columns: names }),
      ...(schema === undefined ? {} : { schema: schema['~standard'].vendor }),
    },
    takesChanges: names?.includes('$weight') ?? false,
    decoder: (path, position, reject) =>
      new CsvDecoder<T>(
        position,
        { path, delimiter, quote, hasHeader: header, columns, maxRecordBytes, encoding, schema },
        reject,
      ),
    encoding: () => csvEncoder(names, { delimiter, quote, hasHeader: header }),
  })
}

function asciiCode(name: string, text: string): number {
  const code = typeof text === 'string' && text.length === 1 ? text.charCodeAt(0) : -1
  if (code >= 0 && code < 128 && text !== '\n' && text !== '\r') return code
  throw new UsageError(
    'CSV_OPTION',
    `${name} is ${JSON.stringify(text)}; it must be one ASCII character other than a line break.`,
  )
}
