/**
 * Typed handles on the state of a `process` step. A handle belongs to a name; what it reads and writes belongs to the key
 * of the record or timer that is being handled.
 *
 * Invariants:
 *  S1  A handle is used only during a call of the step's handlers; outside there is no key (STATE_OUTSIDE_CALL).
 *  S2  One change writes one small entry: appending to a list or setting an entry of a map never rewrites the rest.
 *  S3  With a ttl, whether an entry is still there depends on times alone, not on when the step cleaned up.
 *
 * Ttl counts in event time by default, because then the same records give the same output in a replay or a catch-up over
 * hours of backlog; in processing time, state would outlive or miss the records it is for. 'processing' is there for
 * state whose age matters in the world outside, such as a token or a cached answer.
 */
import { type CanonicalKey, canonicalKey, type Key, originalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { StateAccess } from '../state/table.ts'
import { Entries, type StateOptions, type StateScope } from './state-entries.ts'

/** One value per key. */
export interface ValueState<V> {
  /** The value, the default, or undefined. It is live: after changing it in place, `set` it. */
  get(): V
  set(value: V): void
  /** Sets what `change` makes of the value, and returns it. */
  update(change: (value: V) => V): V
  has(): boolean
  clear(): void
}

/** A list per key, kept as one entry per item. */
export interface ListState<V> {
  /** Adds an item at the end. O(1). */
  append(value: V): void
  /** The items, oldest first, in a new array. */
  get(): V[]
  /** Removes the `count` oldest items; all of them when there are fewer. */
  dropFirst(count: number): void
  clear(): void
}

/** A map per key, kept as one entry per map key. */
export interface MapState<K extends Key, V> {
  get(key: K): V | undefined
  set(key: K, value: V): void
  has(key: K): boolean
  delete(key: K): boolean
  /** The entries, in a new array, in no promised order. */
  entries(): [K, V][]
  keys(): K[]
  values(): V[]
  clear(): void
}

/** Makes the handles of one step and cleans up behind them. */
export class StateHandles {
  readonly #scope: StateScope
  readonly #state: StateAccess
  readonly #entries = new Map<string, Entries<unknown>>()

  constructor(scope: StateScope, state: StateAccess) {
    this.#scope = scope
    this.#state = state
  }

  value<V>(name: string, options: StateOptions<V> & { readonly default?: V }): ValueState<V | undefined> {
    const entries = this.#declare<V>(name, options)
    const initial = options.default
    const fresh = typeof initial === 'object' && initial !== null ? () => structuredClone(initial) : () => initial
    const get = (): V | undefined => entries.get() ?? (entries.has() ? entries.get() : fresh())
    const set = (value: V | undefined): void => {
      if (value === undefined) entries.delete()
      else entries.set(value)
    }
    return {
      get,
      set,
      update(change) {
        const value = change(get())
        set(value)
        return value
      },
      has: () => entries.has(),
      clear: () => void entries.delete(),
    }
  }

  list<V>(name: string, options: StateOptions<V>): ListState<V> {
    const entries = this.#declare<V>(name, options)
    // The number of the next item. It is written with every item, so its ttl passes after that of all of them.
    const next = this.#declare<number>(`${name}.next`, options.ttl === undefined ? {} : { ttl: options.ttl })
    const inOrder = () => entries.all().sort((a, b) => (a[0] as number) - (b[0] as number))
    const clear = (): void => {
      entries.clear()
      next.clear()
    }
    return {
      append(value) {
        const at = next.peek() ?? 0
        entries.set(value, at)
        next.set(at + 1)
      },
      get: () => inOrder().map(([, value]) => value),
      dropFirst(count) {
        const items = inOrder()
        if (count >= items.length) clear()
        else for (const [at] of items.slice(0, count)) entries.delete(at)
      },
      clear,
    }
  }

  map<K extends Key, V>(name: string, options: StateOptions<V>): MapState<K, V> {
    const entries = this.#declare<V>(name, options)
    return {
      get: (key) => entries.get(canonicalKey(key)),
      set: (key, value) => entries.set(value, canonicalKey(key)),
      has: (key) => entries.has(canonicalKey(key)),
      delete: (key) => entries.delete(canonicalKey(key)),
      entries: () => entries.all().map(([key, value]): [K, V] => [originalKey(key) as K, value]),
      keys: () => entries.all().map(([key]) => originalKey(key) as K),
      values: () => entries.all().map(([, value]) => value),
      clear: () => entries.clear(),
    }
  }

  /** True when a state counts its ttl in processing time: the step's output then depends on the clock. */
  get usesClock(): boolean {
    for (const entries of this.#entries.values()) if (entries.hasTtl && entries.ttlTime === 'processing') return true
    return false
  }

  /** Every key that has state. */
  keys(): Set<CanonicalKey> {
    const keys = new Set<CanonicalKey>()
    for (const entries of this.#entries.values()) for (const key of entries.keys()) keys.add(key)
    return keys
  }

  /** Drops what has expired. O(expired entries). */
  expire(watermark: number, now: number): void {
    for (const entries of this.#entries.values()) entries.expire(entries.ttlTime === 'event' ? watermark : now)
  }

  #declare<V>(name: string, options: StateOptions<V>): Entries<V> {
    if (typeof name !== 'string' || name === '' || this.#entries.has(name)) {
      const what = this.#entries.has(name) ? `"${name}" is declared twice` : `a state has no name`
      throw new UsageError('STATE_NAME', `${what}; each state of a step needs a name of its own.`, {
        step: this.#scope.step,
      })
    }
    const entries = new Entries<V>(this.#scope, this.#state, name, options)
    this.#entries.set(name, entries as Entries<unknown>)
    return entries
  }
}
