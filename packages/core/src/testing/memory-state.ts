/**
 * State of a hosted operator: tables in plain maps, without dirty tracking, key groups or limits.
 */
import { deserialize, serialize } from 'node:v8'
import type { CanonicalKey } from '../batch/key.ts'
import type { NumericSlice, NumericTable, StateAccess, Table, TableOptions } from '../state/table.ts'

interface SavedTable {
  readonly codec: string | undefined
  readonly version: number
  readonly entries: readonly (readonly [key: CanonicalKey, sub: CanonicalKey, value: unknown])[]
}

export class MemoryState implements StateAccess {
  readonly #tables = new Map<string, MemoryTable<unknown>>()
  readonly #numeric = new Map<string, MemoryNumericTable>()
  readonly #restored: readonly Map<string, SavedTable>[]
  readonly #owns: (key: CanonicalKey) => boolean

  constructor(restored: readonly Uint8Array[], owns: (key: CanonicalKey) => boolean) {
    this.#restored = restored.map((bytes) => deserialize(bytes) as Map<string, SavedTable>)
    this.#owns = owns
  }

  table<V>(name: string, options: TableOptions<V> = {}): Table<V> {
    const existing = this.#tables.get(name)
    if (existing !== undefined) return existing as MemoryTable<V>
    const table = new MemoryTable<V>(name, options)
    for (const saved of this.#saved(name)) {
      for (const [key, sub, value] of saved.entries) {
        if (this.#owns(key)) table.set(key, options.codec?.decode(value, saved.version) ?? (value as V), sub)
      }
    }
    this.#tables.set(name, table as MemoryTable<unknown>)
    return table
  }

  numericTable(name: string, initial: readonly number[]): NumericTable {
    const existing = this.#numeric.get(name)
    if (existing !== undefined) return existing
    const table = new MemoryNumericTable(name, initial)
    for (const saved of this.#saved(name)) {
      for (const [key, sub, value] of saved.entries) {
        if (!this.#owns(key)) continue
        const slice = table.slice(sub as number)
        const slot = slice.slot(key)
        for (let c = 0; c < initial.length; c++) slice.columns[c][slot] = (value as number[])[c]
      }
    }
    this.#numeric.set(name, table)
    return table
  }

  save(): Uint8Array {
    const out = new Map<string, SavedTable>()
    for (const [name, table] of this.#tables) {
      const entries: [CanonicalKey, CanonicalKey, unknown][] = []
      table.forEach((key, sub, value) => {
        entries.push([key, sub, table.codec === undefined ? value : table.codec.encode(value)])
      })
      out.set(name, { codec: table.codec?.name, version: table.codec?.version ?? 0, entries })
    }
    for (const [name, table] of this.#numeric) {
      const entries: [CanonicalKey, CanonicalKey, unknown][] = []
      for (const sub of table.subs()) {
        const slice = table.slice(sub)
        for (let slot = 0; slot < slice.count; slot++) {
          entries.push([slice.keyAt(slot), sub, slice.columns.map((column) => column[slot])])
        }
      }
      out.set(name, { codec: undefined, version: 0, entries })
    }
    return serialize(out)
  }

  #saved(name: string): SavedTable[] {
    return this.#restored.flatMap((tables) => tables.get(name) ?? [])
  }
}

class MemoryTable<V> implements Table<V> {
  readonly name: string
  readonly codec: TableOptions<V>['codec']
  readonly #subMajor: boolean
  readonly #groups = new Map<CanonicalKey, Map<CanonicalKey, V>>()
  readonly #ttlMs: number | undefined
  readonly #times = new Map<string, number>()
  #newest = Number.NEGATIVE_INFINITY
  #size = 0

  constructor(name: string, options: TableOptions<V>) {
    this.name = name
    this.codec = options.codec
    this.#ttlMs = options.ttlMs
    this.#subMajor = options.major === 'sub'
  }

  get size(): number {
    return this.#size
  }

  get(key: CanonicalKey, sub: CanonicalKey = ''): V | undefined {
    return this.#subMajor ? this.#groups.get(sub)?.get(key) : this.#groups.get(key)?.get(sub)
  }

