/**
 * The entries of a table: one cell per entry, found by (outer, inner) with one Map lookup. An outer key with a single
 * entry holds its cell directly; further ones share a Map. What else is known of an entry (its mark since the last
 * delta, its expiry) lies in the cell, so that a write finds everything at once.
 *
 * Invariants:
 *  E1  A cell is in the map until it is removed, and never comes back: setting the entry again makes another cell.
 */
import type { CanonicalKey } from '../batch/key.ts'

/** Marks: what the next delta has to say of the entry. */
export const Mark = {
  /** As the last delta left it. */
  clean: 0,
  /** It did not exist at the last delta. */
  fresh: 1,
  changed: 2,
  /** Removed, and the last delta had it. */
  deleted: 3,
  /** Removed without a trace. */
  gone: 4,
} as const

/** Measured heap of a cell with its place in a Map, of its further place where it expires, and of a small Map. */
export const CELL_BYTES = 56 + 38
export const TIMED_CELL_BYTES = CELL_BYTES + 16
export const GROUP_BYTES = 180

export class Cell<V> {
  readonly outer: CanonicalKey
  readonly inner: CanonicalKey
  value: V
  mark: number

  constructor(outer: CanonicalKey, inner: CanonicalKey, value: V, mark: number) {
    this.outer = outer
    this.inner = inner
    this.value = value
    this.mark = mark
  }
}

/** A cell of a table with a ttl. */
export class TimedCell<V> extends Cell<V> {
  /** Which slice of time it was last written in; undefined while no time is known. Set by Expiry. */
  bucket: number | undefined = undefined
}

/** Private to Cells: its type tells a group from a cell. */
class Group<V> extends Map<CanonicalKey, Cell<V>> {}

export class Cells<V> {
  readonly #outer = new Map<CanonicalKey, Cell<V> | Group<V>>()
  #size = 0
  #groups = 0
  /** Found or added last: a write mostly follows a read of the same entry. */
  #last: Cell<V> | undefined

  get size(): number {
    return this.#size
  }

  /** Outer keys that have a map of their own. */
  get groups(): number {
    return this.#groups
  }

  find(outer: CanonicalKey, inner: CanonicalKey): Cell<V> | undefined {
    const last = this.#last
    if (last !== undefined && last.outer === outer && last.inner === inner) return last
    let found = this.#outer.get(outer)
    if (found instanceof Group) found = found.get(inner)
    else if (found !== undefined && found.inner !== inner) return undefined
    if (found !== undefined) this.#last = found
    return found
  }

  /** The cell's address is free. */
  add(cell: Cell<V>): void {
    const { outer, inner } = cell
    const found = this.#outer.get(outer)
    if (found === undefined) this.#outer.set(outer, cell)
    else if (found instanceof Group) found.set(inner, cell)
    else {
      const group = new Group<V>()
      group.set(found.inner, found)
      group.set(inner, cell)
      this.#outer.set(outer, group)
      this.#groups++
    }
    this.#size++
    this.#last = cell
  }

  /** The cell is in the map. */
  remove(cell: Cell<V>): void {
    const found = this.#outer.get(cell.outer)
    if (found instanceof Group) {
      found.delete(cell.inner)
      if (found.size === 0) {
        this.#outer.delete(cell.outer)
        this.#groups--
      }
    } else this.#outer.delete(cell.outer)
    this.#size--
    this.#last = undefined
  }

  removeGroup(outer: CanonicalKey): void {
    const found = this.#outer.get(outer)
    if (found === undefined) return
    if (found instanceof Group) this.#groups--
    this.#size -= found instanceof Group ? found.size : 1
    this.#outer.delete(outer)
    this.#last = undefined
  }

  /** The cells of one outer key; removing the one at hand is allowed meanwhile. */
  cellsOf(outer: CanonicalKey): Iterable<Cell<V>> {
    const found = this.#outer.get(outer)
    if (found === undefined) return []
    return found instanceof Group ? found.values() : [found]
  }

  group(outer: CanonicalKey): ReadonlyMap<CanonicalKey, V> | undefined {
    const found = this.#outer.get(outer)
    if (found === undefined) return undefined
    return new GroupView(found instanceof Group ? found : new Map([[found.inner, found]]))
  }

  outers(): Iterable<CanonicalKey> {
    return this.#outer.keys()
  }

  /** Deleting the visited entry, and adding others, is allowed meanwhile; added ones may be visited. */
  forEach(visit: (cell: Cell<V>) => void): void {
    for (const found of this.#outer.values()) {
      if (found instanceof Group) for (const cell of found.values()) visit(cell)
      else visit(found)
    }
  }

  /** All cells, for slow paths that pause. */
  *[Symbol.iterator](): Generator<Cell<V>> {
    for (const found of this.#outer.values()) {
      if (found instanceof Group) yield* found.values()
      else yield found
    }
  }

  clear(): void {
    this.#outer.clear()
    this.#size = 0
    this.#groups = 0
    this.#last = undefined
  }
}

/** The cells of a group as what is in them. */
class GroupView<V> implements ReadonlyMap<CanonicalKey, V> {
  readonly #cells: ReadonlyMap<CanonicalKey, Cell<V>>

  constructor(cells: ReadonlyMap<CanonicalKey, Cell<V>>) {
    this.#cells = cells
  }

  get size(): number {
    return this.#cells.size
  }

  get(inner: CanonicalKey): V | undefined {
    return this.#cells.get(inner)?.value
  }

  has(inner: CanonicalKey): boolean {
    return this.#cells.has(inner)
  }

  forEach(visit: (value: V, inner: CanonicalKey, map: ReadonlyMap<CanonicalKey, V>) => void): void {
    for (const { inner, value } of this.#cells.values()) visit(value, inner, this)
  }

  keys(): MapIterator<CanonicalKey> {
    return this.#cells.keys()
  }

  *values(): MapIterator<V> {
    for (const { value } of this.#cells.values()) yield value
  }

  *entries(): MapIterator<[CanonicalKey, V]> {
    for (const { inner, value } of this.#cells.values()) yield [inner, value]
  }

  [Symbol.iterator](): MapIterator<[CanonicalKey, V]> {
    return this.entries()
  }
}
