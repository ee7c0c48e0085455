/**
 * Merges sections without knowing codecs: what compaction uses. Values stay the bytes they are, kept as one-byte strings,
 * which take less memory than array views and do not hold the files' buffers.
 */
import { ByteReader, type ByteWriter } from '../batch/bytes.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { Nested } from './nested.ts'
import { NumericStateTable } from './numeric-table.ts'
import { type Block, BlockKind, Op, readSection, SectionWriter, wrote } from './section.ts'

/** Renamed and dropped state, from `compareState`. */
export interface Evolution {
  readonly renames?: ReadonlyMap<string, string>
  readonly dropped?: Iterable<{ readonly step: string; readonly table: string }>
}

export class RawStore {
  readonly #steps = new Map<string, { keyed: boolean; tables: Map<string, RawTable | NumericStateTable> }>()
  readonly #renames: ReadonlyMap<string, string>
  readonly #dropped: ReadonlySet<string>

  constructor(evolution: Evolution = {}) {
    this.#renames = evolution.renames ?? new Map()
    this.#dropped = droppedSet(evolution.dropped)
  }

  apply(section: Uint8Array): void {
    const { step: saved, writer, blocks } = readSection(section)
    const step = this.#renames.get(saved) ?? saved
    for (const block of blocks) {
      if (this.#dropped.has(droppedName(saved, block.table))) continue
      let state = this.#steps.get(step)
      if (state === undefined) {
        state = { keyed: writer.keyed, tables: new Map() }
        this.#steps.set(step, state)
      }
      state.keyed = writer.keyed
      let table = state.tables.get(block.table)
      if (table === undefined) {
        table = block.kind === BlockKind.numeric ? numericTable(step, block) : new RawTable(block.table)
        state.tables.set(block.table, table)
      }
      table.read(block, () => true)
    }
  }

  /** Sections of everything, one by one; drops and deletions are gone. */
  *full(): Generator<Uint8Array> {
    for (const [step, { keyed, tables }] of this.#steps) {
      // One writer of one: the entries were merged over all workers, and every worker reads them.
      const out = new SectionWriter(step, { keyed, index: 0, count: 1 })
      for (const table of tables.values()) yield* table.write(out, true)
      const last = out.cut()
      if (last !== undefined) yield last
    }
  }
}

export function droppedSet(dropped: Evolution['dropped']): ReadonlySet<string> {
  return new Set(Array.from(dropped ?? [], ({ step, table }) => droppedName(step, table)))
}

export function droppedName(step: string, table: string): string {
  return `${step}\u0000${table}`
}

function numericTable(step: string, block: Block): NumericStateTable {
  const width = new ByteReader(block.body).varint()
  return new NumericStateTable(step, block.table, new Array<number>(width).fill(0), () => {})
}

class RawTable {
  readonly #name: string
  #codec = ''
  #subMajor = false
  #times: Nested<number> | undefined
  /** Version byte and data, as Latin-1. */
  #values = new Nested<string>()

  constructor(name: string) {
    this.#name = name
  }

  read(block: Block): void {
    const r = new ByteReader(block.body)
    this.#codec = r.utf8()
    this.#turn(r.u8() === 1)
    const hasTimes = r.u8() === 1
    while (r.remaining > 0) {
      const op = r.u8()
      if (op === Op.drop) {
        this.#drop(r.key(), block)
        continue
      }
      const key = r.key()
      const sub = r.key()
      const outer = this.#subMajor ? sub : key
      const inner = this.#subMajor ? key : sub
      if (op === Op.delete) {
        this.#values.delete(outer, inner)
        this.#times?.delete(outer, inner)
        continue
      }
      if (hasTimes) {
        this.#times ??= new Nested()
        this.#times.set(outer, inner, r.f64())
      }
      const version = String.fromCharCode(r.u8())
      this.#values.set(outer, inner, version + toLatin1(r.bytes()))
    }
  }

  *write(out: SectionWriter): Generator<Uint8Array> {
    if (this.#values.size === 0) return
    let w = this.#begin(out)
    for (const [outer, inner] of this.#values.addresses()) {
      const value = this.#values.get(outer, inner) as string
      w.u8(Op.set)
      w.key(this.#subMajor ? inner : outer)
      w.key(this.#subMajor ? outer : inner)
      if (this.#times !== undefined) w.f64(this.#times.get(outer, inner) ?? Number.NaN)
      w.u8(value.charCodeAt(0))
      w.bytes(Buffer.from(value.slice(1), 'latin1'))
      if (!out.isFull) continue
      out.end()
      yield out.cut() as Uint8Array
      w = this.#begin(out)
    }
    out.end()
  }

  #begin(out: SectionWriter): ByteWriter {
    const w = out.begin(this.#name, BlockKind.entries)
    w.utf8(this.#codec)
    w.u8(this.#subMajor ? 1 : 0)
    w.u8(this.#times === undefined ? 0 : 1)
    return w
  }

  #drop(outer: CanonicalKey, block: Block): void {
    const partial = this.#subMajor && block.writer.keyed && block.writer.count > 1
    for (const inner of [...(this.#values.group(outer)?.keys() ?? [])]) {
      if (partial && !wrote(block.writer, inner)) continue
      this.#values.delete(outer, inner)
      this.#times?.delete(outer, inner)
    }
  }

  /** The program may have changed which address part is the outer one. */
  #turn(subMajor: boolean): void {
    if (subMajor === this.#subMajor) return
    this.#subMajor = subMajor
    this.#values = turned(this.#values)
    if (this.#times !== undefined) this.#times = turned(this.#times)
  }
}

function turned<V>(map: Nested<V>): Nested<V> {
  const next = new Nested<V>()
  map.forEach((outer, inner, value) => {
    next.set(inner, outer, value)
  })
  return next
}

function toLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
