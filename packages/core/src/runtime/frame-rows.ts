/** Untyped rows in a frame: a column of values whose form is found by looking at them. */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { OperationalError } from '../errors.ts'
import { checkValue, UnsupportedValue } from '../state/codec.ts'
import { Hint } from './frame-shape.ts'
import { decodeValues, encodeValues } from './frame-values.ts'

const hint = new Hint()

/** @throws OperationalError `ROW_VALUE` when a row holds what cannot cross threads: a class instance, a function */
export function encodeRows(writer: ByteWriter, rows: readonly unknown[]): void {
  try {
    encodeValues(writer, rows, rows.length, hint)
  } catch (error) {
    throw refused(rows, error)
  }
}

export function decodeRows(reader: ByteReader, count: number): unknown[] {
  const rows = decodeValues(reader, count)
  return Array.isArray(rows) ? rows : Array.from(rows)
}

function refused(rows: readonly unknown[], error: unknown): OperationalError {
  let cause = error
  try {
    // Columns know nothing of the path to a value from its row; the codec's own walk does.
    checkValue(rows)
  } catch (found) {
    cause = found
  }
  const why = cause instanceof UnsupportedValue ? cause.message : `it cannot be encoded (${String(cause)})`
  return new OperationalError(
    'ROW_VALUE',
    `a row cannot go to another thread: in the batch, ${why}. Map it to plain data (JSON values, bigint, Date, Uint8Array, Map, Set), or run with workers: 1.`,
    { cause },
  )
}
