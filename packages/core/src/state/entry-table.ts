/**
 * The generic table: values by (key, sub), with the entries changed since the last delta remembered.
 *
 * Invariants:
 *  T1  The drops and dirty marks, applied to the state at the last delta, give the present state.
 *  T2  A mark is FRESH while the entry did not exist at the last delta: deleting it again leaves nothing to write.
 *  T3  Drops are written before entries; a group that is dropped and filled again has FRESH marks only.
 */
import { ByteReader, type ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { messageOf, OperationalError, UsageError } from '../errors.ts'
import { parse, stringify, taggedJson, UnsupportedValue } from './codec.ts'
import { Expiry } from './expiry.ts'
import { heapBytes } from './heap-size.ts'
import type { StateIdentity } from './identity.ts'
import { Nested, NO_SUB } from './nested.ts'
import { type Block, BlockKind, Op, type SectionWriter, wrote } from './section.ts'
import type { Codec, Table, TableOptions } from './table.ts'

const FRESH = 1
const CHANGED = 2

/** Measured heap of a map entry, and of a small map. */
const MAP_ENTRY_BYTES = 38
const MAP_BYTES = 180
/** Sets between two samples of the value size, once there are some. */
const SAMPLE_EVERY = 64

export type Accepts = (key: CanonicalKey, step: string) => boolean

export class EntryTable<V> implements Table<V> {
  readonly name: string
  readonly #step: string
  readonly #codec: Codec<V>
  readonly #subMajor: boolean
  readonly #expiry: Expiry | undefined
  readonly #entries = new Nested<V>()
  readonly #dirty = new Nested<number>()
  readonly #dropped = new Set<CanonicalKey>()
  readonly #grew: (bytes: number) => void
  #untilSample = 1
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
    return this.#entries.size
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
    return this.#subMajor ? this.#entries.get(sub, key) : this.#entries.get(key, sub)
  }

  has(key: CanonicalKey, sub: CanonicalKey = NO_SUB): boolean {
    return this.#subMajor ? this.#entries.has(sub, key) : this.#entries.has(key, sub)
  }

  set(key: CanonicalKey, value: V, sub: CanonicalKey = NO_SUB, time?: number): void {
    const outer = this.#subMajor ? sub : key
    const inner = this.#subMajor ? key : sub
    if (--this.#untilSample === 0) this.#sample(key, sub, value)
    const isNew = this.#entries.set(outer, inner, value)
    const mark = this.#dirty.get(outer, inner)
    if (mark === undefined) this.#dirty.set(outer, inner, isNew ? FRESH : CHANGED)
    this.#expiry?.touch(outer, inner, time)
  }

  delete(key: CanonicalKey, sub: CanonicalKey = NO_SUB): boolean {
    return this.#subMajor ? this.#delete(sub, key) : this.#delete(key, sub)
  }

  group(outer: CanonicalKey): ReadonlyMap<CanonicalKey, V> | undefined {
    return this.#entries.group(outer)
  }

  deleteGroup(outer: CanonicalKey): void {
    const group = this.#entries.group(outer)
    const marks = this.#dirty.group(outer)
    if (group === undefined && marks === undefined) return
    let fresh = 0
    marks?.forEach((mark) => {
      if (mark === FRESH) fresh++
    })
    // Something of the group may be in the last delta unless every mark is FRESH and every entry is marked.
    if (fresh !== (marks?.size ?? 0) || fresh !== (group?.size ?? 0)) this.#dropped.add(outer)
    if (this.#expiry !== undefined) for (const inner of group?.keys() ?? []) this.#expiry.forget(outer, inner)
    this.#entries.deleteGroup(outer)
    this.#dirty.deleteGroup(outer)
    if (this.#entries.size === 0) this.#measure()
  }

  outers(): Iterable<CanonicalKey> {
    return this.#entries.outers()
  }

  forEach(visit: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): void {
    this.#entries.forEach(this.#subMajor ? (outer, inner, value) => visit(inner, outer, value) : visit)
  }

  expire(now: number, visit?: (key: CanonicalKey, sub: CanonicalKey, value: V) => void): number {
    let count = 0
    this.#expiry?.expired(now, (outer, inner) => {
      const value = this.#entries.get(outer, inner) as V
      if (this.#subMajor) visit?.(inner, outer, value)
      else visit?.(outer, inner, value)
      this.#delete(outer, inner)
      count++
    })
    return count
  }

  /** Completed sections of all entries, or of the changes since the last delta. The caller cuts the last one. */
  *write(out: SectionWriter, all: boolean): Generator<Uint8Array> {
    if (all ? this.size === 0 : this.#dirty.size === 0 && this.#dropped.size === 0) return
    let w = this.#begin(out)
    if (!all) {
      for (const outer of this.#dropped) {
        w.u8(Op.drop)
        w.key(outer)
      }
    }
    for (const [outer, inner] of (all ? this.#entries : this.#dirty).addresses()) {
      const key = this.#subMajor ? inner : outer
      const sub = this.#subMajor ? outer : inner
      if (this.#entries.has(outer, inner)) {
        w.u8(Op.set)
        w.key(key)
        w.key(sub)
        if (this.#expiry !== undefined) w.f64(this.#expiry.timeOf(outer, inner))
        this.#writeValue(w, key, sub, this.#entries.get(outer, inner) as V)
      } else {
        w.u8(Op.delete)
        w.key(key)
        w.key(sub)
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
    this.#dirty.clear()
    this.#dropped.clear()
    this.#measure()
  }

  /** Empties the table, as if nothing had been restored. */
  reset(): void {
    this.#entries.forEach((outer, inner) => {
      this.#expiry?.forget(outer, inner)
    })
    this.#entries.clear()
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
      const outer = this.#subMajor ? sub : key
      const inner = this.#subMajor ? key : sub
      if (op === Op.delete) {
        this.#entries.delete(outer, inner)
        this.#expiry?.forget(outer, inner)
        continue
      }
      const time = hasTimes ? r.f64() : Number.NaN
      const version = r.u8()
      const data = r.bytes()
      if (!accepts(key, this.#step)) continue
      const value = this.#readValue(data, version)
      this.#entries.set(outer, inner, value)
      this.#expiry?.touch(outer, inner, Number.isNaN(time) ? undefined : time)
      restored++
      if (this.#samples < 16 || restored % SAMPLE_EVERY === 0) this.#observeSize(key, sub, value)
      // Limits hold while restoring, too.
      if (restored % 1024 === 0) this.#measure()
    }
    this.#measure()
  }

  #delete(outer: CanonicalKey, inner: CanonicalKey): boolean {
    if (!this.#entries.delete(outer, inner)) return false
    if (this.#dirty.get(outer, inner) === FRESH) this.#dirty.delete(outer, inner)
    else this.#dirty.set(outer, inner, CHANGED)
    this.#expiry?.forget(outer, inner)
    return true
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
    const doomed: [CanonicalKey, CanonicalKey][] = []
    if (subMajor === this.#subMajor) {
      for (const inner of this.#entries.group(outer)?.keys() ?? []) {
        if (!partial || wrote(block.writer, inner)) doomed.push([outer, inner])
      }
    } else {
      for (const [a, b] of this.#entries.addresses()) {
        if (b === outer && (!partial || wrote(block.writer, a))) doomed.push([a, b])
      }
    }
    for (const [a, b] of doomed) {
      this.#entries.delete(a, b)
      this.#expiry?.forget(a, b)
    }
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

  #sample(key: CanonicalKey, sub: CanonicalKey, value: V): void {
    // The first value of a table is tried: what cannot be stored fails here, near its cause.
    if (this.#samples === 0) this.#text(key, sub, value)
    this.#observeSize(key, sub, value)
    this.#untilSample = this.#samples < 16 ? 1 : SAMPLE_EVERY
    this.#measure()
  }

  #observeSize(key: CanonicalKey, sub: CanonicalKey, value: V): void {
    const bytes = heapBytes(key) + (sub === NO_SUB ? 0 : heapBytes(sub)) + heapBytes(value)
    this.#samples = Math.min(this.#samples + 1, 256)
    this.#meanBytes += (bytes - this.#meanBytes) / this.#samples
  }

  #measure(): void {
    // Entries, marks, and with a ttl a stamp and a place in a bucket for each entry.
    const maps = this.#entries.size * (this.#expiry === undefined ? 1 : 3) + this.#dirty.size
    const groups = this.#entries.groups * (this.#expiry === undefined ? 1 : 3) + this.#dirty.groups
    const bytes = Math.round(maps * MAP_ENTRY_BYTES + groups * MAP_BYTES + this.#entries.size * this.#meanBytes)
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
