/** How records lie in the bytes of a socket: JSON lines, text lines, or records behind their length. */
import { type Batch, markedRow, OperationalError, UsageError } from 'millrace/connector'
import { BinaryDecoder } from '../file/binary-decoder.ts'
import type { RecordDecoder, Reject } from '../file/decoder.ts'
import { JsonLinesDecoder } from '../file/json-lines-decoder.ts'
import { jsonLine } from '../file/json-lines-encoder.ts'
import {
  checkPrefix,
  type LengthPrefix,
  prefixBytes,
  prefixMax,
  readPrefix,
  writePrefix,
} from '../file/length-prefix.ts'
import { checkSchema, type StandardSchema } from '../file/standard-schema.ts'
import { wholeNumber } from '../http/options.ts'
import { TextLinesDecoder } from './text-lines-decoder.ts'

/** Cuts records out of bytes, and makes bytes of rows. Made by `json`, `text` and `lengthPrefixed`. */
export interface SocketFormat<T> {
  readonly name: string
  /** Records end with a line break. */
  readonly isLines: boolean
  /** Longer records are skipped without being held in memory. */
  readonly maxRecordBytes: number
  /** False when no record can end in these bytes, so that looking at what came before them again is of no use. */
  endsIn(bytes: Buffer): boolean
  decoder(reject: Reject): RecordDecoder<T>
  /** Records in whole datagrams that nobody will decode. */
  count(bytes: Buffer): number
  /** True: `encode` writes the member `$weight: -1` of rows that are taken back. Default: such rows are refused. */
  readonly takesChanges?: boolean
  /** The bytes of a row, its end included. Throws what is wrong with it. */
  encode(row: T): string | Uint8Array
}

/** A longer line is nearly always a missing line break, and a connection may hold this much. */
const MAX_RECORD_BYTES = 1024 * 1024
const NEWLINE = 10
const RETURN = 13

export interface JsonFormatOptions<T> {
  /** A Standard Schema (zod, valibot, arktype, ...) that every record must fit; others are `SCHEMA_MISS`. */
  readonly schema?: StandardSchema<T>
  /** Longer lines are skipped and rejected. Default 1 MiB. */
  readonly maxLineBytes?: number
}

/**
 * A JSON value per line, UTF-8. The default of all sockets.
 * @throws UsageError `LIVE_OPTION`, `SCHEMA_SHAPE`
 * @example json().name // => 'json'
 */
export function json<T>(options: JsonFormatOptions<T> = {}): SocketFormat<T> {
  const { schema } = options
  if (schema !== undefined) checkSchema(schema)
  const maxLineBytes = wholeNumber('maxLineBytes', options.maxLineBytes ?? MAX_RECORD_BYTES, 1, 2 ** 28)
  return {
    ...linesOf('json', maxLineBytes),
    takesChanges: true,
    decoder: (reject) =>
      new JsonLinesDecoder<T>({ byte: 0, line: 0 }, { maxLineBytes, encoding: 'utf8', schema }, reject),
    encode: jsonLine,
  }
}

/**
 * A text per line, UTF-8, without its line break. Empty lines are skipped.
 * @throws UsageError `LIVE_OPTION`
 * @example text().encode('a line') // => 'a line\n'
 */
export function text(options: Pick<JsonFormatOptions<string>, 'maxLineBytes'> = {}): SocketFormat<string> {
  const maxLineBytes = wholeNumber('maxLineBytes', options.maxLineBytes ?? MAX_RECORD_BYTES, 1, 2 ** 28)
  return {
    ...linesOf('text', maxLineBytes),
    decoder: (reject) => new TextLinesDecoder(maxLineBytes, reject),
    encode(row) {
      if (typeof row !== 'string') throw new TypeError(`it is a ${typeof row} and not a text; map it to one`)
      if (row.includes('\n')) throw new TypeError('it holds a line break, which would make two lines of it')
      return `${row}\n`
    },
  }
}

