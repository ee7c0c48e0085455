/**
 * Values as bytes, without code in them. The first byte says which form follows:
 *
 *   0  JSON, for values that JSON keeps as they are (the common case, at the speed of JSON.parse)
 *   1  the bytes of a Uint8Array, as they are
 *   2  u32 length of JSON, JSON with tags, then the binary parts one after another
 *
 * Kept: null, undefined, booleans, numbers with NaN, Infinity and -0, strings, bigint, Date, Uint8Array and the other typed
 * arrays, ArrayBuffer, Map, Set, arrays and plain objects of these. Everything else is refused by name and path: functions,
 * symbols, class instances, cycles. Binary parts that come out are views into the message.
 */
import { RemoteError } from '../remote-error.ts'

const JSON_FORM = 0
const JSON_FORM_CHAR = '\0'
const BYTES_FORM = 1
const TAGGED_FORM = 2

const DEPTH_MAX = 200

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** @throws RemoteError `INVALID_ARGUMENT` for what cannot be sent, with its path */
export function encode(value: unknown): Uint8Array {
  // The character 0 is the byte 0: the form, without a copy of the bytes.
  if (isPlainJson(value, 0)) {
    const text = JSON.stringify(value)
    // V8 of Node 24 may read a name that is written with a backslash as another one: such names travel as values.
    if (!(text.includes('\\') && hasEscapedName(value))) return encoder.encode(JSON_FORM_CHAR + text)
  }
  if (value instanceof Uint8Array) {
    const out = new Uint8Array(1 + value.length)
    out[0] = BYTES_FORM
    out.set(value, 1)
    return out
  }
  const parts: Uint8Array[] = []
  const json = encoder.encode(JSON.stringify([tagged(value, parts, '', 0), parts.map((part) => part.length)]))
  const out = new Uint8Array(5 + json.length + parts.reduce((sum, part) => sum + part.length, 0))
  out[0] = TAGGED_FORM
  new DataView(out.buffer).setUint32(1, json.length, true)
  out.set(json, 5)
  let at = 5 + json.length
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** @throws RemoteError `PROTOCOL_ERROR` for bytes that `encode` did not make */
export function decode(bytes: Uint8Array): unknown {
  try {
    switch (bytes[0]) {
      case JSON_FORM:
        return JSON.parse(decoder.decode(bytes.subarray(1))) as unknown
      case BYTES_FORM:
        return bytes.subarray(1)
      case TAGGED_FORM:
        return decodeTagged(bytes)
    }
  } catch (cause) {
    throw new RemoteError('PROTOCOL_ERROR', 'a value cannot be decoded; the peer sent it damaged.', { cause })
  }
  throw new RemoteError('PROTOCOL_ERROR', `a value begins with ${bytes[0]}, which is no form of this protocol.`)
}

export function encodeJson(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value))
}

/** @throws RemoteError `PROTOCOL_ERROR` when the bytes are no JSON object */
export function decodeJson(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value = JSON.parse(decoder.decode(bytes)) as unknown
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (cause) {
    throw new RemoteError('PROTOCOL_ERROR', 'a header is not JSON; the peer does not speak this protocol.', { cause })
  }
  throw new RemoteError('PROTOCOL_ERROR', 'a header is no JSON object; the peer does not speak this protocol.')
}

/** Does JSON keep this value as it is? */
function isPlainJson(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object': {
      if (value === null) return true
      if (depth > DEPTH_MAX) return false
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (!isPlainJson(value[i], depth + 1)) return false
        return true
      }
      if (!isPlainObject(value)) return false
      for (const key in value) {
        if (key === TAG || !isPlainJson((value as Record<string, unknown>)[key], depth + 1)) return false
      }
      return true
    }
    default:
      return false
  }
}

function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as unknown
  return prototype === Object.prototype || prototype === null
}

/** An object with this member is a tag: `{ $: 'date', v: 0 }`. Objects of users that have it are wrapped in one. */
const TAG = '$'

const TYPED_ARRAYS = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const

function tagged(value: unknown, parts: Uint8Array[], path: string, depth: number): unknown {
  if (depth > DEPTH_MAX) throw refused(path, `is nested deeper than ${DEPTH_MAX}, or contains itself`)
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (Number.isFinite(value) && !Object.is(value, -0)) return value
      return { [TAG]: 'number', v: Object.is(value, -0) ? '-0' : String(value) }
    case 'undefined':
      return { [TAG]: 'undefined' }
    case 'bigint':
      return { [TAG]: 'bigint', v: String(value) }
    case 'object':
      return value === null ? null : taggedObject(value, parts, path, depth + 1)
    default:
      throw refused(path, `is a ${typeof value}`)
  }
}

