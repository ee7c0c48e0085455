/**
 * A column of strings in a frame: a dictionary and codes where strings repeat, else all of them one after another.
 *
 *   column   isDictionary:u8, [entries, slab of the entries, codes] or [slab]
 *   slab     lengths in UTF-16 units, then per chunk: width:u8 (1 Latin-1, 2 UTF-16), characters
 *
 * Invariants:
 *  T1  Strings come back unit by unit, lone surrogates included.
 *  T2  A decoded string retains at most `chunkChars` characters besides its own: V8 makes a longer substring a slice of
 *      the chunk it was cut from, and a state table may keep that one string for long.
 */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { readCounts, writeCounts } from './frame-counts.ts'

const chunkChars = 512
/** Strings looked at before a dictionary is given up. */
const sampleRows = 32
const cacheSlots = 512

const cache = new Uint32Array(cacheSlots)
let counts = new Uint32Array(1024)
const text = Buffer.allocUnsafeSlow(chunkChars * 3)

export function encodeStrings(writer: ByteWriter, values: ArrayLike<string>, n: number): void {
  if (counts.length < n) counts = new Uint32Array(n * 2)
  const entries = dictionaryOf(values, n)
  writer.u8(entries === undefined ? 0 : 1)
  if (entries === undefined) {
    encodeSlab(writer, values, n)
    return
  }
  writer.varint(entries.length)
  writeCounts(writer, counts, n)
  encodeSlab(writer, entries, entries.length)
}

export function decodeStrings(reader: ByteReader, n: number): string[] {
  if (reader.u8() === 0) return decodeSlab(reader, n)
  const size = reader.varint()
  const codes = readCounts(reader, n)
  const entries = decodeSlab(reader, size)
  const values = new Array<string>(n)
  for (let i = 0; i < n; i++) values[i] = entries[codes[i]]
  return values
}

/**
 * The distinct strings, with the code of each value in `counts`; undefined where less than half repeat. A slot of the
 * cache holds the last string with its hash, so a string may be an entry twice; that is cheaper than a Map.
 */
function dictionaryOf(values: ArrayLike<string>, n: number): string[] | undefined {
  cache.fill(0)
  const entries: string[] = []
  for (let i = 0; i < n; i++) {
    const value = values[i]
    const slot = slotOf(value)
    let code = cache[slot] - 1
    if (code === -1 || entries[code] !== value) {
      code = entries.push(value) - 1
      if (code * 2 > Math.max(i, sampleRows)) return undefined
      cache[slot] = code + 1
    }
    counts[i] = code
  }
  return entries.length * 2 > n ? undefined : entries
}

function slotOf(value: string): number {
  const n = value.length
  if (n < 2) return n === 0 ? 0 : value.charCodeAt(0) & (cacheSlots - 1)
  const ends = value.charCodeAt(n - 1) * 31 + value.charCodeAt(n - 2) * 67 + value.charCodeAt(0) * 17
  return (n * 7 + ends + value.charCodeAt(n >> 1) * 131) & (cacheSlots - 1)
}

function encodeSlab(writer: ByteWriter, values: ArrayLike<string>, n: number): void {
  for (let i = 0; i < n; i++) counts[i] = values[i].length
  writeCounts(writer, counts, n)
  let chunk = ''
  for (let i = 0; i < n; i++) {
    const value = values[i]
    if (chunk.length + value.length > chunkChars && chunk !== '') {
      writeChunk(writer, chunk)
      chunk = ''
    }
    chunk += value
  }
  if (chunk !== '') writeChunk(writer, chunk)
}

function decodeSlab(reader: ByteReader, n: number): string[] {
  const lengths = readCounts(reader, n)
  const values = new Array<string>(n)
  for (let i = 0; i < n; ) {
    let end = i
    let size = 0
    while (end < n && (size === 0 || size + lengths[end] <= chunkChars)) size += lengths[end++]
    const chunk = size === 0 ? '' : readChunk(reader, size)
    for (let at = 0; i < end; i++) values[i] = chunk.substring(at, (at += lengths[i]))
  }
  return values
}

function writeChunk(writer: ByteWriter, chunk: string): void {
  const n = chunk.length
  if (n > chunkChars) {
    writeLong(writer, chunk)
  } else if (text.write(chunk, 0, 'utf8') === n) {
    writer.u8(1)
    writer.raw(text.subarray(0, n))
  } else if (isLatin1(chunk)) {
    writer.u8(1)
    writer.raw(text.subarray(0, text.write(chunk, 0, 'latin1')))
  } else {
    writer.u8(2)
    writer.raw(text.subarray(0, text.write(chunk, 0, 'utf16le')))
  }
}

function writeLong(writer: ByteWriter, chunk: string): void {
  const isNarrow = isLatin1(chunk)
  writer.u8(isNarrow ? 1 : 2)
  writer.raw(Buffer.from(chunk, isNarrow ? 'latin1' : 'utf16le'))
}

function readChunk(reader: ByteReader, size: number): string {
  const width = reader.u8()
  const { buffer, byteOffset, byteLength } = reader.raw(size * width)
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString(width === 1 ? 'latin1' : 'utf16le')
}

function isLatin1(chunk: string): boolean {
  return !/[\u0100-\uffff]/.test(chunk)
}
