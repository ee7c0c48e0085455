/** Records and batches of records as bytes. */
import { crc32 } from 'node:zlib'
import { InvariantError, OperationalError } from 'millrace/connector'

export interface LogHeader {
  readonly name: string
  readonly value: Uint8Array
}

/** A record as it lies in a log. */
export interface LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  /** Null is a tombstone: compaction forgets the key. */
  readonly value: Uint8Array | null
  readonly headers: readonly LogHeader[]
}

/** What is stored of a record besides its place. */
export interface RecordContent {
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: readonly LogHeader[] | undefined
}

/** A record of a batch: its offset is the batch's base plus `delta`. */
export interface StoredRecord extends RecordContent {
  readonly delta: number
}

// A batch: version u8, three zero bytes, crc32 u32 of what follows, count u32, records. All little-endian.
// A record: bytes that follow u32, delta u32, timestamp f64, key, value (length i32, -1 is null), headers u16, each a
// name (u16 length) and a value (i32 length).
const VERSION = 1
const HEAD = 12
const RECORD_HEAD = 4 + 4 + 8
const NOTHING: readonly LogHeader[] = []

/** Bytes one record takes in a batch. */
export function recordBytes(record: RecordContent): number {
  let bytes = RECORD_HEAD + 4 + (record.key?.length ?? 0) + 4 + (record.value?.length ?? 0) + 2
  for (const { name, value } of record.headers ?? NOTHING) bytes += 2 + Buffer.byteLength(name) + 4 + value.length
  return bytes
}

/** Latest timestamp of some records. */
export function timeHigh(records: readonly RecordContent[]): number {
  return records.reduce((high, { timestamp }) => Math.max(high, timestamp), Number.NEGATIVE_INFINITY)
}

/**
 * A batch of records whose offsets follow each other, or of what compaction left of it.
 * @throws InvariantError `LOG_BATCH_EMPTY`
 */
export function encodeBatch(records: readonly (RecordContent & { readonly delta?: number })[]): Buffer {
  if (records.length === 0) throw new InvariantError('LOG_BATCH_EMPTY', 'a batch without records was to be stored.')
  let size = HEAD
  for (const record of records) size += recordBytes(record)
  // Not of the pool: what crosses to the writer thread is copied with the memory it lies in.
  const out = Buffer.allocUnsafeSlow(size)
  let at = HEAD
  for (let i = 0; i < records.length; i++) at = writeRecord(out, at, records[i], records[i].delta ?? i)
  out.writeUInt32LE(VERSION, 0)
  out.writeUInt32LE(records.length, 8)
  out.writeUInt32LE(crc32(out.subarray(8)), 4)
  return out
}

/** Writes one record at `at`, returns where the next one goes. */
export function writeRecord(out: Buffer, at: number, record: RecordContent, delta: number): number {
  const start = at
  out.writeUInt32LE(delta, at + 4)
  out.writeDoubleLE(record.timestamp, at + 8)
  at = writeBytes(out, at + RECORD_HEAD, record.key)
  at = writeBytes(out, at, record.value)
  const headers = record.headers ?? NOTHING
  out.writeUInt16LE(headers.length, at)
  at += 2
  for (const { name, value } of headers) {
    const length = out.write(name, at + 2)
    out.writeUInt16LE(length, at)
    at = writeBytes(out, at + 2 + length, value)
  }
  out.writeUInt32LE(at - start - 4, start)
  return at
}

function writeBytes(out: Buffer, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    out.writeInt32LE(-1, at)
    return at + 4
  }
  out.writeInt32LE(bytes.length, at)
  out.set(bytes, at + 4)
  return at + 4 + bytes.length
}

/**
 * Records of a batch. Keys and values are views of its bytes.
 * @throws OperationalError `LOG_DAMAGED` when the bytes are not what was written
 */
export function decodeBatch(bytes: Uint8Array, where: string): StoredRecord[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < HEAD || buffer.readUInt32LE(0) !== VERSION) throw damaged(where, 'it is of no known version')
  if (crc32(buffer.subarray(8)) !== buffer.readUInt32LE(4)) throw damaged(where, 'its checksum does not fit')
  const records: StoredRecord[] = []
  let at = HEAD
  for (let left = buffer.readUInt32LE(8); left > 0; left--) {
    records.push(readRecord(buffer, at))
    at += 4 + buffer.readUInt32LE(at)
  }
  return records
}

/** The record that begins at `at`. */
export function readRecord(buffer: Buffer, start: number): StoredRecord {
  let at = start + RECORD_HEAD
  const bytes = (): Buffer | null => {
    const length = buffer.readInt32LE(at)
    at += 4
    if (length < 0) return null
    at += length
    return buffer.subarray(at - length, at)
  }
  const key = bytes()
  const value = bytes()
  let headers = NOTHING
  let count = buffer.readUInt16LE(at)
  at += 2
  if (count > 0) {
    const read: LogHeader[] = []
    for (; count > 0; count--) {
      const length = buffer.readUInt16LE(at)
      const name = buffer.toString('utf8', at + 2, at + 2 + length)
      at += 2 + length
      read.push({ name, value: bytes() ?? Buffer.alloc(0) })
    }
    headers = read
  }
  return { delta: buffer.readUInt32LE(start + 4), timestamp: buffer.readDoubleLE(start + 8), key, value, headers }
}

function damaged(where: string, what: string): OperationalError {
  return new OperationalError(
    'LOG_DAMAGED',
    `the batch ${where} cannot be read: ${what}. The file was damaged on disk or written by something else; restore it, or delete the topic's records up to behind this batch.`,
    { data: { where } },
  )
}
