/** JSON lines: one JSON value per line, as source and as sink. */
import {
  bytesOption,
  DEFAULT_RECORD_BYTES,
  type FileConnector,
  type FileOptions,
  fileConnector,
} from './file-connector.ts'
import { JsonLinesDecoder } from './json-lines-decoder.ts'
import { jsonLine } from './json-lines-encoder.ts'
import type { TextEncoding } from './lines.ts'
import { checkSchema, type StandardSchema } from './standard-schema.ts'

export interface JsonLinesOptions<T> extends FileOptions {
  /** Source: a Standard Schema (zod, valibot, arktype, ...) that every record must fit; others are `SCHEMA_MISS`. */
  readonly schema?: StandardSchema<T>
  /** Source: longer lines are skipped without being held in memory, and rejected. Default 1 MiB. */
  readonly maxLineBytes?: number
  /** Source: how bytes are read as text. Default 'utf8'. Sinks write UTF-8. */
  readonly encoding?: TextEncoding
}

/**
 * Reads or writes a file with one JSON value per line.
 *
 * As a source it resumes at the exact byte. Empty lines are skipped, a byte order mark is ignored, LF and CRLF end a
 * line. A line that is no JSON (`JSON_INVALID`), no UTF-8 (`UTF8_INVALID`), too long (`RECORD_TOO_LARGE`) or does not
 * fit the schema (`SCHEMA_MISS`) goes to the source's error policy, and reading goes on with the next line.
 *
 * As a sink it is exactly-once: readers of the file see committed rows only, each once. A bigint is written as a decimal
 * text (JSON numbers lose digits beyond 2^53), a Date as ISO text, NaN and infinities as null. A row that is taken back
 * has the member `"$weight": -1`.
 *
 * @throws UsageError `FILE_PATH`, `FILE_OPTION`, `DURATION`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `FILE_MISSING`, `FILE_TRUNCATED`, `FILE_EXISTS`, `FILE_SHORTER`, `RECORD_ENCODE`
 * @example jsonLines({ path: 'readings.jsonl' }).describe() // => { path: 'readings.jsonl' }
 */
export function jsonLines<T>(options: JsonLinesOptions<T>): FileConnector<T> {
  const { schema, encoding = 'utf8' } = options
  const maxLineBytes = bytesOption('maxLineBytes', options.maxLineBytes ?? DEFAULT_RECORD_BYTES)
  if (schema !== undefined) checkSchema(schema)
  return fileConnector<T>(options, {
    kind: 'file.jsonLines',
    describe: schema === undefined ? {} : { schema: schema['~standard'].vendor },
    takesChanges: true,
    decoder: (_path, position, reject) => new JsonLinesDecoder(position, { maxLineBytes, encoding, schema }, reject),
    encoding: () => ({ header: new Uint8Array(0), encode: jsonLine }),
  })
}
