/**
 * Values of any kind as a column, its form found by looking at them: what rows, the properties of rows and the items of
 * their arrays cross threads as.
 *
 *   column   kind:u8, then by kind
 *   int32, float64, bigint64, date    padding, values (raw)
 *   bool     a byte each              null, undefined   nothing
 *   string   see frame-strings.ts     bytes             length and bytes each
 *   object   the shape's names, a column per name
 *   array    lengths, then columns of the items of some arrays at a time
 *   mixed    count of groups, group of each value:u8, a column per group: nullable values, objects of several shapes
 *   json     see frame-json.ts: whatever has no other form
 *
 * Invariants:
 *  V1  decode gives n values deeply equal to those encoded, in what the state codec accepts (C1); it refuses the rest.
 *  V2  An encoder either writes a whole column and returns true, or has written nothing.
 */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { InvariantError } from '../errors.ts'
import { bytesOf, readAligned, readCounts, writeAligned, writeCounts } from './frame-counts.ts'
import { decodeJson, encodeJson } from './frame-json.ts'
import { type Hint, type Shape, shapeBySignature, shapeOf } from './frame-shape.ts'
import { decodeStrings, encodeStrings } from './frame-strings.ts'

const Kind = {
  undefined: 0,
  null: 1,
  bool: 2,
  int32: 3,
  float64: 4,
  bigint64: 5,
  string: 6,
  date: 7,
  bytes: 8,
  object: 9,
  array: 10,
  mixed: 11,
  json: 12,
} as const

/** Objects and arrays nested deeper are JSON; so is whatever refers to itself, and JSON refuses it. */
const levelsMax = 6
/** Groups of a mixed column; what would need more is JSON. */
const groupsMax = 64
/** Items of arrays that are laid side by side at once. */
const itemsAtOnce = 65_536

let floats = new Float64Array(1024)
let ints = new Int32Array(floats.buffer)
let flags = new Uint8Array(floats.buffer)

/** Scratch memory for n numbers: floats, ints and flags are the same bytes. */
function reserve(n: number): void {
  if (floats.length >= n) return
  floats = new Float64Array(n * 2)
  ints = new Int32Array(floats.buffer)
  flags = new Uint8Array(floats.buffer)
}

/** @throws UnsupportedValue for class instances, functions, symbols, and what refers to itself */
export function encodeValues(writer: ByteWriter, values: readonly unknown[], n: number, hint: Hint, level = 0): void {
  const kind = n === 0 ? Kind.undefined : kindOf(values[0], level)
  if (!encodeUniform(writer, values, n, hint, level, kind)) encodeMixed(writer, values, n, hint, level)
}

/** The values, none of them in the reader's memory; a list of numbers may be a typed array. */
export function decodeValues(reader: ByteReader, n: number): ArrayLike<unknown> {
  const column = decodeColumn(reader, n)
  return Array.isArray(column) ? column : (column as Float64Array).slice()
}

/** What it returns may be a view of the reader's memory, to be read at once. */
function decodeColumn(reader: ByteReader, n: number): ArrayLike<unknown> {
  const kind = reader.u8()
  switch (kind) {
    case Kind.undefined:
      return new Array<unknown>(n).fill(undefined)
    case Kind.null:
      return new Array<unknown>(n).fill(null)
    case Kind.bool:
      return decodeBooleans(reader, n)
    case Kind.int32: {
      const { buffer, byteOffset } = readAligned(reader, n * 4)
      return new Int32Array(buffer, byteOffset, n)
    }
    case Kind.float64:
      return decodeFloats(reader, n)
    case Kind.bigint64: {
      const { buffer, byteOffset } = readAligned(reader, n * 8)
      return new BigInt64Array(buffer, byteOffset, n)
    }
    case Kind.string:
      return decodeStrings(reader, n)
    case Kind.date:
      return Array.from(decodeFloats(reader, n), (time) => new Date(time))
    case Kind.bytes:
      return Array.from({ length: n }, () => reader.bytes().slice())
    case Kind.object: {
      const shape = shapeBySignature(reader.utf8())
      const columns = new Array<ArrayLike<unknown>>(shape.names.length)
      for (let c = 0; c < columns.length; c++) columns[c] = decodeColumn(reader, n)
      return shape.build(columns, n)
    }
    case Kind.array:
      return decodeArrays(reader, n)
    case Kind.mixed:
      return decodeMixed(reader, n)
    case Kind.json:
      return decodeJson(reader, n)
    default:
      throw new InvariantError('FRAME_TYPE', `a column of a frame has kind ${kind}, which no value has.`, {
        data: { kind },
      })
  }
}

