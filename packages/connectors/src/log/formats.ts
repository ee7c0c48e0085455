/** How the rows of a flow become records of a topic, and back. */
import { UsageError } from 'millrace/connector'
import { jsonText } from '../file/json-lines-encoder.ts'
import type { LogRecord } from './records.ts'

export interface EncodedRecord {
  /** Default: what the option `key` gives, else none. */
  readonly key?: string | Uint8Array | null
  readonly value: string | Uint8Array | null
  readonly headers?: Readonly<Record<string, string | Uint8Array>>
  /** Default: the row's event time. */
  readonly timestamp?: number
}

/** A format of one's own. What `decode` throws rejects the record; what `encode` throws stops the flow. */
export interface RecordFormat<T> {
  readonly name: string
  readonly decode: (record: LogRecord) => T
  readonly encode: (row: T) => EncodedRecord
  /** True: `encode` writes the member `$weight: -1` of rows that are taken back. Default: such rows are refused. */
  readonly takesChanges?: boolean
}

/** 'json': the value is JSON. 'text': the row is the value as UTF-8 text. 'bytes': the row is the value. */
export type FormatName = 'json' | 'text' | 'bytes'

/** Thrown by decoders that know the code of what is wrong. */
export class Undecodable extends Error {
  readonly code: 'JSON_INVALID' | 'UTF8_INVALID' | 'LOG_VALUE_MISSING'

  constructor(code: 'JSON_INVALID' | 'UTF8_INVALID' | 'LOG_VALUE_MISSING', message: string) {
    super(message)
    this.code = code
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws UsageError `LOG_OPTION` */
export function formatOf<T>(format: FormatName | RecordFormat<T>): RecordFormat<T> {
  if (typeof format === 'object') return format
  const known: Readonly<Record<FormatName, { decode: (record: LogRecord) => unknown; encode: (row: T) => unknown }>> = {
    json: { decode: (record) => parse(text(value(record))), encode: jsonText },
    text: { decode: (record) => text(value(record)), encode: String },
    bytes: { decode: value, encode: (row) => row },
  }
  const { decode, encode } = known[format] ?? {}
  if (decode === undefined)
    throw new UsageError(
      'LOG_OPTION',
      `format is ${JSON.stringify(format)}; it must be 'json', 'text', 'bytes' or a format.`,
    )
  return {
    name: format,
    takesChanges: format === 'json',
    decode: decode as (record: LogRecord) => T,
    encode: (row) => ({ value: encode(row) as string | Uint8Array }),
  }
}

function value(record: LogRecord): Uint8Array {
  if (record.value !== null) return record.value
  throw new Undecodable('LOG_VALUE_MISSING', 'the record has no value (a tombstone); a format of your own can read it')
}

function text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new Undecodable('UTF8_INVALID', 'the value is not valid UTF-8')
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (thrown) {
    throw new Undecodable('JSON_INVALID', `the value is no JSON: ${(thrown as Error).message}`)
  }
}
