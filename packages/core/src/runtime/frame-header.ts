/** Everything of a batch but its rows, in a frame: count, times:f64[], keys, weights, origin. */
import type { Batch, Origin } from '../batch/batch.ts'
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { bytesOf, copyOf } from './frame-counts.ts'
import { Hint } from './frame-shape.ts'
import { decodeValues, encodeValues } from './frame-values.ts'

const KeysType = { none: 0, int32: 1, float64: 2, mixed: 3 } as const

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
  else encodeValues(writer, Array.isArray(keys) ? keys : Array.from(keys), count, keyHint)
}

function decodeKeys(reader: ByteReader, count: number): ArrayLike<CanonicalKey> | undefined {
  const type = reader.u8()
  switch (type) {
    case KeysType.none:
      return undefined
    case KeysType.int32:
      return new Int32Array(copyOf(reader, count * 4))
    case KeysType.float64:
      return new Float64Array(copyOf(reader, count * 8))
    default:
      return decodeValues(reader, count) as ArrayLike<CanonicalKey>
  }
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
