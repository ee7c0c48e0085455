/**
 * All state of one worker: the tables of its steps, their changes as sections, and how much memory they take.
 *
 * Restoring and declaring come in either order: a section for a table nobody has declared yet waits, and is decoded when
 * the table is declared, because only the declaration brings the codec.
 */
import { OperationalError, UsageError } from '../errors.ts'
import { type Accepts, EntryTable } from './entry-table.ts'
import type { StateIdentity } from './identity.ts'
import { NumericStateTable } from './numeric-table.ts'
import { type Block, readSection, SectionWriter, type Writer } from './section.ts'
import type { NumericTable, StateAccess, Table, TableOptions } from './table.ts'

export interface StateStoreOptions {
  /** Estimated bytes of all tables together beyond which a write fails with `STATE_LIMIT`. */
  readonly limitBytes?: number
  /** Which worker this is; recorded in sections, so that another number of workers can read them. */
  readonly worker?: { readonly index: number; readonly count: number }
  /** Old step name -> new one: sections of the old step are applied to the new. */
  readonly renames?: ReadonlyMap<string, string>
  /** Steps (old names) whose stored tables are discarded where the program cannot read them or has them no more. */
  readonly allowDropped?: Iterable<string>
}

export interface StateStats {
  readonly entries: number
  /** Estimate; numeric tables exact, others within about a third where values are of like size. */
  readonly bytes: number
}

type AnyTable = EntryTable<unknown> | NumericStateTable

interface StepState {
  readonly writer: Writer
  readonly tables: Map<string, AnyTable>
  readonly waiting: Map<string, { readonly block: Block; readonly accepts: Accepts; readonly saved: string }[]>
}

const acceptAll: Accepts = () => true

export class StateStore {
  readonly #options: StateStoreOptions
  readonly #limitBytes: number
  readonly #worker: { readonly index: number; readonly count: number }
  readonly #allowDropped: ReadonlySet<string>
  readonly #steps = new Map<string, StepState>()
  readonly #grew: (bytes: number) => void
  #bytes = 0
  #isRestoring = false
  readonly #discarded = new Set<AnyTable>()

  constructor(options: StateStoreOptions = {}) {
    this.#options = options
    this.#worker = options.worker ?? { index: 0, count: 1 }
    this.#limitBytes = options.limitBytes ?? Number.POSITIVE_INFINITY
    this.#allowDropped = new Set(options.allowDropped ?? [])
    this.#grew = (bytes) => {
      this.#bytes += bytes
      if (bytes > 0 && this.#bytes > this.#limitBytes) throw this.#limitError()
    }
  }

  /** Estimated bytes of all tables. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Tables of one step. `keyed: false` says the step's entries are not spread over workers by key.
   * @throws UsageError `STATE_TABLE` from the returned object when a name is used for two kinds of table
   */
  forStep(step: string, options: { readonly keyed?: boolean } = {}): StateAccess {
    const state = this.#step(step, options.keyed ?? true)
    return {
      table: <V>(name: string, tableOptions: TableOptions<V> = {}): Table<V> => {
        const found = state.tables.get(name)
        if (found instanceof NumericStateTable) throw kindError(step, name)
        return (found ??
          this.#declare(
            state,
            name,
            new EntryTable<unknown>(step, name, tableOptions as TableOptions<unknown>, this.#grew),
          )) as Table<V>
      },
      numericTable: (name: string, initial: readonly number[]): NumericTable => {
        const found = state.tables.get(name)
        if (found instanceof EntryTable || (found !== undefined && found.width !== initial.length))
          throw kindError(step, name)
        return found ?? this.#declare(state, name, new NumericStateTable(step, name, initial, this.#grew))
      },
    }
  }

  /** Sections of what changed since the last call for these steps (all when omitted); they count as saved from now on. */
  delta(steps?: Iterable<string>): Uint8Array[] {
    const sections: Uint8Array[] = []
    for (const [step, state] of this.#chosen(steps)) {
      sections.push(...writeStep(step, state, false))
      for (const table of state.tables.values()) table.clean()
    }
    return sections
  }

