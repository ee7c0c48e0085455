/**
 * Stream elements as bytes, for the rings between the threads of one process. Not a storage format: numbers lie in the
 * machine's byte order, and both ends run the same program.
 *
 *   element   type:u8, then
 *   rows      header, rows as JSON (tagged where plain JSON would change a value), Uint8Array properties as bytes
 *   columns   schema hash, header, per column: validity, values (raw), and the strings its codes use
 *   header    count, times:f64[], keys, weights, origin
 *
 * Invariants:
 *  R1  decode(encode(e)) equals e: same rows, keys, weights, and origin positions; a selection becomes compact columns.
 *  R2  What decode returns holds copies, never the reader's memory: a ring may reuse it at once.
 */
import { type Batch, type Origin, RowBatch } from '../batch/batch.ts'
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { columnArray } from '../batch/column-builder.ts'
import { type ColumnArray, ColumnBatch, type ColumnStore, columnBatch } from '../batch/columns.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { type Column, type Schema, schemaByHash } from '../batch/schema.ts'
import { InvariantError, OperationalError } from '../errors.ts'
import { parse, stringify, UnsupportedValue } from '../state/codec.ts'
import type { Element } from './element.ts'

const ElementType = { rows: 1, columns: 2, watermark: 3, idle: 4, barrier: 5 } as const
const KeysType = { none: 0, int32: 1, float64: 2, mixed: 3 } as const
const OriginType = { none: 0, numbers: 1, mixed: 2 } as const

/** Finds the schema that a frame of columns was made with. */
export type SchemaLookup = (hash: string) => Schema | undefined

/** @throws OperationalError `ROW_VALUE` when a row holds what cannot cross threads: a class instance, a function */
export function encodeElement(writer: ByteWriter, element: Element): void {
  switch (element.type) {
    case 'batch':
      encodeBatch(writer, element.batch)
      break
    case 'watermark':
      writer.u8(ElementType.watermark)
      writer.f64(element.time)
      break
    case 'idle':
      writer.u8(ElementType.idle)
      writer.u8(element.isIdle ? 1 : 0)
      break
    case 'barrier':
      writer.u8(ElementType.barrier)
      writer.varint(element.epoch)
  }
}

export function decodeElement(reader: ByteReader, lookup: SchemaLookup = schemaByHash): Element {
  const type = reader.u8()
  switch (type) {
    case ElementType.rows:
      return { type: 'batch', batch: decodeRows(reader) }
    case ElementType.columns:
      return { type: 'batch', batch: decodeColumns(reader, lookup) }
    case ElementType.watermark:
      return { type: 'watermark', time: reader.f64() }
    case ElementType.idle:
      return { type: 'idle', isIdle: reader.u8() === 1 }
    case ElementType.barrier:
      return { type: 'barrier', epoch: reader.varint() }
    default:
      throw new InvariantError('FRAME_TYPE', `a frame starts with type ${type}, which no element has.`, {
        data: { type },
      })
  }
}

/** @throws OperationalError `ROW_VALUE` */
export function encodeBatch(writer: ByteWriter, batch: Batch): void {
  if (batch instanceof ColumnBatch) {
    encodeColumns(writer, batch)
    return
  }
  writer.u8(ElementType.rows)
  encodeHeader(writer, batch)
  const rows = batch instanceof RowBatch ? batch.rows : Array.from({ length: batch.length }, (_, i) => batch.keep(i))
  encodeRows(writer, rows)
}

/** @throws InvariantError `FRAME_TYPE` when the frame holds a marker, `FRAME_SCHEMA` when `lookup` does not know its schema */
export function decodeBatch(reader: ByteReader, lookup: SchemaLookup = schemaByHash): Batch {
  const element = decodeElement(reader, lookup)
  if (element.type === 'batch') return element.batch
  throw new InvariantError('FRAME_TYPE', `a frame holds a ${element.type} where a batch belongs.`)
}

// ---- header: everything of a batch but its rows

interface Header {
  readonly count: number
  readonly times: Float64Array
  readonly keys: ArrayLike<CanonicalKey> | undefined
  readonly weights: Int8Array | undefined
  readonly origin: Origin | undefined
}

function encodeHeader(writer: ByteWriter, batch: Batch): void {
  const { length, times, keys, weights, origin } = batch
  writer.varint(length)
  writer.raw(bytesOf(times instanceof Float64Array ? times : Float64Array.from(times)))
  encodeKeys(writer, keys, length)
  writer.u8(weights === undefined ? 0 : 1)
  if (weights !== undefined) writer.raw(bytesOf(weights))
  encodeOrigin(writer, origin, length)
}

function decodeHeader(reader: ByteReader): Header {
  const count = reader.varint()
  const times = new Float64Array(copy(reader, count * 8))
  const keys = decodeKeys(reader, count)
  const weights = reader.u8() === 0 ? undefined : new Int8Array(copy(reader, count))
  return { count, times, keys, weights, origin: decodeOrigin(reader, count) }
}

function encodeKeys(writer: ByteWriter, keys: ArrayLike<CanonicalKey> | undefined, count: number): void {
  if (keys === undefined) {
    writer.u8(KeysType.none)
    return
  }
  let type: number = KeysType.int32
  for (let i = 0; i < count; i++) {
    const key = keys[i]
    if (typeof key !== 'number') {
      type = KeysType.mixed
      break
    }
    if ((key | 0) !== key) type = KeysType.float64
  }
  writer.u8(type)
  if (type === KeysType.int32) writer.raw(bytesOf(Int32Array.from(keys as ArrayLike<number>)))
  else if (type === KeysType.float64) writer.raw(bytesOf(Float64Array.from(keys as ArrayLike<number>)))
  else for (let i = 0; i < count; i++) writer.key(keys[i])
}