function taggedObject(value: object, parts: Uint8Array[], path: string, depth: number): unknown {
  const inner = (item: unknown, key: string | number): unknown => tagged(item, parts, `${path}[${key}]`, depth)
  if (Array.isArray(value)) return Array.from(value, inner)
  if (value instanceof Date) return { [TAG]: 'date', v: Number.isNaN(value.getTime()) ? null : value.getTime() }
  if (value instanceof Map) {
    return { [TAG]: 'map', v: [...value].map(([k, v], i) => [inner(k, `key ${i}`), inner(v, `value ${i}`)]) }
  }
  if (value instanceof Set) return { [TAG]: 'set', v: Array.from(value, inner) }
  if (value instanceof ArrayBuffer) {
    parts.push(new Uint8Array(value))
    return { [TAG]: 'ArrayBuffer', v: parts.length - 1 }
  }
  if (ArrayBuffer.isView(value)) {
    // Sub-classes (Buffer) travel as the typed array they are.
    const name = Object.keys(TYPED_ARRAYS).find((known) => value instanceof TYPED_ARRAYS[known as 'Int8Array'])
    if (name === undefined) throw refused(path, 'is a DataView')
    parts.push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    return { [TAG]: name, v: parts.length - 1 }
  }
  if (!isPlainObject(value)) {
    const name = (value.constructor as { name?: string } | undefined)?.name ?? 'a class'
    throw refused(path, `is an instance of ${name}; send a plain object`)
  }
  const members: [string, unknown][] = []
  for (const [key, item] of Object.entries(value)) {
    members.push([key, tagged(item, parts, path === '' ? key : `${path}.${key}`, depth)])
  }
  const isEscaped = Object.hasOwn(value, TAG) || members.some(([key]) => WRITTEN_WITH_BACKSLASH.test(key))
  return isEscaped ? { [TAG]: 'object', v: members } : Object.fromEntries(members)
}

/** Characters that JSON escapes, halves of surrogate pairs among them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON escapes
const WRITTEN_WITH_BACKSLASH = /["\\\u0000-\u001f\ud800-\udfff]/

/** Of a plain value. */
function hasEscapedName(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(hasEscapedName)
  return Object.entries(value).some(([key, item]) => WRITTEN_WITH_BACKSLASH.test(key) || hasEscapedName(item))
}

function refused(path: string, what: string): RemoteError {
  return new RemoteError('INVALID_ARGUMENT', `${path === '' ? 'the value' : `"${path}"`} ${what}; it cannot be sent.`, {
    data: { path },
  })
}

function decodeTagged(bytes: Uint8Array): unknown {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1, true)
  const [value, lengths] = JSON.parse(decoder.decode(bytes.subarray(5, 5 + length))) as [unknown, number[]]
  let at = 5 + length
  const parts = lengths.map((size) => {
    if (!Number.isSafeInteger(size) || size < 0 || at + size > bytes.length)
      throw new RangeError('a binary part is cut off')
    at += size
    return bytes.subarray(at - size, at)
  })
  return untagged(value, parts)
}

function untagged(value: unknown, parts: readonly Uint8Array[]): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => untagged(item, parts))
  const record = value as Record<string, unknown>
  if (Object.hasOwn(record, TAG)) return fromTag(record, parts)
  return untaggedMembers(record, parts)
}

/** In place: `JSON.parse` has made the object, and a member "__proto__" stays a member. */
function untaggedMembers(record: Record<string, unknown>, parts: readonly Uint8Array[]): Record<string, unknown> {
  for (const [key, item] of Object.entries(record)) {
    if (typeof item !== 'object' || item === null) continue
    const member = { value: untagged(item, parts), writable: true, enumerable: true, configurable: true }
    Object.defineProperty(record, key, member)
  }
  return record
}

function fromTag(record: Record<string, unknown>, parts: readonly Uint8Array[]): unknown {
  const { [TAG]: tag, v } = record
  switch (tag) {
    case 'undefined':
      return undefined
    case 'number':
      return Number(v)
    case 'bigint':
      return BigInt(v as string)
    case 'date':
      return new Date(v === null ? Number.NaN : (v as number))
    case 'map':
      return new Map((v as [unknown, unknown][]).map(([k, item]) => [untagged(k, parts), untagged(item, parts)]))
    case 'set':
      return new Set((v as unknown[]).map((item) => untagged(item, parts)))
    case 'object':
      // An own '__proto__' stays one.
      return Object.fromEntries((v as [string, unknown][]).map(([key, item]) => [key, untagged(item, parts)]))
  }
  const part = parts[v as number]
  if (part === undefined) throw new RangeError(`there is no binary part ${String(v)}`)
  if (tag === 'ArrayBuffer') return part.slice().buffer
  if (tag === 'Uint8Array') return part
  const type = TYPED_ARRAYS[tag as keyof typeof TYPED_ARRAYS]
  if (type === undefined) throw new RangeError(`there is no tag ${String(tag)}`)
  // A copy begins at a multiple of the element size.
  return new type(part.slice().buffer)
}
