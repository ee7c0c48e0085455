/**
 * Map of maps with a cheap case: an outer key whose only inner key is '' holds its value directly, without a map.
 * What merges sections (RawStore) keeps them in it.
 */
import type { CanonicalKey } from '../batch/key.ts'

/** The inner address of entries stored without one. */
export const NO_SUB = ''

/** Private to Nested: its type tells a group from a value. */
class Group<V> extends Map<CanonicalKey, V> {}

export class Nested<V> {
  readonly #outer = new Map<CanonicalKey, V | Group<V>>()
  #size = 0
  #groups = 0

  get size(): number {
    return this.#size
  }

  /** Outer keys that have a map of their own. */
  get groups(): number {
    return this.#groups
  }

  get(outer: CanonicalKey, inner: CanonicalKey): V | undefined {
    const found = this.#outer.get(outer)
    if (found instanceof Group) return found.get(inner)
    return inner === NO_SUB ? found : undefined
  }

  has(outer: CanonicalKey, inner: CanonicalKey): boolean {
    const found = this.#outer.get(outer)
    if (found instanceof Group) return found.has(inner)
    return inner === NO_SUB && (found !== undefined || this.#outer.has(outer))
  }

  /** True when the entry is new. */
  set(outer: CanonicalKey, inner: CanonicalKey, value: V): boolean {
    const before = this.#size
    const found = this.#outer.get(outer)
    if (found instanceof Group) {
      const size = found.size
      found.set(inner, value)
      this.#size += found.size - size
    } else if (inner === NO_SUB) {
      const size = this.#outer.size
      this.#outer.set(outer, value)
      this.#size += this.#outer.size - size
    } else {
      const group = new Group<V>()
      if (found !== undefined || this.#outer.has(outer)) group.set(NO_SUB, found as V)
      group.set(inner, value)
      this.#outer.set(outer, group)
      this.#groups++
      this.#size++
    }
    return this.#size !== before
  }

  delete(outer: CanonicalKey, inner: CanonicalKey): boolean {
    const found = this.#outer.get(outer)
    if (found instanceof Group) {
      if (!found.delete(inner)) return false
      if (found.size === 0) {
        this.#outer.delete(outer)
        this.#groups--
      }
    } else if (inner !== NO_SUB || !this.#outer.delete(outer)) {
      return false
    }
    this.#size--
    return true
  }

  group(outer: CanonicalKey): ReadonlyMap<CanonicalKey, V> | undefined {
    const found = this.#outer.get(outer)
    if (found instanceof Group) return found
    return found !== undefined || this.#outer.has(outer) ? new Map([[NO_SUB, found as V]]) : undefined
  }

  deleteGroup(outer: CanonicalKey): void {
    const found = this.#outer.get(outer)
    if (found === undefined && !this.#outer.has(outer)) return
    if (found instanceof Group) this.#groups--
    this.#size -= found instanceof Group ? found.size : 1
    this.#outer.delete(outer)
  }

  outers(): Iterable<CanonicalKey> {
    return this.#outer.keys()
  }

  /** Deleting the visited entry, and adding others, is allowed meanwhile; added ones may be visited. */
  forEach(visit: (outer: CanonicalKey, inner: CanonicalKey, value: V) => void): void {
    for (const [outer, found] of this.#outer) {
      if (found instanceof Group) for (const [inner, value] of found) visit(outer, inner, value)
      else visit(outer, NO_SUB, found)
    }
  }

  /** Addresses, for slow paths that pause. */
  *addresses(): Generator<[outer: CanonicalKey, inner: CanonicalKey]> {
    for (const [outer, found] of this.#outer) {
      if (found instanceof Group) for (const inner of found.keys()) yield [outer, inner]
      else yield [outer, NO_SUB]
    }
  }

  clear(): void {
    this.#outer.clear()
    this.#size = 0
    this.#groups = 0
  }
}