function decodeKeys(reader: ByteReader, count: number): ArrayLike<CanonicalKey> | undefined {
  const type = reader.u8()
  switch (type) {
    case KeysType.none:
      return undefined
    case KeysType.int32:
      return new Int32Array(copy(reader, count * 4))
    case KeysType.float64:
      return new Float64Array(copy(reader, count * 8))
    default: {
      const keys = new Array<CanonicalKey>(count)
      for (let i = 0; i < count; i++) keys[i] = reader.key()
      return keys
    }
  }
}

function encodeOrigin(writer: ByteWriter, origin: Origin | undefined, count: number): void {
  if (origin === undefined) {
    writer.u8(OriginType.none)
    return
  }
  const positions = Array.from({ length: count }, (_, i) => origin.at(i))
  const isNumbers = positions.every((at) => typeof at === 'number')
  writer.u8(isNumbers ? OriginType.numbers : OriginType.mixed)
  writer.utf8(origin.source)
  writer.utf8(origin.partition)
  if (isNumbers) writer.raw(bytesOf(Float64Array.from(positions as number[])))
  else for (const at of positions) writer.key(at)
}

function decodeOrigin(reader: ByteReader, count: number): Origin | undefined {
  const type = reader.u8()
  if (type === OriginType.none) return undefined
  const source = reader.utf8()
  const partition = reader.utf8()
  const positions: ArrayLike<string | number> =
    type === OriginType.numbers
      ? new Float64Array(copy(reader, count * 8))
      : Array.from({ length: count }, () => reader.key() as string | number)
  return { source, partition, at: (i) => positions[i] }
}

// ---- plain rows

/** Rows of one JSON text: V8 refuses texts beyond 512 MiB, so what many large rows make together stays below. */
const rowsPerText = 256

function encodeRows(writer: ByteWriter, rows: readonly unknown[]): void {
  for (let from = 0; from < rows.length; from += rowsPerText) {
    const attachments: [row: number, name: string, bytes: Uint8Array][] = []
    const plain = rows.slice(from, from + rowsPerText)
    for (let i = 0; i < plain.length; i++) plain[i] = detachBytes(plain[i], i, attachments)
    writer.utf8(textOf(plain))
    writer.varint(attachments.length)
    for (const [i, name, bytes] of attachments) {
      writer.varint(i)
      writer.key(name)
      writer.bytes(bytes)
    }
  }
}

function decodeRows(reader: ByteReader): RowBatch {
  const { count, times, keys, weights, origin } = decodeHeader(reader)
  return new RowBatch(decodeValues(reader, count), times, keys, weights, origin)
}

function decodeValues(reader: ByteReader, count: number): unknown[] {
  const rows: unknown[] = []
  while (rows.length < count) {
    const from = rows.length
    for (const row of parse(reader.utf8()) as unknown[]) rows.push(row)
    for (let a = reader.varint(); a > 0; a--) {
      const row = rows[from + reader.varint()] as Record<string, Uint8Array>
      const name = reader.key() as string
      row[name] = reader.bytes().slice()
    }
  }
  return rows
}

/**
 * Takes the Uint8Array properties out of a row, so that an image is copied once and never becomes text; null holds
 * their place in the order of properties.
 */
function detachBytes(row: unknown, i: number, attachments: [number, string, Uint8Array][]): unknown {
  if (typeof row !== 'object' || row === null) return row
  const proto: unknown = Object.getPrototypeOf(row)
  if (proto !== Object.prototype) return row
  // The codec escapes rows with a property '$m', which moves their properties; bytes in them become text.
  if (Object.hasOwn(row, '$m')) return row
  let plain: Record<string, unknown> | undefined
  for (const name in row) {
    const value = (row as Record<string, unknown>)[name]
    // '__proto__' cannot be put back by assignment.
    if (!(value instanceof Uint8Array) || name === '__proto__') continue
    plain ??= { ...row }
    plain[name] = null
    attachments.push([i, name, value])
  }
  return plain ?? row
}

function textOf(rows: readonly unknown[]): string {
  try {
    return stringify(rows)
  } catch (cause) {
    const why = cause instanceof UnsupportedValue ? cause.message : `too large for one JSON text (${String(cause)})`
    throw new OperationalError(
      'ROW_VALUE',
      `a row cannot go to another thread: in the batch, ${why}. Map it to plain data (JSON values, bigint, Date, Uint8Array, Map, Set), or run with workers: 1.`,
      { cause },
    )
  }
}

// ---- columns

function encodeColumns(writer: ByteWriter, batch: ColumnBatch): void {
  writer.u8(ElementType.columns)
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

function decodeColumns(reader: ByteReader, lookup: SchemaLookup): ColumnBatch {
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
    if (isNullable) validity[name] = new Uint8Array(copy(reader, count))
    if (kind === 'string') dictionaries[name] = Array.from({ length: reader.varint() }, () => reader.key() as string)
    if (kind === 'bytes') columns[name] = Array.from({ length: count }, () => reader.bytes().slice())
    else if (kind === 'object') columns[name] = decodeValues(reader, count)
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

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** A copy of the next `length` bytes, aligned for every typed array. */
function copy(reader: ByteReader, length: number): ArrayBuffer {
  return reader.raw(length).slice().buffer
}