  has(key: CanonicalKey, sub: CanonicalKey = ''): boolean {
    return (this.#subMajor ? this.#groups.get(sub)?.has(key) : this.#groups.get(key)?.has(sub)) ?? false
  }

  set(key: CanonicalKey, value: V, sub: CanonicalKey = '', time = this.#newest): void {
    if (time > this.#newest) this.#newest = time
    const id = `${typeof key}${key} ${typeof sub}${sub}`
    if (this.#ttlMs !== undefined) this.#times.set(id, Math.max(time, this.#times.get(id) ?? time))
    const outer = this.#subMajor ? sub : key
    const inner = this.#subMajor ? key : sub
    let group = this.#groups.get(outer)
    if (group === undefined) this.#groups.set(outer, (group = new Map()))
    if (!group.has(inner)) this.#size++
    group.set(inner, value)
  }

  delete(key: CanonicalKey, sub: CanonicalKey = ''): boolean {
    const outer = this.#subMajor ? sub : key
    const group = this.#groups.get(outer)
    if (group === undefined || !group.delete(this.#subMajor ? key : sub)) return false
    this.#size--
    if (group.size === 0) this.#groups.delete(outer)
    return true
  }

  group(outer: CanonicalKey): ReadonlyMap<CanonicalKey, V> | undefined {
    return this.#groups.get(outer)
  }

  deleteGroup(outer: CanonicalKey): void {
    this.#size -= this.#groups.get(outer)?.size ?? 0
    this.#groups.delete(outer)
  }

  outers(): Iterable<CanonicalKey> {
    return this.#groups.keys()
  }

  expire(now: number, visit?: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): number {
    if (this.#ttlMs === undefined) return 0
    const expired: [CanonicalKey, CanonicalKey, V][] = []
    this.forEach((key, sub, value) => {
      const time = this.#times.get(`${typeof key}${key} ${typeof sub}${sub}`)
      if (time !== undefined && now >= time + (this.#ttlMs as number)) expired.push([key, sub, value])
    })
    for (const [key, sub, value] of expired) {
      visit?.(key, sub, value)
      this.delete(key, sub)
    }
    return expired.length
  }

  forEach(visit: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): void {
    for (const [outer, group] of this.#groups) {
      for (const [inner, value] of group) this.#subMajor ? visit(inner, outer, value) : visit(outer, inner, value)
    }
  }
}

class MemoryNumericTable implements NumericTable {
  readonly name: string
  readonly width: number
  readonly #initial: readonly number[]
  readonly #slices = new Map<number, MemorySlice>()

  constructor(name: string, initial: readonly number[]) {
    this.name = name
    this.width = initial.length
    this.#initial = initial
  }

  get size(): number {
    let size = 0
    for (const slice of this.#slices.values()) size += slice.count
    return size
  }

  slice(sub: number): NumericSlice {
    let slice = this.#slices.get(sub)
    if (slice === undefined) this.#slices.set(sub, (slice = new MemorySlice(this.#initial)))
    return slice
  }

  peek(sub: number): NumericSlice | undefined {
    return this.#slices.get(sub)
  }

  drop(sub: number): void {
    this.#slices.delete(sub)
  }

  subs(): Iterable<number> {
    return this.#slices.keys()
  }
}

class MemorySlice implements NumericSlice {
  columns: Float64Array[]
  readonly #initial: readonly number[]
  readonly #slots = new Map<CanonicalKey, number>()
  readonly #keys: CanonicalKey[] = []

  constructor(initial: readonly number[]) {
    this.#initial = initial
    this.columns = initial.map(() => new Float64Array(4))
  }

  get count(): number {
    return this.#keys.length
  }

  slot(key: CanonicalKey): number {
    const found = this.#slots.get(key)
    if (found !== undefined) return found
    const slot = this.#keys.push(key) - 1
    this.#slots.set(key, slot)
    if (slot === this.columns[0]?.length) {
      this.columns = this.columns.map((column) => {
        const grown = new Float64Array(column.length * 2)
        grown.set(column)
        return grown
      })
    }
    for (let c = 0; c < this.columns.length; c++) this.columns[c][slot] = this.#initial[c]
    return slot
  }

  find(key: CanonicalKey): number {
    return this.#slots.get(key) ?? -1
  }

  keyAt(slot: number): CanonicalKey {
    return this.#keys[slot]
  }
}
