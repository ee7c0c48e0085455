/**
 * Values to bytes. The default codec is tagged JSON: plain JSON values are written as they are; bigint, Date, bytes, Map,
 * Set, undefined, NaN, the infinities and -0 become `{ "$m": kind, "v": ... }`. Class instances, functions and symbols
 * are refused: they would come back as something else.
 *
 * Invariants:
 *  C1  decode(encode(v)) is deeply equal to v, for every value that encode accepts; property order is kept.
 *  C2  A user's object with a `$m` property is escaped, so no value of a user is ever read as a tag.
 *  C3  No property name in the text is written with a backslash. V8 of Node 24 reads such a name as another one that begins
 *      with a backslash and that any object of the process has had in its place: `{"\"":1}` comes back as `{"\\":1}`.
 */
import { OperationalError, UsageError } from '../errors.ts'
import type { Codec } from './table.ts'

const TAG = '$m'
/** Deeper values are refused; a cycle is one of them. */
const DEPTH_MAX = 500

/** Where in a value, and what: thrown as the cause of `STATE_VALUE`. */
export class UnsupportedValue extends Error {
  readonly path: string
  readonly found: string

  constructor(path: string, found: string) {
    super(`${path === '' ? 'the value' : path} is ${found}`)
    this.path = path
    this.found = found
  }
}

/** JSON text of any supported value. @throws UnsupportedValue */
export function stringify(value: unknown): string {
  const text = JSON.stringify(isPlain(value, 0) ? value : tagged(value, '', 0))
  // Seldom a name (C3): mostly a quote or a line break in a value, and then the text comes out the same.
  return text.includes('\\') ? JSON.stringify(tagged(value, '', 0)) : text
}

/** Value of a text that `stringify` made. */
export function parse(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return text.includes(`"${TAG}"`) ? untagged(value) : value
}

/** Throws UnsupportedValue when `stringify` would refuse the value; symbols as property names included. */
export function checkValue(value: unknown): void {
  if (!isPlain(value, 0)) tagged(value, '', 0)
}

/** The codec of tables without one. */
export const taggedJson: Codec<unknown> = Object.freeze({
  name: 'json',
  version: 0,
  encode: (value: unknown) => value,
  decode: (data: unknown) => data,
})

export interface CodecOptions<V> {
  readonly name: string
  /** 0 to 255; raise it when the encoded form changes. */
  readonly version: number
  /** To plain data: JSON values, bigint, Date, Uint8Array, Map, Set, undefined. */
  readonly encode: (value: V) => unknown
  /** From data of this version. */
  readonly decode: (data: unknown) => V
  /** Reads what older versions wrote. */
  readonly migrate?: { readonly from: (data: unknown, version: number) => V }
  /** Hash of the schema, where there is one; a change of it is shown in the state diff. */
  readonly schema?: string
}

/**
 * A codec for values of one's own classes, or for state whose shape changes between releases.
 * @throws UsageError `CODEC` when the name is empty or the version is not an integer from 0 to 255
 * @example codec({ name: 'point', version: 1, encode: (p: { x: number }) => [p.x], decode: d => ({ x: (d as number[])[0] }) }).name // => 'point'
 */
export function codec<V>(options: CodecOptions<V>): Codec<V> {
  const { name, version, encode, decode, migrate, schema } = options
  if (typeof name !== 'string' || name === '' || !Number.isInteger(version) || version < 0 || version > 255) {
    throw new UsageError(
      'CODEC',
      `codec "${String(name)}" has version ${String(version)}; a codec needs a name and an integer version from 0 to 255.`,
    )
  }
  return Object.freeze({
    name,
    version,
    encode,
    decode(data: unknown, from: number): V {
      if (from === version) return decode(data)
      if (migrate !== undefined) return migrate.from(data, from)
      throw new UsageError(
        'STATE_VERSION',
        `state was written with version ${from} of codec "${name}" and is read with version ${version}, which has no migrate. Give the codec migrate: { from: (data, version) => value }.`,
        { data: { codec: name, saved: from, current: version } },
      )
    },
    ...(schema === undefined ? {} : { schema }),
  })
}