export interface LengthPrefixedOptions<T> {
  /** What stands in front of each record: its length without the prefix itself. */
  readonly prefix: LengthPrefix
  /** Source: one record's bytes; copy what you keep of them. What it throws refuses the record. */
  readonly decode?: (bytes: Uint8Array) => T
  /** Sink: one row's bytes. */
  readonly encode?: (row: T) => Uint8Array
  /** Longer records are skipped and rejected. Default 1 MiB. */
  readonly maxRecordBytes?: number
}

/**
 * Binary records, each behind its length.
 * @throws UsageError `LIVE_OPTION`, `BINARY_OPTION`
 * @example lengthPrefixed<number>({ prefix: 'u16be', decode: (b) => b[0] }).name // => 'lengthPrefixed u16be'
 */
export function lengthPrefixed<T>(options: LengthPrefixedOptions<T>): SocketFormat<T> {
  const { prefix, decode, encode } = options
  checkPrefix(prefix)
  if (decode === undefined && encode === undefined) {
    throw new UsageError('LIVE_OPTION', 'lengthPrefixed needs decode, as a source, or encode, as a sink.')
  }
  const maxRecordBytes = wholeNumber('maxRecordBytes', options.maxRecordBytes ?? MAX_RECORD_BYTES, 1, 2 ** 28)
  const head = prefixBytes(prefix)
  return {
    name: `lengthPrefixed ${prefix}`,
    isLines: false,
    maxRecordBytes,
    endsIn: () => true,
    decoder(reject) {
      if (decode === undefined) throw new UsageError('LIVE_OPTION', 'a source of lengthPrefixed needs decode.')
      return new BinaryDecoder<T>({ line: 0 }, { recordBytes: undefined, prefix, maxRecordBytes, decode }, reject)
    },
    count(bytes) {
      let records = 0
      for (let at = 0; at < bytes.length; records++) {
        at += head + (bytes.length - at < head ? 0 : readPrefix(bytes, at, prefix))
      }
      return records
    },
    encode(row) {
      if (encode === undefined) throw new UsageError('LIVE_OPTION', 'a sink of lengthPrefixed needs encode.')
      const body = encode(row)
      if (body.length > prefixMax(prefix)) {
        throw new RangeError(`it has ${body.length} bytes and a ${prefix} prefix counts up to ${prefixMax(prefix)}`)
      }
      const bytes = Buffer.allocUnsafe(head + body.length)
      writePrefix(bytes, 0, prefix, body.length)
      bytes.set(body, head)
      return bytes
    },
  }
}

/** The bytes of row `i`. @throws OperationalError `RECORD_ENCODE` when the format has no form for it */
export function encodeRow<T>(format: SocketFormat<T>, batch: Batch<T>, i: number, step: string): Buffer {
  try {
    const encoded = format.encode(markedRow(batch, i))
    return typeof encoded === 'string'
      ? Buffer.from(encoded, 'utf8')
      : Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    const what = thrown instanceof Error ? thrown.message : String(thrown)
    throw new OperationalError(
      'RECORD_ENCODE',
      `a row for "${step}" cannot be sent as ${format.name}: ${what}. The flow stops; map such rows to plain values before the sink.`,
      { step, cause: thrown },
    )
  }
}

function linesOf(name: string, maxRecordBytes: number) {
  return {
    name,
    isLines: true,
    maxRecordBytes,
    endsIn: (bytes: Buffer) => bytes.includes(NEWLINE),
    count: countLines,
  }
}

/** Lines that are not empty; the last one may lack its line break. */
function countLines(bytes: Buffer): number {
  let lines = 0
  for (let from = 0; from < bytes.length; ) {
    const found = bytes.indexOf(NEWLINE, from)
    const end = found === -1 ? bytes.length : found
    if (end > from && !(end === from + 1 && bytes[from] === RETURN)) lines++
    from = end + 1
  }
  return lines
}
