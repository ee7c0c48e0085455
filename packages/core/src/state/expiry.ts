/**
 * Expiry in slices: entries lie in buckets of an eighth of the ttl by the time they were last written, and whole buckets
 * expire. An entry leaves between ttl and ttl * 9/8 after its last write. A write within the same bucket is one lookup.
 */
import type { CanonicalKey } from '../batch/key.ts'
import { Nested } from './nested.ts'

const SLICES = 8
/** Bucket of entries written before the table was told any time; they move as soon as it is. */
const UNTIMED = Number.POSITIVE_INFINITY

export class Expiry {
  readonly #ttlMs: number
  readonly #widthMs: number
  readonly #stamps = new Nested<number>()
  readonly #buckets = new Map<number, Nested<true>>()
  #newest = Number.NEGATIVE_INFINITY

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs
    this.#widthMs = Math.max(1, Math.ceil(ttlMs / SLICES))
  }

  /** Records a write. Earlier times than the entry already has are ignored. */
  touch(outer: CanonicalKey, inner: CanonicalKey, time: number | undefined): void {
    if (time !== undefined) this.#told(time)
    const at = time ?? this.#newest
    const bucket = at === Number.NEGATIVE_INFINITY ? UNTIMED : Math.floor(at / this.#widthMs)
    const before = this.#stamps.get(outer, inner)
    if (before !== undefined) {
      if (before >= bucket) return
      this.#leave(before, outer, inner)
    }
    this.#join(bucket, outer, inner)
  }

  forget(outer: CanonicalKey, inner: CanonicalKey): void {
    const bucket = this.#stamps.get(outer, inner)
    if (bucket === undefined) return
    this.#stamps.delete(outer, inner)
    this.#leave(bucket, outer, inner)
  }

  /** A time in the entry's bucket, NaN when it has none: what is stored with the entry. */
  timeOf(outer: CanonicalKey, inner: CanonicalKey): number {
    const bucket = this.#stamps.get(outer, inner)
    return bucket === undefined || bucket === UNTIMED ? Number.NaN : bucket * this.#widthMs
  }

  /** Visits what has expired at `now`, oldest bucket first; the visitor calls `forget` for each. */
  expired(now: number, visit: (outer: CanonicalKey, inner: CanonicalKey) => void): void {
    this.#told(now)
    const due = [...this.#buckets.keys()].filter((b) => (b + 1) * this.#widthMs + this.#ttlMs <= now)
    for (const bucket of due.sort((a, b) => a - b)) this.#buckets.get(bucket)?.forEach(visit)
  }

  #told(time: number): void {
    if (!(time > this.#newest)) return
    this.#newest = time
    const waiting = this.#buckets.get(UNTIMED)
    if (waiting === undefined) return
    this.#buckets.delete(UNTIMED)
    const bucket = Math.floor(time / this.#widthMs)
    for (const [outer, inner] of waiting.addresses()) this.#join(bucket, outer, inner)
  }

  #join(bucket: number, outer: CanonicalKey, inner: CanonicalKey): void {
    this.#stamps.set(outer, inner, bucket)
    let entries = this.#buckets.get(bucket)
    if (entries === undefined) {
      entries = new Nested()
      this.#buckets.set(bucket, entries)
    }
    entries.set(outer, inner, true)
  }

  #leave(bucket: number, outer: CanonicalKey, inner: CanonicalKey): void {
    const entries = this.#buckets.get(bucket)
    entries?.delete(outer, inner)
    if (entries?.size === 0) this.#buckets.delete(bucket)
  }
}