function decodeFloats(reader: ByteReader, n: number): Float64Array {
  const { buffer, byteOffset } = readAligned(reader, n * 8)
  return new Float64Array(buffer, byteOffset, n)
}

function decodeBooleans(reader: ByteReader, n: number): boolean[] {
  const bytes = reader.raw(n)
  const values = new Array<boolean>(n)
  for (let i = 0; i < n; i++) values[i] = bytes[i] === 1
  return values
}

/** The form of a value by itself; 'json' for what has no other, whether JSON takes it or refuses it. */
function kindOf(value: unknown, level: number): number {
  switch (typeof value) {
    case 'number':
      return Kind.float64
    case 'string':
      return Kind.string
    case 'boolean':
      return Kind.bool
    case 'undefined':
      return Kind.undefined
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? Kind.bigint64 : Kind.json
    case 'object':
      break
    default:
      return Kind.json
  }
  if (value === null) return Kind.null
  const proto: unknown = Object.getPrototypeOf(value)
  if (proto === Object.prototype || proto === null) return level < levelsMax ? Kind.object : Kind.json
  if (proto === Array.prototype) return level < levelsMax && Array.isArray(value) ? Kind.array : Kind.json
  if (proto === Date.prototype) return Kind.date
  return value instanceof Uint8Array ? Kind.bytes : Kind.json
}

/** False: the values are not all of this kind, or the objects not all of one shape. */
function encodeUniform(
  writer: ByteWriter,
  values: readonly unknown[],
  n: number,
  hint: Hint,
  level: number,
  kind: number,
): boolean {
  switch (kind) {
    case Kind.float64:
      return encodeNumbers(writer, values, n)
    case Kind.object: {
      const shape = hint.shape?.matches(values[0]) ? hint.shape : shapeOf(values[0] as object)
      return shape !== undefined && encodeObjects(writer, values, n, hint, level, shape)
    }
    case Kind.bool:
      return encodeBooleans(writer, values, n)
    default:
      for (let i = 1; i < n; i++) if (kindOf(values[i], level) !== kind) return false
      encodeKnown(writer, values, n, hint, level, kind)
      return true
  }
}

/** Values that are known to be of this kind. */
function encodeKnown(
  writer: ByteWriter,
  values: readonly unknown[],
  n: number,
  hint: Hint,
  level: number,
  kind: number,
): void {
  writer.u8(kind)
  switch (kind) {
    case Kind.bigint64:
      writeAligned(writer, bytesOf(BigInt64Array.from(values as readonly bigint[])))
      break
    case Kind.string:
      encodeStrings(writer, values as readonly string[], n)
      break
    case Kind.date:
      writeAligned(writer, bytesOf(Float64Array.from(values as readonly Date[], (date) => date.getTime())))
      break
    case Kind.bytes:
      for (let i = 0; i < n; i++) writer.bytes(values[i] as Uint8Array)
      break
    case Kind.array:
      encodeArrays(writer, values as readonly (readonly unknown[])[], n, hint, level)
      break
    case Kind.json:
      encodeJson(writer, values, n)
  }
}

function encodeNumbers(writer: ByteWriter, values: readonly unknown[], n: number): boolean {
  reserve(n)
  let i = 0
  for (; i < n; i++) {
    const value = values[i]
    if (typeof value !== 'number' || (value | 0) !== value || (value === 0 && 1 / value < 0)) break
    ints[i] = value
  }
  if (i === n) {
    writer.u8(Kind.int32)
    writeAligned(writer, new Uint8Array(ints.buffer, 0, n * 4))
    return true
  }
  for (i = 0; i < n; i++) {
    const value = values[i]
    if (typeof value !== 'number') return false
    floats[i] = value
  }
  writer.u8(Kind.float64)
  writeAligned(writer, new Uint8Array(floats.buffer, 0, n * 8))
  return true
}

function encodeBooleans(writer: ByteWriter, values: readonly unknown[], n: number): boolean {
  reserve(n)
  for (let i = 0; i < n; i++) {
    const value = values[i]
    if (typeof value !== 'boolean') return false
    flags[i] = value ? 1 : 0
  }
  writer.u8(Kind.bool)
  writer.raw(new Uint8Array(flags.buffer, 0, n))
  return true
}