  /** Sections of everything, made one by one. Tables must not change meanwhile; marks of changes stay. */
  *full(steps?: Iterable<string>): Generator<Uint8Array> {
    for (const [step, state] of this.#chosen(steps)) yield* writeStep(step, state, true)
  }

  /**
   * Applies a section, in the order in which they were written; entries whose key `accepts` refuses are skipped.
   * @throws UsageError `STATE_VERSION`, `STATE_MISMATCH`; OperationalError `BYTES_SHORT`, `CHECKPOINT_FORMAT`
   */
  apply(section: Uint8Array, accepts: Accepts = acceptAll): void {
    const { step: saved, writer, blocks } = readSection(section)
    const { index, count } = this.#worker
    // Written by another worker of as many: none of its keys are ours.
    if (writer.keyed && count > 1 && writer.count === count && writer.index !== index) return
    const step = this.#options.renames?.get(saved) ?? saved
    const state = this.#steps.get(step) ?? this.#step(step, writer.keyed)
    for (const block of blocks) {
      const table = state.tables.get(block.table)
      if (table !== undefined) this.#read(table, block, accepts, saved)
      else {
        const waiting = state.waiting.get(block.table)
        if (waiting === undefined) state.waiting.set(block.table, [{ block, accepts, saved }])
        else waiting.push({ block, accepts, saved })
      }
    }
  }

  stats(step: string): StateStats {
    let entries = 0
    let bytes = 0
    for (const table of this.#steps.get(step)?.tables.values() ?? []) {
      entries += table.size
      bytes += table.bytes
    }
    return { entries, bytes }
  }

  /** Names of the steps that have declared tables. */
  steps(): string[] {
    return [...this.#steps].filter(([, state]) => state.tables.size > 0).map(([step]) => step)
  }

  /** What the manifest records, sorted. */
  describe(): StateIdentity[] {
    const identities = [...this.#steps.values()].flatMap((state) =>
      [...state.tables.values()].map((table) => table.identity),
    )
    return identities.sort((a, b) => compareText(a.step, b.step) || compareText(a.table, b.table))
  }

  /** Restored tables that no step has declared: after all steps were created, each of them is state that would be lost. */
  unclaimed(): { readonly step: string; readonly table: string }[] {
    return [...this.#steps]
      .filter(([step]) => !this.#allowDropped.has(step))
      .flatMap(([step, state]) => [...state.waiting.keys()].map((table) => ({ step, table })))
  }

  /** Frees what waits for tables that nobody declared. */
  forgetUnclaimed(): void {
    for (const state of this.#steps.values()) state.waiting.clear()
  }

  #step(step: string, keyed: boolean): StepState {
    const found = this.#steps.get(step)
    if (found !== undefined && found.writer.keyed === keyed) return found
    const { index, count } = this.#worker
    const state = {
      writer: { keyed, index, count },
      tables: found?.tables ?? new Map(),
      waiting: found?.waiting ?? new Map(),
    }
    this.#steps.set(step, state)
    return state
  }

  #declare<T extends AnyTable>(state: StepState, name: string, table: T): T {
    state.tables.set(name, table)
    const waiting = state.waiting.get(name) ?? []
    state.waiting.delete(name)
    for (const { block, accepts, saved } of waiting) this.#read(table, block, accepts, saved)
    return table
  }

  #read(table: AnyTable, block: Block, accepts: Accepts, saved: string): void {
    if (this.#discarded.has(table)) return
    this.#isRestoring = true
    try {
      table.read(block, accepts)
    } catch (error) {
      const isUnreadable =
        error instanceof UsageError && (error.code === 'STATE_MISMATCH' || error.code === 'STATE_VERSION')
      if (!isUnreadable || !this.#allowDropped.has(saved)) throw error
      table.reset()
      this.#discarded.add(table)
    } finally {
      this.#isRestoring = false
    }
  }

  *#chosen(steps: Iterable<string> | undefined): Generator<[string, StepState]> {
    for (const step of steps ?? [...this.#steps.keys()]) {
      const state = this.#steps.get(step)
      if (state !== undefined) yield [step, state]
    }
  }

  #limitError(): OperationalError {
    const largest = this.steps()
      .map((step) => ({ step, ...this.stats(step) }))
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, 3)
    const shown = largest.map(({ step, entries, bytes }) => `"${step}" ${mebibytes(bytes)} MiB in ${entries} entries`)
    return new OperationalError(
      'STATE_LIMIT',
      `state takes about ${mebibytes(this.#bytes)} MiB, the limit is ${mebibytes(this.#limitBytes)} MiB; largest: ${shown.join(', ')}. The flow stops before memory ends${this.#isRestoring ? ', while restoring' : ''}. Give the largest step a ttl or fewer keys, use more workers, or raise the limit.`,
      {
        ...(largest[0] === undefined ? {} : { step: largest[0].step }),
        data: { bytes: this.#bytes, limitBytes: this.#limitBytes, largest },
      },
    )
  }
}

function* writeStep(step: string, state: StepState, all: boolean): Generator<Uint8Array> {
  const out = new SectionWriter(step, state.writer)
  for (const table of state.tables.values()) yield* table.write(out, all)
  const last = out.cut()
  if (last !== undefined) yield last
}

function kindError(step: string, name: string): UsageError {
  return new UsageError(
    'STATE_TABLE',
    `table "${name}" is declared twice, once as numeric and once not, or with two widths. Give one of them another name.`,
    { step },
  )
}

function mebibytes(bytes: number): string {
  return (bytes / 1048576).toFixed(1)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
