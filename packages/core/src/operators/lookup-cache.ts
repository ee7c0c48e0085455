/** A bounded cache of answers: the least recently used leaves first, and none is older than its time to live. */
export class LookupCache<K, V> {
  readonly #capacity: number
  readonly #ttlMs: number
  /** In order of use, the least recent first. */
  readonly #entries = new Map<K, { readonly value: V; readonly until: number }>()

  constructor(capacity: number, ttlMs: number) {
    this.#capacity = capacity
    this.#ttlMs = ttlMs
  }

  get size(): number {
    return this.#entries.size
  }

  /** The answer, in a box because undefined is one too. O(1). */
  get(key: K, now: number): { readonly value: V } | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (entry.until <= now) return undefined
    this.#entries.set(key, entry)
    return entry
  }

  set(key: K, value: V, now: number): void {
    this.#entries.delete(key)
    if (this.#entries.size >= this.#capacity) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    }
    this.#entries.set(key, { value, until: now + this.#ttlMs })
  }
}
