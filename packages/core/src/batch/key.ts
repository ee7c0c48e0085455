/**
 * Keys of a stream: strings, numbers, bigints, booleans, or tuples of them.
 *
 * Invariants:
 *  K1  Equal keys have one canonical form, and the canonical form works as a key of a JavaScript Map.
 *  K2  The hash depends only on the canonical form, so every worker, run and machine agrees on it.
 * Tuples become strings that start with U+0000; a plain string that starts with U+0000 gets one more in front.
 */
import { UsageError } from '../errors.ts'

export type KeyPart = string | number | bigint | boolean
export type Key = KeyPart | readonly KeyPart[]

/** The canonical form: what state tables, batches and frames hold. */
export type CanonicalKey = string | number | bigint | boolean

/** Key groups are the unit in which keyed state moves between workers; fixed when a flow's state is created. */
export const KEY_GROUPS = 128

const NUL = '\u0000'

/**
 * Canonical form of a key; -0 becomes 0.
 * @throws UsageError `KEY_TYPE` for null, undefined, NaN, objects, and nested tuples
 * @example canonicalKey(-0) // => 0
 */
export function canonicalKey(key: unknown): CanonicalKey {
  switch (typeof key) {
    case 'string':
      return key.charCodeAt(0) === 0 ? NUL + key : key
    case 'number':
      if (Number.isNaN(key)) throw keyTypeError(key)
      return key + 0
    case 'bigint':
    case 'boolean':
      return key
    default:
      if (Array.isArray(key) && key.length > 0) return NUL + 'T' + JSON.stringify(key.map(encodePart))
      throw keyTypeError(key)
  }
}

/** The key as the user gave it: tuples come back as frozen arrays. */
export function originalKey(key: CanonicalKey): Key {
  if (typeof key !== 'string' || key.charCodeAt(0) !== 0) return key
  if (key.charCodeAt(1) === 0) return key.slice(1)
  return Object.freeze((JSON.parse(key.slice(2)) as unknown[]).map(decodePart))
}

/** Key group of a canonical key, 0 .. KEY_GROUPS - 1. */
export function keyGroupOf(key: CanonicalKey): number {
  return hashKey(key) & (KEY_GROUPS - 1)
}

/** The worker, of `count`, that owns a key group. Contiguous ranges, so a change of `count` moves few groups. */
export function ownerOfGroup(group: number, count: number): number {
  return Math.floor((group * count) / KEY_GROUPS)
}

const f64 = new Float64Array(1)
const u32 = new Uint32Array(f64.buffer)

/** 32-bit hash with all bits mixed, so its low bits can be used as they are. */
export function hashKey(key: CanonicalKey): number {
  switch (typeof key) {
    case 'number': {
      if ((key | 0) === key) return mix(key)
      f64[0] = key
      return mix(u32[0] ^ Math.imul(u32[1], 0x85ebca6b))
    }
    case 'string': {
      let h = 0x811c9dc5
      for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193)
      return mix(h)
    }
    case 'boolean':
      return mix(key ? 0x3779b1 : 0x51ed27)
    default:
      return hashKey(`${NUL}B${key}`)
  }
}

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function encodePart(part: unknown): unknown {
  if (typeof part === 'string' || typeof part === 'boolean') return part
  if (typeof part === 'bigint') return { n: String(part) }
  if (typeof part === 'number' && !Number.isNaN(part)) return Number.isFinite(part) ? part + 0 : { f: String(part) }
  throw keyTypeError(part)
}

function decodePart(part: unknown): KeyPart {
  if (typeof part !== 'object' || part === null) return part as KeyPart
  return 'n' in part ? BigInt(part.n as string) : Number((part as { f: string }).f)
}

function keyTypeError(got: unknown): UsageError {
  const shown =
    typeof got === 'number' ? String(got) : got === null ? 'null' : Array.isArray(got) ? 'an array' : typeof got
  return new UsageError(
    'KEY_TYPE',
    `a key is ${shown}; it must be a string, a number that is not NaN, a bigint, a boolean, or a non-empty tuple of them.`,
    { data: { got: shown } },
  )
}
