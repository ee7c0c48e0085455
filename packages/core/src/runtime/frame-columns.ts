/**
 * A batch of columns in a frame: schema hash, header, per column: validity, values (raw), and the strings its codes use.
 * What its selection leaves out is not sent.
 */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { columnArray } from '../batch/column-builder.ts'
import { type ColumnArray, type ColumnBatch, type ColumnStore, columnBatch } from '../batch/columns.ts'
import type { Column, Schema } from '../batch/schema.ts'
import { InvariantError } from '../errors.ts'
import { bytesOf, copyOf } from './frame-counts.ts'
import { decodeHeader, encodeHeader } from './frame-header.ts'
import { decodeRows, encodeRows } from './frame-rows.ts'

/** Finds the schema that a frame of columns was made with. */
export type SchemaLookup = (hash: string) => Schema | undefined

export function encodeColumns(writer: ByteWriter, batch: ColumnBatch): void {
  writer.utf8(batch.schema.hash)
  encodeHeader(writer, batch)
  for (const column of byName(batch.schema)) {
    const { name, kind, isNullable } = column
    if (isNullable) writer.raw(bytesOf(compact(batch, batch.store.validity[name]) as Uint8Array))
    const values = compact(batch, batch.store.columns[name])
    if (kind === 'string') encodeStrings(writer, values as Uint32Array, batch.store.dictionaries[name])
    else if (!Array.isArray(values)) writer.raw(bytesOf(values))
    else if (kind === 'object') encodeRows(writer, values)
    else for (const bytes of values as (Uint8Array | undefined)[]) writer.bytes(bytes ?? noBytes)
  }
}

/** @throws InvariantError `FRAME_SCHEMA` when `lookup` does not know the schema */
export function decodeColumns(reader: ByteReader, lookup: SchemaLookup): ColumnBatch {
  const hash = reader.utf8()
  const schema = lookup(hash)
  if (schema === undefined) {
    throw new InvariantError(
      'FRAME_SCHEMA',
      `a frame has columns of schema ${hash}, which this thread does not know.`,
      {
        data: { hash },
      },
    )
  }
  const { count, ...parts } = decodeHeader(reader)
  const columns: Record<string, ColumnArray> = {}
  const validity: Record<string, Uint8Array> = {}
  const dictionaries: Record<string, readonly string[]> = {}
  for (const { name, kind, isNullable } of byName(schema)) {
    if (isNullable) validity[name] = new Uint8Array(copyOf(reader, count))
    if (kind === 'string') dictionaries[name] = Array.from({ length: reader.varint() }, () => reader.key() as string)
    if (kind === 'bytes') columns[name] = Array.from({ length: count }, () => reader.bytes().slice())
    else if (kind === 'object') columns[name] = decodeRows(reader, count)
    else {
      const array = columnArray(kind, count) as Exclude<ColumnArray, unknown[]>
      bytesOf(array).set(reader.raw(array.byteLength))
      columns[name] = array
    }
  }
  const store: ColumnStore = { columns, validity, dictionaries }
  return columnBatch(schema, store, count, parts)
}

const noBytes = new Uint8Array(0)
let recode = new Uint32Array(1024)

/** Only the strings in use, then the codes. */
function encodeStrings(writer: ByteWriter, codes: Uint32Array, dictionary: readonly string[]): void {
  if (recode.length < dictionary.length) recode = new Uint32Array(dictionary.length * 2)
  // Code c has become recode[c] - 1.
  recode.fill(0, 0, Math.max(1, dictionary.length))
  const used: string[] = []
  const out = new Uint32Array(codes.length)
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]
    if (recode[code] === 0) recode[code] = used.push(dictionary[code] ?? '')
    out[i] = recode[code] - 1
  }
  writer.varint(used.length)
  for (const text of used) writer.key(text)
  writer.raw(bytesOf(out))
}

/** Values of a column in the batch's order. */
function compact(batch: ColumnBatch, array: ColumnArray): ColumnArray {
  const { selection, length } = batch
  if (selection === undefined) return Array.isArray(array) ? array.slice(0, length) : array.subarray(0, length)
  if (Array.isArray(array)) return Array.from(selection, (i) => array[i])
  const out = new (array.constructor as new (length: number) => Uint8Array)(length)
  for (let j = 0; j < length; j++) out[j] = (array as Uint8Array)[selection[j]]
  return out
}

/** The same order on both ends, whatever the order in the source of the program. */
function byName(schema: Schema): readonly Column[] {
  return schema.columns.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