function encodeObjects(
  writer: ByteWriter,
  values: readonly unknown[],
  n: number,
  hint: Hint,
  level: number,
  shape: Shape,
): boolean {
  const columns = shape.extract(values, n)
  if (columns === undefined) return false
  hint.shape = shape
  writer.u8(Kind.object)
  writer.utf8(shape.signature)
  for (let c = 0; c < columns.length; c++) encodeValues(writer, columns[c], n, shape.hints[c], level + 1)
  return true
}

function encodeArrays(
  writer: ByteWriter,
  arrays: readonly (readonly unknown[])[],
  n: number,
  hint: Hint,
  level: number,
): void {
  const lengths = new Uint32Array(n)
  for (let i = 0; i < n; i++) lengths[i] = arrays[i].length
  writeCounts(writer, lengths, n)
  for (let i = 0; i < n; ) {
    const end = endOfRun(lengths, i, n)
    let items = arrays[i]
    if (end > i + 1) {
      const run: unknown[] = []
      for (let a = i; a < end; a++) for (let k = 0; k < lengths[a]; k++) run.push(arrays[a][k])
      items = run
    }
    encodeValues(writer, items, items.length, hint.items, level + 1)
    i = end
  }
}

function decodeArrays(reader: ByteReader, n: number): unknown[][] {
  const lengths = readCounts(reader, n)
  const arrays = new Array<unknown[]>(n)
  for (let i = 0; i < n; ) {
    const end = endOfRun(lengths, i, n)
    let size = 0
    for (let a = i; a < end; a++) size += lengths[a]
    const items = decodeColumn(reader, size)
    for (let at = 0; i < end; i++) {
      const array: unknown[] = []
      for (const to = at + lengths[i]; at < to; at++) array.push(items[at])
      arrays[i] = array
    }
  }
  return arrays
}

/** The arrays from `from` on whose items lie in one column: at least one, and then as many as are short enough. */
function endOfRun(lengths: ArrayLike<number>, from: number, n: number): number {
  let size = lengths[from]
  let end = from + 1
  while (end < n && size + lengths[end] <= itemsAtOnce) size += lengths[end++]
  return end
}

interface Group {
  readonly kind: number
  readonly shape: Shape | undefined
  readonly values: unknown[]
}

function encodeMixed(writer: ByteWriter, values: readonly unknown[], n: number, hint: Hint, level: number): void {
  const groups: Group[] = []
  const groupOf = new Uint8Array(n)
  let last = 0
  for (let i = 0; i < n; i++) {
    const value = values[i]
    let kind = kindOf(value, level)
    let shape: Shape | undefined
    if (kind === Kind.object) {
      const known = groups[last]?.shape
      shape = known?.matches(value) ? known : shapeOf(value as object)
      if (shape === undefined) kind = Kind.json
    }
    let g = groups.findIndex((group) => group.kind === kind && group.shape === shape)
    // The last place is kept for JSON.
    if (g === -1 && groups.length >= groupsMax - 1 && kind !== Kind.json) {
      shape = undefined
      g = groups.findIndex((group) => group.kind === Kind.json)
      kind = Kind.json
    }
    if (g === -1) g = groups.push({ kind, shape, values: [] }) - 1
    if (shape !== undefined) last = g
    groups[g].values.push(value)
    groupOf[i] = g
  }
  writer.u8(Kind.mixed)
  writer.u8(groups.length)
  writer.raw(groupOf)
  for (const group of groups) encodeGroup(writer, group, hint, level)
}

function encodeGroup(writer: ByteWriter, { kind, shape, values }: Group, hint: Hint, level: number): void {
  const n = values.length
  // The values were all looked at, so only a property that changes while it is read can be of another kind now.
  if (shape !== undefined && encodeObjects(writer, values, n, hint, level, shape)) return
  if (kind === Kind.float64) encodeNumbers(writer, values, n)
  else if (kind === Kind.bool) encodeBooleans(writer, values, n)
  else encodeKnown(writer, values, n, hint, level, kind === Kind.object ? Kind.json : kind)
}

function decodeMixed(reader: ByteReader, n: number): unknown[] {
  const count = reader.u8()
  const groupOf = reader.raw(n)
  const sizes = new Uint32Array(count)
  for (let i = 0; i < n; i++) sizes[groupOf[i]]++
  const groups = Array.from(sizes, (size) => decodeColumn(reader, size))
  const next = new Uint32Array(count)
  const values = new Array<unknown>(n)
  for (let i = 0; i < n; i++) {
    const g = groupOf[i]
    values[i] = groups[g][next[g]++]
  }
  return values
}
