/** Small non-negative integers of a frame (lengths, codes) in as few bytes each as the greatest needs; none when all are equal. */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'

let narrow = new Uint16Array(1024)

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
    return
  }
  const width = max < 2 ** 8 ? 1 : max < 2 ** 16 ? 2 : 4
  writer.u8(width)
  if (width === 4) {
    writer.raw(new Uint8Array(counts.buffer, counts.byteOffset, n * 4))
    return
  }
  if (narrow.length < n) narrow = new Uint16Array(n * 2)
  const out = width === 1 ? new Uint8Array(narrow.buffer) : narrow
  for (let i = 0; i < n; i++) out[i] = counts[i]
  writer.raw(new Uint8Array(narrow.buffer, 0, n * width))
}

/** Valid as long as the reader's memory. */
export function readCounts(reader: ByteReader, n: number): ArrayLike<number> {
  const width = reader.u8()
  if (width === 0) return new Uint32Array(n).fill(reader.varint())
  const bytes = reader.raw(n * width)
  if (width === 1) return bytes
  const { buffer, byteOffset } = aligned(bytes, width)
  return width === 2 ? new Uint16Array(buffer, byteOffset, n) : new Uint32Array(buffer, byteOffset, n)
}

/** Bytes that `readAligned` reads in place: typed arrays begin at multiples of 8. */
export function writeAligned(writer: ByteWriter, bytes: Uint8Array): void {
  // Frames begin at multiples of 8 in a ring. Where one does not, the reader copies.
  const pad = (7 - (writer.length & 7)) & 7
  writer.u8(pad)
  for (let i = 0; i < pad; i++) writer.u8(0)
  writer.raw(bytes)
}

/** Valid as long as the reader's memory. */
export function readAligned(reader: ByteReader, length: number): Uint8Array {
  reader.raw(reader.u8())
  return aligned(reader.raw(length), 8)
}

/** The same bytes where a typed array of `width` bytes may lie: in place, or copied. */
function aligned(bytes: Uint8Array, width: number): Uint8Array {
  return bytes.byteOffset % width === 0 ? bytes : bytes.slice()
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** A copy of the next `length` bytes, aligned for every typed array. */
export function copyOf(reader: ByteReader, length: number): ArrayBuffer {
  return reader.raw(length).slice().buffer
}
