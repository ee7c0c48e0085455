/**
 * Sections: how tables become bytes. A section belongs to one step and holds blocks, a block holds operations on one
 * table. Sections are cut at about SECTION_BYTES, so that writing and merging large state can pause in between.
 *
 *   section  u8 format · utf8 step · u8 keyed · varint writer index · varint writer count · blocks to the end
 *   block    u32 length · utf8 table · u8 kind · header by kind · operations to the end
 *
 * Invariants:
 *  S1  An address (step, table, key, sub) is written by one worker at a time, so sections of one epoch commute.
 *  S2  A drop of a sub-major group covers only the keys its writer owned; other workers' entries stay.
 */
import { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { type CanonicalKey, keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'

export const SECTION_BYTES = 1 << 18
const FORMAT = 1

export const Op = { drop: 1, delete: 2, set: 3, rows: 4 } as const
export const BlockKind = { entries: 0, numeric: 1 } as const

/** Which worker wrote a section, of how many; un-keyed steps live whole in one worker. */
export interface Writer {
  readonly keyed: boolean
  readonly index: number
  readonly count: number
}

/** True when the writer owned the key. */
export function wrote(writer: Writer, key: CanonicalKey): boolean {
  return !writer.keyed || writer.count === 1 || ownerOfGroup(keyGroupOf(key), writer.count) === writer.index
}

export class SectionWriter {
  readonly bytes = new ByteWriter(4096)
  readonly #step: string
  readonly #writer: Writer
  #blockAt = -1

  constructor(step: string, writer: Writer) {
    this.#step = step
    this.#writer = writer
    this.#start()
  }

  /** Starts a block; `header` is written again after a cut. */
  begin(table: string, kind: number): ByteWriter {
    this.#blockAt = this.bytes.length
    this.bytes.u32(0)
    this.bytes.utf8(table)
    this.bytes.u8(kind)
    return this.bytes
  }

  end(): void {
    this.bytes.patchU32(this.#blockAt, this.bytes.length - this.#blockAt - 4)
    this.#blockAt = -1
  }

  get isFull(): boolean {
    return this.bytes.length >= SECTION_BYTES
  }

  /** The section so far, if it has blocks; a new one is started. */
  cut(): Uint8Array | undefined {
    if (this.bytes.length === this.#headerEnd) return undefined
    const section = this.bytes.take()
    this.#start()
    return section
  }

  #headerEnd = 0

  #start(): void {
    const w = this.bytes
    w.clear()
    w.u8(FORMAT)
    w.utf8(this.#step)
    w.u8(this.#writer.keyed ? 1 : 0)
    w.varint(this.#writer.index)
    w.varint(this.#writer.count)
    this.#headerEnd = w.length
  }
}

export interface Block {
  readonly table: string
  readonly kind: number
  readonly writer: Writer
  /** Header by kind, then operations. */
  readonly body: Uint8Array
}

/** Step, writer and blocks of a section. @throws OperationalError `CHECKPOINT_FORMAT`, `BYTES_SHORT` */
export function readSection(section: Uint8Array): { step: string; writer: Writer; blocks: Block[] } {
  const r = new ByteReader(section)
  const format = r.u8()
  if (format !== FORMAT) {
    throw new OperationalError(
      'CHECKPOINT_FORMAT',
      `a state section has format ${format}; this version reads ${FORMAT}. It was written by a newer version of millrace: run that one.`,
    )
  }
  const step = r.utf8()
  const writer = { keyed: r.u8() === 1, index: r.varint(), count: r.varint() }
  const blocks: Block[] = []
  while (r.remaining > 0) {
    const inner = new ByteReader(r.raw(r.u32()))
    const table = inner.utf8()
    const kind = inner.u8()
    blocks.push({ table, kind, writer, body: inner.raw(inner.remaining) })
  }
  return { step, writer, blocks }
}