/** True when JSON.stringify and JSON.parse give the value back as it is. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return value - value === 0 && (value !== 0 || 1 / value > 0)
    case 'object':
      break
    default:
      return false
  }
  if (value === null) return true
  if (depth > DEPTH_MAX) return false
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false
    return Object.getPrototypeOf(value) === Array.prototype
  }
  const proto: unknown = Object.getPrototypeOf(value)
  if (proto !== Object.prototype && proto !== null) return false
  // An own property of that name which is undefined is found below.
  if ((value as Record<string, unknown>)[TAG] !== undefined) return false
  // Not for...in: where objects of several shapes meet, V8 optimises its loads and throws the code away again and again.
  const items = Object.values(value)
  for (let i = 0; i < items.length; i++) if (!isPlain(items[i], depth + 1)) return false
  return Object.getOwnPropertySymbols(value).length === 0
}

function tagged(value: unknown, path: string, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (value - value === 0 && (value !== 0 || 1 / value > 0)) return value
      return { [TAG]: 'number', v: value === 0 ? '-0' : String(value) }
    case 'bigint':
      return { [TAG]: 'bigint', v: String(value) }
    case 'undefined':
      return { [TAG]: 'undefined' }
    case 'object':
      break
    default:
      throw new UnsupportedValue(path, `a ${typeof value}`)
  }
  if (value === null) return null
  if (depth > DEPTH_MAX)
    throw new UnsupportedValue(`${path.slice(0, 80)}...`, `deeper than ${DEPTH_MAX} levels, or refers to itself`)
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) throw new UnsupportedValue(path, className(value))
    return Array.from(value, (item: unknown, i) => tagged(item, `${path}[${i}]`, depth + 1))
  }
  const proto: unknown = Object.getPrototypeOf(value)
  if (proto === Object.prototype || proto === null) return taggedObject(value, path, depth)
  if (value instanceof Uint8Array) return { [TAG]: 'bytes', v: Buffer.from(value).toString('base64') }
  if (proto === Date.prototype) return { [TAG]: 'date', v: tagged((value as Date).getTime(), path, depth) }
  if (proto === Map.prototype) {
    const pairs = [...(value as Map<unknown, unknown>)]
    return {
      [TAG]: 'map',
      v: pairs.map(([k, v], i) => [
        tagged(k, `${path}.keys()[${i}]`, depth + 1),
        tagged(v, `${path}.get(${shortName(k)})`, depth + 1),
      ]),
    }
  }
  if (proto === Set.prototype) {
    return {
      [TAG]: 'set',
      v: Array.from(value as Set<unknown>, (v, i) => tagged(v, `${path}.values()[${i}]`, depth + 1)),
    }
  }
  throw new UnsupportedValue(path, className(value))
}

function taggedObject(value: object, path: string, depth: number): unknown {
  const symbol = Object.getOwnPropertySymbols(value)[0]
  if (symbol !== undefined) throw new UnsupportedValue(`${path}[${String(symbol)}]`, 'a property named by a symbol')
  const pairs = Object.entries(value).map(([name, v]): [string, unknown] => [
    name,
    tagged(v, path === '' ? name : `${path}.${name}`, depth + 1),
  ])
  const isEscaped = Object.hasOwn(value, TAG) || pairs.some(([name]) => WRITTEN_WITH_BACKSLASH.test(name))
  // Object.fromEntries defines properties, so an own '__proto__' stays one.
  return isEscaped ? { [TAG]: 'object', v: pairs } : Object.fromEntries(pairs)
}

/** Characters that JSON escapes, halves of surrogate pairs among them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON escapes
const WRITTEN_WITH_BACKSLASH = /["\\\u0000-\u001f\ud800-\udfff]/

function untagged(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = untagged(value[i])
    return value
  }
  const object = value as Record<string, unknown>
  if (Object.hasOwn(object, TAG)) return untag(object[TAG], object.v)
  // An own '__proto__' made by JSON.parse is an own property, so this assignment does not reach the setter.
  for (const name of Object.keys(object)) object[name] = untagged(object[name])
  return object
}

function untag(kind: unknown, v: unknown): unknown {
  switch (kind) {
    case 'number':
      return Number(v)
    case 'bigint':
      return BigInt(v as string)
    case 'undefined':
      return undefined
    case 'bytes':
      return new Uint8Array(Buffer.from(v as string, 'base64'))
    case 'date':
      return new Date(untagged(v) as number)
    case 'map':
      return new Map((v as [unknown, unknown][]).map(([key, item]) => [untagged(key), untagged(item)]))
    case 'set':
      return new Set((v as unknown[]).map(untagged))
    case 'object':
      return Object.fromEntries((v as [string, unknown][]).map(([name, item]) => [name, untagged(item)]))
    default:
      throw new OperationalError(
        'STATE_VALUE',
        `stored state has a value of unknown kind ${JSON.stringify(kind)}; it was written by a newer version.`,
      )
  }
}

function className(value: object): string {
  const name: unknown = (value.constructor as { name?: unknown } | undefined)?.name
  return `an instance of ${typeof name === 'string' && name !== '' ? name : 'a class'}`
}

function shortName(key: unknown): string {
  return typeof key === 'string'
    ? JSON.stringify(key.slice(0, 40))
    : typeof key === 'object'
      ? 'an object'
      : String(key)
}
