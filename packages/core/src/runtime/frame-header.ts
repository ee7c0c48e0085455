/** Everything of a batch but its rows, in a frame: count, times:f64[], keys, weights, origin. */
import type { Batch, Origin } from '../batch/batch.ts'
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { bytesOf, copyOf } from './frame-counts.ts'
import { Hint } from './frame-shape.ts'
import { decodeValues, encodeValues } from './frame-values.ts'

const keyHint = new Hint()
const originHint = new Hint()

export interface Header {
  readonly count: number
  readonly times: Float64Array
  readonly keys: ArrayLike<CanonicalKey> | undefined
  readonly weights: Int8Array | undefined
  readonly origin: Origin | undefined
}

export function encodeHeader(writer: ByteWriter, batch: Batch): void {
  const { length, times, keys, weights, origin } = batch
  writer.varint(length)
  writer.raw(bytesOf(times instanceof Float64Array ? times : new Float64Array(times)))
  encodeKeys(writer, keys, length)
  writer.u8(weights === undefined ? 0 : 1)
  if (weights !== undefined) writer.raw(bytesOf(weights))
  encodeOrigin(writer, origin, length)
}

export function decodeHeader(reader: ByteReader): Header {
  const count = reader.varint()
  const times = new Float64Array(copyOf(reader, count * 8))
  const keys = decodeKeys(reader, count)
  const weights = reader.u8() === 0 ? undefined : new Int8Array(copyOf(reader, count))
  return { count, times, keys, weights, origin: decodeOrigin(reader, count) }
}

function encodeKeys(writer: ByteWriter, keys: ArrayLike<CanonicalKey> | undefined, count: number): void {
  writer.u8(keys === undefined ? 0 : 1)
  if (keys === undefined) return
  const isList = Array.isArray(keys) || ArrayBuffer.isView(keys)
  encodeValues(writer, isList ? (keys as readonly CanonicalKey[]) : Array.from(keys), count, keyHint)
}

function decodeKeys(reader: ByteReader, count: number): ArrayLike<CanonicalKey> | undefined {
  return reader.u8() === 0 ? undefined : (decodeValues(reader, count) as ArrayLike<CanonicalKey>)
}

function encodeOrigin(writer: ByteWriter, origin: Origin | undefined, count: number): void {
  writer.u8(origin === undefined ? 0 : 1)
  if (origin === undefined) return
  writer.utf8(origin.source)
  writer.utf8(origin.partition)
  const positions = new Array<string | number>(count)
  for (let i = 0; i < count; i++) positions[i] = origin.at(i)
  encodeValues(writer, positions, count, originHint)
}

function decodeOrigin(reader: ByteReader, count: number): Origin | undefined {
  if (reader.u8() === 0) return undefined
  const source = reader.utf8()
  const partition = reader.utf8()
  const positions = decodeValues(reader, count) as ArrayLike<string | number>
  return { source, partition, at: (i) => positions[i] }
}
