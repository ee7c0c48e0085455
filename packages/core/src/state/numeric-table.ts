/**
 * Fixed-width numeric accumulators by (sub, key): per sub one slice, a dense list of slots with an open-addressing index
 * for number keys and a Map for the others. `slot()` allocates nothing but when it grows.
 *
 * Invariants:
 *  N1  Slots are dense, 0 .. count - 1, and keep their number for the life of the slice.
 *  N2  The index is at most half full, and holds slot + 1; 0 is free.
 */
import { ByteReader, type ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { Accepts } from './entry-table.ts'
import type { StateIdentity } from './identity.ts'
import { type Block, BlockKind, Op, type SectionWriter, wrote } from './section.ts'
import type { NumericSlice, NumericTable } from './table.ts'

const CAPACITY_MIN = 8
/** A new slice starts as large as its predecessor was, up to this. */
const CAPACITY_HINT_MAX = 1 << 16
/** Rows per operation when written: about 64 KiB at width 3. */
const ROWS_PER_OP = 2048
/** Estimated heap of a non-number key: a Map slot and a list slot. */
const OTHER_KEY_BYTES = 64

const f64 = new Float64Array(1)
const i32 = new Int32Array(f64.buffer)

export class Slice implements NumericSlice {
  readonly columns: Float64Array[]
  count = 0
  /** True when the slice is in a delta: its drop must be written. */
  isStored = false
  readonly #initial: readonly number[]
  readonly #grew: (bytes: number) => void
  #capacity: number
  #numbers: Float64Array
  #index: Int32Array
  #shift: number
  #dirty: Int32Array
  #others: Map<CanonicalKey, number> | undefined
  #otherKeys: CanonicalKey[] | undefined
  #bytes = 0

  constructor(initial: readonly number[], capacity: number, grew: (bytes: number) => void) {
    this.#initial = initial
    this.#grew = grew
    this.#capacity = capacity
    this.#numbers = new Float64Array(capacity)
    this.#index = new Int32Array(capacity * 2)
    this.#shift = 32 - Math.log2(capacity * 2)
    this.#dirty = new Int32Array((capacity + 31) >>> 5)
    this.columns = initial.map(() => new Float64Array(capacity))
    this.#measure()
  }

  get bytes(): number {
    return this.#bytes
  }

  slot(key: CanonicalKey): number {
    let slot = this.find(key)
    if (slot < 0) slot = this.#insert(key)
    this.#dirty[slot >>> 5] |= 1 << slot
    return slot
  }

  find(key: CanonicalKey): number {
    if (typeof key !== 'number') return this.#others?.get(key) ?? -1
    const index = this.#index
    const numbers = this.#numbers
    const mask = index.length - 1
    for (let i = home(key, this.#shift); ; i = (i + 1) & mask) {
      const slot = index[i] - 1
      if (slot < 0) return -1
      if (numbers[slot] === key) return slot
    }
  }

  keyAt(slot: number): CanonicalKey {
    const key = this.#numbers[slot]
    return Number.isNaN(key) ? (this.#otherKeys as CanonicalKey[])[slot] : key
  }

  isDirty(slot: number): boolean {
    return (this.#dirty[slot >>> 5] & (1 << slot)) !== 0
  }

  clean(): void {
    this.#dirty.fill(0)
    this.isStored = true
  }

  #insert(key: CanonicalKey): number {
    if (this.count === this.#capacity) this.#grow()
    const slot = this.count++
    if (typeof key === 'number') {
      this.#numbers[slot] = key
      this.#link(key, slot)
    } else {
      this.#numbers[slot] = Number.NaN
      this.#others ??= new Map()
      this.#otherKeys ??= []
      this.#others.set(key, slot)
      this.#otherKeys[slot] = key
    }
    for (let c = 0; c < this.columns.length; c++) this.columns[c][slot] = this.#initial[c]
    return slot
  }

  #link(key: number, slot: number): void {
    const mask = this.#index.length - 1
    let i = home(key, this.#shift)
    while (this.#index[i] !== 0) i = (i + 1) & mask
    this.#index[i] = slot + 1
  }

  #grow(): void {
    this.#capacity *= 2
    this.#numbers = enlarged(this.#numbers, this.#capacity)
    for (let c = 0; c < this.columns.length; c++) this.columns[c] = enlarged(this.columns[c], this.#capacity)
    const dirty = new Int32Array((this.#capacity + 31) >>> 5)
    dirty.set(this.#dirty)
    this.#dirty = dirty
    this.#index = new Int32Array(this.#capacity * 2)
    this.#shift--
    for (let slot = 0; slot < this.count; slot++) {
      const key = this.#numbers[slot]
      if (!Number.isNaN(key)) this.#link(key, slot)
    }
    this.#measure()
  }

  #measure(): void {
    const bytes = this.#capacity * (16 + 8 * this.columns.length) + 200 + OTHER_KEY_BYTES * (this.#others?.size ?? 0)
    this.#grew(bytes - this.#bytes)
    this.#bytes = bytes
  }
}

export class NumericStateTable implements NumericTable {
  readonly name: string
  readonly width: number
  readonly #step: string
  readonly #initial: readonly number[]
  readonly #slices = new Map<number, Slice>()
  readonly #dropped = new Set<number>()
  readonly #grew: (bytes: number) => void
  #capacityHint = CAPACITY_MIN
  #newest: Slice | undefined
  #bytes = 0

  constructor(step: string, name: string, initial: readonly number[], grew: (bytes: number) => void) {
    this.name = name
    this.width = initial.length
    this.#step = step
    this.#initial = [...initial]
    this.#grew = (bytes) => {
      this.#bytes += bytes
      grew(bytes)
    }
  }

  /** Sum over slices; counts an entry per (sub, key). */
  get size(): number {
    let size = 0
    for (const slice of this.#slices.values()) size += slice.count
    return size
  }

  /** Exact but for string keys, which are counted when a slice grows. */
  get bytes(): number {
    return this.#bytes
  }

  get identity(): StateIdentity {
    return { step: this.#step, table: this.name, kind: 'numeric', codec: `f64x${this.width}`, version: 0 }
  }

  slice(sub: number): NumericSlice {
    return this.#slices.get(sub) ?? this.#make(sub)
  }

  peek(sub: number): NumericSlice | undefined {
    return this.#slices.get(sub)
  }

  drop(sub: number): void {
    const slice = this.#slices.get(sub)
    if (slice === undefined) return
    if (slice.isStored) this.#dropped.add(sub)
    this.#slices.delete(sub)
    if (this.#newest === slice) this.#newest = undefined
    this.#grew(-slice.bytes)
  }

  subs(): Iterable<number> {
    return this.#slices.keys()
  }

  *write(out: SectionWriter, all: boolean): Generator<Uint8Array> {
    let w: ByteWriter | undefined
    if (!all) {
      for (const sub of this.#dropped) {
        w ??= this.#begin(out)
        w.u8(Op.drop)
        w.f64(sub)
      }
    }
    const slots: number[] = []
    for (const [sub, slice] of this.#slices) {
      for (let slot = 0; slot < slice.count; ) {
        slots.length = 0
        for (; slot < slice.count && slots.length < ROWS_PER_OP; slot++) {
          if (all || slice.isDirty(slot)) slots.push(slot)
        }
        if (slots.length === 0) continue
        w ??= this.#begin(out)
        writeRows(w, sub, slice, slots)
        if (!out.isFull) continue
        out.end()
        yield out.cut() as Uint8Array
        w = undefined
      }
    }
    if (w !== undefined) out.end()
  }

  clean(): void {
    for (const slice of this.#slices.values()) slice.clean()
    this.#dropped.clear()
  }

  /** Empties the table, as if nothing had been restored. */
  reset(): void {
    for (const sub of [...this.#slices.keys()]) this.drop(sub)
    this.#dropped.clear()
  }

  read(block: Block, accepts: Accepts): void {
    const r = new ByteReader(block.body)
    const width = block.kind === BlockKind.numeric ? r.varint() : -1
    if (width !== this.width) {
      throw new UsageError(
        'STATE_MISMATCH',
        `table "${this.name}" was stored with ${width < 0 ? 'another kind' : `${width} numbers per entry`} and now has ${this.width}. The step's aggregates changed: rename the step, and drop the old state with --allow-dropped.`,
        { step: this.#step, data: { table: this.name } },
      )
    }
    while (r.remaining > 0) {
      const op = r.u8()
      const sub = r.f64()
      if (op === Op.drop) this.#applyDrop(sub, block)
      else this.#applyRows(r, sub, accepts)
    }
  }

  #begin(out: SectionWriter): ByteWriter {
    const w = out.begin(this.name, BlockKind.numeric)
    w.varint(this.width)
    return w
  }

  #make(sub: number): Slice {
    if (this.#newest !== undefined) {
      const like = 2 ** Math.ceil(Math.log2(Math.max(1, this.#newest.count)))
      this.#capacityHint = Math.min(CAPACITY_HINT_MAX, Math.max(CAPACITY_MIN, like))
    }
    const slice = new Slice(this.#initial, this.#capacityHint, this.#grew)
    this.#newest = slice
    this.#slices.set(sub, slice)
    return slice
  }

  #applyDrop(sub: number, block: Block): void {
    const old = this.#slices.get(sub)
    if (old === undefined) return
    this.drop(sub)
    this.#dropped.delete(sub)
    // Keys of other writers stay (S2): the slice is made again without the dropped ones.
    for (let slot = 0; slot < old.count; slot++) {
      const key = old.keyAt(slot)
      if (wrote(block.writer, key)) continue
      const kept = this.slice(sub) as Slice
      const to = kept.slot(key)
      for (let c = 0; c < this.width; c++) kept.columns[c][to] = old.columns[c][slot]
      kept.clean()
    }
  }

  #applyRows(r: ByteReader, sub: number, accepts: Accepts): void {
    const count = r.varint()
    const allInt = r.u8() === 1
    const keys: CanonicalKey[] = new Array(count)
    for (let i = 0; i < count; i++) keys[i] = allInt ? r.u32() | 0 : r.key()
    let slice: Slice | undefined
    const slots = new Int32Array(count).fill(-1)
    for (let i = 0; i < count; i++) {
      if (!accepts(keys[i], this.#step)) continue
      slice ??= this.slice(sub) as Slice
      slots[i] = slice.slot(keys[i])
    }
    for (let c = 0; c < this.width; c++) {
      for (let i = 0; i < count; i++) {
        const value = r.f64()
        if (slots[i] >= 0) (slice as Slice).columns[c][slots[i]] = value
      }
    }
    slice?.clean()
  }
}

function writeRows(w: ByteWriter, sub: number, slice: Slice, slots: readonly number[]): void {
  let allInt = true
  for (const slot of slots) {
    const key = slice.keyAt(slot)
    if (typeof key !== 'number' || (key | 0) !== key) {
      allInt = false
      break
    }
  }
  w.u8(Op.rows)
  w.f64(sub)
  w.varint(slots.length)
  w.u8(allInt ? 1 : 0)
  for (const slot of slots) {
    const key = slice.keyAt(slot)
    if (allInt) w.u32(key as number)
    else w.key(key)
  }
  for (const column of slice.columns) for (const slot of slots) w.f64(column[slot])
}

/** First index of a number key: top bits of a multiplicative hash. */
function home(key: number, shift: number): number {
  if ((key | 0) === key) return Math.imul(key ^ (key >>> 16), 0x9e3779b1) >>> shift
  f64[0] = key
  const mixed = i32[0] ^ Math.imul(i32[1], 0x85ebca6b)
  return Math.imul(mixed ^ (mixed >>> 16), 0x9e3779b1) >>> shift
}

function enlarged(column: Float64Array, capacity: number): Float64Array {
  const next = new Float64Array(capacity)
  next.set(column)
  return next
}
