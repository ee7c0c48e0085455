/**
 * The generic table: values by (key, sub), with the entries changed since the last delta remembered.
 *
 * Invariants:
 *  T1  The drops and then the marked cells in order, applied to the state at the last delta, give the present state.
 *  T2  A mark is fresh while the entry did not exist at the last delta: deleting it again leaves nothing to write.
 *  T3  A cell is in the list of marked ones once, from its first change after a delta on. Of one address at most the last
 *      cell there lives, so a deletion comes before what was set again.
 */
import { ByteReader, type ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { messageOf, OperationalError, UsageError } from '../errors.ts'
import { CELL_BYTES, Cell, Cells, GROUP_BYTES, Mark, TIMED_CELL_BYTES, TimedCell } from './cells.ts'
import { parse, stringify, taggedJson, UnsupportedValue } from './codec.ts'
import { Expiry } from './expiry.ts'
import { heapBytes } from './heap-size.ts'
import type { StateIdentity } from './identity.ts'
import { NO_SUB } from './nested.ts'
import { type Block, BlockKind, Op, type SectionWriter, wrote } from './section.ts'
import type { Codec, Table, TableOptions } from './table.ts'

/** Sets between two estimates of the table's size, and estimates between two samples of the value size, once there are some. */
const ESTIMATE_EVERY = 64
const SAMPLE_EVERY = 8
/** Fewer traces of entries that came and went are not worth a sweep. */
const SWEEP_MIN = 1024

export type Accepts = (key: CanonicalKey, step: string) => boolean

export class EntryTable<V> implements Table<V> {
  readonly name: string
  readonly #step: string
  readonly #codec: Codec<V>
  readonly #subMajor: boolean
  readonly #expiry: Expiry<V> | undefined
  readonly #cells = new Cells<V>()
  /** Cells changed since the last delta, and those gone again. */
  #marked: Cell<V>[] = []
  #gone = 0
  readonly #dropped = new Set<CanonicalKey>()
  readonly #grew: (bytes: number) => void
  #untilEstimate = 1
  #estimates = 0
  #samples = 0
  #meanBytes = 0
  #bytes = 0

  /** `grew` is told changes of the estimated bytes, and may throw `STATE_LIMIT`. */
  constructor(step: string, name: string, options: TableOptions<V>, grew: (bytes: number) => void) {
    this.name = name
    this.#step = step
    this.#codec = options.codec ?? (taggedJson as Codec<V>)
    this.#subMajor = options.major === 'sub'
    this.#expiry = options.ttlMs === undefined ? undefined : new Expiry(options.ttlMs)
    this.#grew = grew
  }

  get size(): number {
    return this.#cells.size
  }

  /** Estimate from samples of the values: within about a third for values of like size. */
  get bytes(): number {
    return this.#bytes
  }

  get identity(): StateIdentity {
    const { name, version, schema } = this.#codec
    const identity = { step: this.#step, table: this.name, kind: 'entries', codec: name, version } as const
    return { ...identity, major: this.#subMajor ? 'sub' : 'key', ...(schema === undefined ? {} : { schema }) }
  }

  get(key: CanonicalKey, sub: CanonicalKey = NO_SUB): V | undefined {
    return this.#find(key, sub)?.value
  }

  has(key: CanonicalKey, sub: CanonicalKey = NO_SUB): boolean {
    return this.#find(key, sub) !== undefined
  }

  set(key: CanonicalKey, value: V, sub: CanonicalKey = NO_SUB, time?: number): void {
    if (--this.#untilEstimate === 0) this.#estimate(key, sub, value)
    const cell = this.#find(key, sub)
    if (cell === undefined) {
      this.#marked.push(this.#add(key, sub, value, Mark.fresh, time))
      return
    }
    cell.value = value
    if (cell.mark === Mark.clean) {
      cell.mark = Mark.changed
      this.#marked.push(cell)
    }
    if (this.#expiry !== undefined) this.#expiry.touch(cell as TimedCell<V>, time)
  }

  delete(key: CanonicalKey, sub: CanonicalKey = NO_SUB): boolean {
    const cell = this.#find(key, sub)
    if (cell === undefined) return false
    this.#remove(cell)
    this.#expiry?.forget()
    return true
  }

  group(outer: CanonicalKey): ReadonlyMap<CanonicalKey, V> | undefined {
    return this.#cells.group(outer)
  }

  forEachOf(outer: CanonicalKey, visit: (inner: CanonicalKey, value: V) => void): void {
    for (const { inner, value } of this.#cells.cellsOf(outer)) visit(inner, value)
  }

  deleteGroup(outer: CanonicalKey): void {
    let isStored = false
    for (const cell of this.#cells.cellsOf(outer)) {
      // The drop covers what the last delta has.
      if (cell.mark !== Mark.fresh) isStored = true
      this.#forget(cell)
      this.#expiry?.forget()
    }
    if (isStored) this.#dropped.add(outer)
    this.#cells.removeGroup(outer)
    if (this.#cells.size === 0) this.#measure()
  }

  outers(): Iterable<CanonicalKey> {
    return this.#cells.outers()
  }

  forEach(visit: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): void {
    this.#cells.forEach(
      this.#subMajor
        ? ({ outer, inner, value }) => visit(inner, outer, value)
        : ({ outer, inner, value }) => visit(outer, inner, value),
    )
  }

  expire(now: number, visit?: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): number {
    let count = 0
    this.#expiry?.expired(now, (cell) => {
      const { outer, inner, value } = cell
      if (this.#subMajor) visit?.(inner, outer, value)
      else visit?.(outer, inner, value)
      this.#remove(cell)
      count++
    })
    return count
  }

  /** Completed sections of all entries, or of the changes since the last delta. The caller cuts the last one. */
  *write(out: SectionWriter, all: boolean): Generator<Uint8Array> {
    if (all ? this.size === 0 : this.#marked.length === this.#gone && this.#dropped.size === 0) return
    let w = this.#begin(out)
    if (!all) {
      for (const outer of this.#dropped) {
        w.u8(Op.drop)
        w.key(outer)
      }
    }
    for (const cell of all ? this.#cells : this.#marked) {
      if (cell.mark === Mark.gone) continue
      const key = this.#subMajor ? cell.inner : cell.outer
      const sub = this.#subMajor ? cell.outer : cell.inner
      w.u8(cell.mark === Mark.deleted ? Op.delete : Op.set)
      w.key(key)
      w.key(sub)
      if (cell.mark !== Mark.deleted) {
        if (this.#expiry !== undefined) w.f64(this.#expiry.timeOf(cell as TimedCell<V>))
        this.#writeValue(w, key, sub, cell.value)
      }
      if (out.isFull) {
        out.end()
        yield out.cut() as Uint8Array
        w = this.#begin(out)
      }
    }
    out.end()
  }

  /** What was written is durable, or on its way: forget the marks. */
  clean(): void {
    for (const cell of this.#marked) if (cell.mark < Mark.deleted) cell.mark = Mark.clean
    this.#marked = []
    this.#gone = 0
    this.#dropped.clear()
    this.#measure()
  }

  /** Empties the table, as if nothing had been restored. */
  reset(): void {
    this.#expiry?.clear()
    this.#cells.clear()
    this.#marked = []
    this.clean()
  }

  /** Applies a block of this table; what it changes does not count as dirty. */
  read(block: Block, accepts: Accepts): void {
    const r = new ByteReader(block.body)
    const codecName = r.utf8()
    const subMajor = r.u8() === 1
    const hasTimes = r.u8() === 1
    let restored = 0
    if (block.kind !== BlockKind.entries || codecName !== this.#codec.name) throw this.#foreign(codecName)
    while (r.remaining > 0) {
      const op = r.u8()
      if (op === Op.drop) {
        this.#applyDrop(r.key(), subMajor, block)
        continue
      }
      const key = r.key()
      const sub = r.key()
      if (op === Op.delete) {
        const cell = this.#find(key, sub)
        if (cell !== undefined) this.#unread(cell)
        continue
      }
      const time = hasTimes ? r.f64() : Number.NaN
      const version = r.u8()
      const data = r.bytes()
      if (!accepts(key, this.#step)) continue
      const value = this.#readValue(data, version)
      const cell = this.#find(key, sub)
      const at = Number.isNaN(time) ? undefined : time
      if (cell === undefined) this.#add(key, sub, value, Mark.clean, at)
      else {
        cell.value = value
        this.#expiry?.touch(cell as TimedCell<V>, at)
      }
      restored++
      if (this.#samples < 16 || restored % ESTIMATE_EVERY === 0) this.#observeSize(key, sub, value)
      // Limits hold while restoring, too.
      if (restored % 1024 === 0) this.#measure()
    }
    this.#measure()
  }

  #find(key: CanonicalKey, sub: CanonicalKey): Cell<V> | undefined {
    return this.#subMajor ? this.#cells.find(sub, key) : this.#cells.find(key, sub)
  }

  #add(key: CanonicalKey, sub: CanonicalKey, value: V, mark: number, time: number | undefined): Cell<V> {
    const outer = this.#subMajor ? sub : key
    const inner = this.#subMajor ? key : sub
    let cell: Cell<V>
    if (this.#expiry === undefined) cell = new Cell(outer, inner, value, mark)
    else this.#expiry.add((cell = new TimedCell(outer, inner, value, mark)) as TimedCell<V>, time)
    this.#cells.add(cell)
    return cell
  }

  #remove(cell: Cell<V>): void {
    this.#cells.remove(cell)
    if (cell.mark === Mark.clean || cell.mark === Mark.changed) {
      if (cell.mark === Mark.clean) this.#marked.push(cell)
      cell.mark = Mark.deleted
      cell.value = undefined as V
    } else this.#forget(cell)
  }

  /** The cell leaves no trace: it was never stored, or a drop covers it. */
  #forget(cell: Cell<V>): void {
    const isMarked = cell.mark !== Mark.clean
    cell.mark = Mark.gone
    // What is gone keeps nothing alive.
    cell.value = undefined as V
    if (!isMarked || ++this.#gone < SWEEP_MIN || this.#gone * 2 < this.#marked.length) return
    this.#marked = this.#marked.filter((marked) => marked.mark !== Mark.gone)
    this.#gone = 0
  }

  #begin(out: SectionWriter): ByteWriter {
    const w = out.begin(this.name, BlockKind.entries)
    w.utf8(this.#codec.name)
    w.u8(this.#subMajor ? 1 : 0)
    w.u8(this.#expiry === undefined ? 0 : 1)
    return w
  }

  #writeValue(w: ByteWriter, key: CanonicalKey, sub: CanonicalKey, value: V): void {
    w.u8(this.#codec.version)
    w.utf8(this.#text(key, sub, value))
  }

  #readValue(data: Uint8Array, version: number): V {
    if (version > this.#codec.version) {
      throw new UsageError(
        'STATE_VERSION',
        `table "${this.name}" holds state of version ${version} of codec "${this.#codec.name}", and this program knows up to ${this.#codec.version}. Run the newer program, or start from an older savepoint.`,
        { step: this.#step, data: { table: this.name, saved: version, current: this.#codec.version } },
      )
    }
    return this.#codec.decode(parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString('utf8')), version)
  }

  #applyDrop(outer: CanonicalKey, subMajor: boolean, block: Block): void {
    const partial = subMajor && block.writer.keyed && block.writer.count > 1
    const doomed: Cell<V>[] = []
    if (subMajor === this.#subMajor) {
      for (const cell of this.#cells.cellsOf(outer)) {
        if (!partial || wrote(block.writer, cell.inner)) doomed.push(cell)
      }
    } else {
      for (const cell of this.#cells) {
        if (cell.inner === outer && (!partial || wrote(block.writer, cell.outer))) doomed.push(cell)
      }
    }
    for (const cell of doomed) this.#unread(cell)
  }

  /** Takes a cell away that a later section deletes. */
  #unread(cell: Cell<V>): void {
    this.#cells.remove(cell)
    this.#forget(cell)
    this.#expiry?.forget()
  }

  #text(key: CanonicalKey, sub: CanonicalKey, value: V): string {
    try {
      return stringify(this.#codec.encode(value))
    } catch (error) {
      const path = error instanceof UnsupportedValue ? error.path : ''
      throw new OperationalError(
        'STATE_VALUE',
        `table "${this.name}", key ${JSON.stringify(String(key))}${sub === NO_SUB ? '' : `, sub ${JSON.stringify(String(sub))}`}: ${messageOf(error)}, which cannot be stored. State holds plain data: JSON values, bigint, Date, Uint8Array, Map, Set; for anything else give the table a codec.`,
        { step: this.#step, data: { table: this.name, key: String(key), sub: String(sub), path }, cause: error },
      )
    }
  }

  #estimate(key: CanonicalKey, sub: CanonicalKey, value: V): void {
    // The first value of a table is tried: what cannot be stored fails here, near its cause.
    if (this.#samples === 0) this.#text(key, sub, value)
    const isEarly = this.#samples < 16
    if (isEarly || this.#estimates++ % SAMPLE_EVERY === 0) this.#observeSize(key, sub, value)
    this.#untilEstimate = isEarly ? 1 : ESTIMATE_EVERY
    this.#measure()
  }

  #observeSize(key: CanonicalKey, sub: CanonicalKey, value: V): void {
    const bytes = heapBytes(key) + (sub === NO_SUB ? 0 : heapBytes(sub)) + heapBytes(value)
    this.#samples = Math.min(this.#samples + 1, 256)
    this.#meanBytes += (bytes - this.#meanBytes) / this.#samples
  }

  #measure(): void {
    const perEntry = (this.#expiry === undefined ? CELL_BYTES : TIMED_CELL_BYTES) + this.#meanBytes
    const groups = this.#cells.groups * GROUP_BYTES
    const bytes = Math.round(this.#cells.size * perEntry + groups + this.#marked.length * 8)
    const change = bytes - this.#bytes
    this.#bytes = bytes
    if (change !== 0) this.#grew(change)
  }

  #foreign(codecName: string): UsageError {
    return new UsageError(
      'STATE_MISMATCH',
      `table "${this.name}" was stored with codec "${codecName}" and is now declared with "${this.#codec.name}". Keep the codec's name and raise its version with a migrate, or give the table another name.`,
      { step: this.#step, data: { table: this.name } },
    )
  }
}
