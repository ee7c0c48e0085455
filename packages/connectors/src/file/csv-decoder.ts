/** Decodes CSV: one record per line, fields with types, the first line naming the columns unless told otherwise. */
import { OperationalError } from 'millrace/connector'
import { BAD, type Column, type Columns, columnNames, columnsOf, ParseFailure } from './csv-columns.ts'
import { BAD_QUOTE, FieldCutter, OPEN } from './csv-fields.ts'
import { type Decoded, type RecordDecoder, type Reject, tooLarge } from './decoder.ts'
import { LineCutter, NEED_MORE, type TextEncoding, TOO_LARGE } from './lines.ts'
import { type StandardSchema, validate } from './standard-schema.ts'

export interface CsvFormat<T> {
  readonly path: string
  readonly delimiter: number
  readonly quote: number
  readonly hasHeader: boolean
  readonly columns: Columns | undefined
  readonly maxRecordBytes: number
  readonly encoding: TextEncoding
  readonly schema: StandardSchema<T> | undefined
}

export class CsvDecoder<T> implements RecordDecoder<T> {
  readonly headBytes: number
  readonly #format: CsvFormat<T>
  readonly #reject: Reject
  readonly #lines: LineCutter
  readonly #fields: FieldCutter
  #bytes: Buffer = Buffer.alloc(0)
  /** Undefined until the header was read. */
  #columns: readonly Column[] | undefined
  /** Fields that every record has. */
  #width = 0

  constructor(position: { readonly byte: number; readonly line: number }, format: CsvFormat<T>, reject: Reject) {
    this.#format = format
    this.#reject = reject
    this.#lines = new LineCutter(format.maxRecordBytes, format.encoding, position.line, position.byte === 0)
    this.#fields = new FieldCutter(format.delimiter, format.quote)
    this.headBytes = format.hasHeader ? format.maxRecordBytes : 0
    if (!format.hasHeader) this.#setHeader(columnNames(format.columns) as readonly string[])
  }

  get line(): number {
    return this.#lines.line
  }

  get skipped(): number {
    return this.#lines.skipped
  }

  /** Reading starts in the middle: the names of the columns are in the file's first record. */
  head(bytes: Buffer): void {
    const first = new CsvDecoder<T>({ byte: 0, line: 0 }, { ...this.#format, schema: undefined }, () => {})
    first.load(bytes)
    first.decode(0, 1, true, { rows: [], at: [] })
    this.#columns = first.#columns
    this.#width = first.#width
  }

  load(bytes: Buffer): void {
    this.#bytes = bytes
    this.#lines.load(bytes)
  }

  decode(from: number, maxRows: number, isLast: boolean, out: Decoded<T>): number {
    const lines = this.#lines
    const fields = this.#fields
    while (out.rows.length < maxRows) {
      const found = lines.cut(from, isLast)
      if (found === NEED_MORE) return lines.next
      if (found === TOO_LARGE) {
        this.#tooLarge()
      } else if (lines.end > lines.start) {
        const cut = fields.cut(this.#bytes, lines.start, lines.end, lines.next, isLast)
        if (cut === OPEN && !isLast && this.#bytes.length - lines.start <= this.#format.maxRecordBytes) {
          lines.uncut()
          return from
        }
        if (cut === OPEN || cut === BAD_QUOTE || fields.end - lines.start > this.#format.maxRecordBytes)
          this.#badQuote(cut)
        else this.#record(out)
      }
      from = lines.next
    }
    return from
  }

  #record({ rows, at }: Decoded<T>): void {
    const lines = this.#lines
    const fields = this.#fields
    const line = lines.line
    if (fields.lineBreaks > 0) lines.extend(fields.end, fields.next, fields.lineBreaks)
    if (!lines.isText(lines.start, lines.end)) {
      this.#reject('UTF8_INVALID', 'the record is not valid UTF-8.', line, lines.raw())
    } else if (this.#columns === undefined) {
      this.#setHeader(Array.from({ length: fields.count }, (_, i) => this.#text(i)))
    } else if (fields.count !== this.#width) {
      const hint = lines.isUnfinished() ? ' The file ends in this line without a line break: it may be cut off.' : ''
      this.#reject(
        'CSV_FIELDS',
        `the record has ${fields.count} fields instead of ${this.#width}.${hint}`,
        line,
        lines.raw(),
      )
    } else {
      const row = this.#row(line)
      if (row === undefined) return
      rows.push(row)
      at.push(line)
    }
  }

  #row(line: number): T | undefined {
    const row: Record<string, unknown> = {}
    for (const column of this.#columns as readonly Column[]) {
      const text = this.#text(column.field)
      const value = column.parse === undefined ? text : column.parse(text)
      if (value === BAD || value instanceof ParseFailure) {
        const why = value === BAD ? `is no ${column.type}` : `was refused by the column's function: ${value.message}`
        const message = `column "${column.name}": ${JSON.stringify(text.slice(0, 100))} ${why}.`
        this.#reject('CSV_VALUE', message, line, this.#lines.raw())
        return undefined
      }
      row[column.name] = value
    }
    const { schema } = this.#format
    if (schema === undefined) return row as T
    const checked = validate(schema, row)
    if (checked.problem === undefined) return checked.value
    const message = `the record does not fit the schema: ${checked.problem}`
    this.#reject('SCHEMA_MISS', message, line, this.#lines.raw())
    return undefined
  }

  #text(field: number): string {
    const { starts, ends, isEscaped } = this.#fields
    const text = this.#lines.copy(starts[field], ends[field])
    if (!isEscaped[field]) return text
    const quote = String.fromCharCode(this.#format.quote)
    return text.replaceAll(quote + quote, quote)
  }

  #setHeader(names: readonly string[]): void {
    this.#columns = columnsOf(names, this.#format.columns, this.#format.path)
    this.#width = names.length
  }

  /** Costs the record's first line: the next line begins a new record. */
  #badQuote(cut: number): void {
    if (this.#columns === undefined) throw this.#headerError('has a quote that is not closed')
    const why =
      cut === BAD_QUOTE
        ? 'a closing quote is followed by more text'
        : `a quote is not closed before the file ends or the record reaches ${this.#format.maxRecordBytes} bytes`
    const message = `${why}. Reading goes on with the next line. Inside a quoted field a quote must be doubled.`
    this.#reject('CSV_QUOTE', message, this.#lines.line, this.#lines.raw())
  }

  #tooLarge(): void {
    if (this.#columns === undefined) throw this.#headerError(`is longer than ${this.#format.maxRecordBytes} bytes`)
    const message = tooLarge('record', this.#format.maxRecordBytes)
    this.#reject('RECORD_TOO_LARGE', message, this.#lines.line, this.#lines.rawTooLarge())
  }

  #headerError(what: string): OperationalError {
    const { path } = this.#format
    return new OperationalError(
      'CSV_HEADER',
      `the first line of "${path}" ${what}, so its columns have no names. Nothing was read. Correct quote, or say header: false and name the columns if the file has no header line.`,
      { data: { path } },
    )
  }
}
