/**
 * Stream elements as bytes, for the rings between the threads of one process. Not a storage format: numbers lie in the
 * machine's byte order, and both ends run the same program.
 *
 *   element   type:u8, then
 *   rows      header, rows (frame-header.ts, frame-rows.ts)
 *   columns   frame-columns.ts
 *
 * Invariants:
 *  R1  decode(encode(e)) equals e: same rows, keys, weights, and origin positions; a selection becomes compact columns,
 *      and an object without a prototype an ordinary one.
 *  R2  What decode returns holds copies, never the reader's memory: a ring may reuse it at once.
 */
import { type Batch, RowBatch } from '../batch/batch.ts'
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { ColumnBatch } from '../batch/columns.ts'
import { schemaByHash } from '../batch/schema.ts'
import { InvariantError } from '../errors.ts'
import type { Element } from './element.ts'
import { decodeColumns, encodeColumns, type SchemaLookup } from './frame-columns.ts'
import { decodeHeader, encodeHeader } from './frame-header.ts'
import { decodeRows, encodeRows } from './frame-rows.ts'

const ElementType = { rows: 1, columns: 2, watermark: 3, idle: 4, barrier: 5 } as const

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
      return { type: 'batch', batch: decodeRowBatch(reader) }
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
    writer.u8(ElementType.columns)
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

function decodeRowBatch(reader: ByteReader): RowBatch {
  const { count, times, keys, weights, origin } = decodeHeader(reader)
  return new RowBatch(decodeRows(reader, count), times, keys, weights, origin)
}
