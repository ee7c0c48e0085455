/**
 * A column of strings in a frame: a dictionary and codes where strings repeat, else all of them one after another.
 *
 *   column   isDictionary:u8, [entries, slab of the entries, codes] or [slab]
 *   slab     lengths in UTF-16 units, then the characters: all as ASCII, or per chunk width:u8 (1 Latin-1, 2 UTF-16)
 *            and characters
 *
 * Invariants:
 *  T1  Strings come back unit by unit, lone surrogates included.
 *  T2  A decoded string retains at most `chunkChars` characters besides its own: V8 makes a longer substring a slice of
 *      the chunk it was cut from, and a state table may keep that one string for long.
 */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { readCounts, writeCounts } from './frame-counts.ts'

const Slab = { chunks: 0, whole: 1 } as const

const chunkChars = 512
/** A slab of more characters is written in chunks, so that the memory for a whole one stays small. */
const wholeChars = 2 ** 18
/** Strings looked at before a dictionary is given up. */
const sampleRows = 32
const cacheSlots = 512

const cache = new Uint32Array(cacheSlots)
let counts = new Uint32Array(1024)
const noBytes = Buffer.alloc(0)
let text = Buffer.allocUnsafeSlow(4096)

export function encodeStrings(writer: ByteWriter, values: readonly string[], n: number): void {
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
function dictionaryOf(values: readonly string[], n: number): string[] | undefined {
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

function encodeSlab(writer: ByteWriter, values: readonly string[], n: number): void {
  let size = 0
  for (let i = 0; i < n; i++) size += counts[i] = values[i].length
  writeCounts(writer, counts, n)
  if (size > wholeChars || !wroteWhole(writer, values.join(''), size)) writeChunks(writer, values, n)
}

/** False, and nothing written, when there is more than ASCII: only then is a character a byte of UTF-8. */
function wroteWhole(writer: ByteWriter, all: string, size: number): boolean {
  if (text.length < size * 3) text = Buffer.allocUnsafeSlow(Math.min(wholeChars, size * 2) * 3)
  if (text.write(all, 0, 'utf8') !== size) return false
  writer.u8(Slab.whole)
  writer.raw(new Uint8Array(text.buffer, 0, size))
  return true
}

function writeChunks(writer: ByteWriter, values: readonly string[], n: number): void {
  writer.u8(Slab.chunks)
  for (let i = 0; i < n; ) {
    const { end, size } = endOfChunk(counts, i, n)
    const chunk = end === i + 1 ? values[i] : values.slice(i, end).join('')
    i = end
    if (size === 0) continue
    const isNarrow = isLatin1(chunk)
    writer.u8(isNarrow ? 1 : 2)
    writer.raw(Buffer.from(chunk, isNarrow ? 'latin1' : 'utf16le'))
  }
}

function decodeSlab(reader: ByteReader, n: number): string[] {
  const lengths = readCounts(reader, n)
  const isWhole = reader.u8() === Slab.whole
  let all: Buffer = noBytes
  if (isWhole) {
    let size = 0
    for (let i = 0; i < n; i++) size += lengths[i]
    all = bufferOf(reader, size)
  }
  const values = new Array<string>(n)
  let from = 0
  for (let i = 0; i < n; ) {
    const { end, size } = endOfChunk(lengths, i, n)
    let chunk = ''
    if (isWhole) chunk = all.toString('latin1', from, (from += size))
    else if (size > 0) chunk = readChunk(reader, size)
    for (let at = 0; i < end; i++) values[i] = chunk.substring(at, (at += lengths[i]))
  }
  return values
}

function readChunk(reader: ByteReader, size: number): string {
  const width = reader.u8()
  return bufferOf(reader, size * width).toString(width === 1 ? 'latin1' : 'utf16le')
}

/** Where the chunk that starts with string `from` ends: after one string at least, and at most `chunkChars` otherwise. */
function endOfChunk(lengths: ArrayLike<number>, from: number, n: number): { end: number; size: number } {
  let size = lengths[from]
  let end = from + 1
  while (end < n && size + lengths[end] <= chunkChars) size += lengths[end++]
  return { end, size }
}

function bufferOf(reader: ByteReader, size: number): Buffer {
  const { buffer, byteOffset, byteLength } = reader.raw(size)
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
}

function isLatin1(chunk: string): boolean {
  return !/[\u0100-\uffff]/.test(chunk)
}
