/** Small non-negative integers of a frame (lengths, codes) in as few bytes each as the greatest needs; none when all are equal. */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'

/** `counts[0 .. n)`, each below 2^32. */
export function writeCounts(writer: ByteWriter, counts: Uint32Array, n: number): void {
  const first = n === 0 ? 0 : counts[0]
  let isConstant = true
  let max = 0
  for (let i = 0; i < n; i++) {
    const count = counts[i]
    if (count !== first) isConstant = false
    if (count > max) max = count
  }
  if (isConstant) {
    writer.u8(0)
    writer.varint(first)
  } else if (max < 2 ** 8) {
    writer.u8(1)
    writer.raw(Uint8Array.from(counts.subarray(0, n)))
  } else if (max < 2 ** 16) {
    writer.u8(2)
    writer.raw(bytesOf(Uint16Array.from(counts.subarray(0, n))))
  } else {
    writer.u8(4)
    writer.raw(bytesOf(counts.subarray(0, n)))
  }
}

export function readCounts(reader: ByteReader, n: number): Uint32Array {
  const width = reader.u8()
  if (width === 0) return new Uint32Array(n).fill(reader.varint())
  const bytes = reader.raw(n * width)
  if (width === 1) return Uint32Array.from(bytes)
  const buffer = bytes.slice().buffer
  return width === 2 ? Uint32Array.from(new Uint16Array(buffer)) : new Uint32Array(buffer)
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** A copy of the next `length` bytes, aligned for every typed array. */
export function copyOf(reader: ByteReader, length: number): ArrayBuffer {
  return reader.raw(length).slice().buffer
}
