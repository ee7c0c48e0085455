/** Everything of a batch but its rows, in a frame: count, times:f64[], keys, weights, origin. */
import type { Batch, Origin } from '../batch/batch.ts'
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { bytesOf, copyOf } from './frame-counts.ts'

const KeysType = { none: 0, int32: 1, float64: 2, mixed: 3 } as const
const OriginType = { none: 0, numbers: 1, mixed: 2 } as const

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
  writer.raw(bytesOf(times instanceof Float64Array ? times : Float64Array.from(times)))
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
  else for (let i = 0; i < count; i++) writer.key(keys[i])
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
      ? new Float64Array(copyOf(reader, count * 8))
      : Array.from({ length: count }, () => reader.key() as string | number)
  return { source, partition, at: (i) => positions[i] }
}
