/**
 * Decisions of an as-of join with a bounded wait, by key and left time: a left row that is delivered again gets the
 * decision it got before, whatever has arrived since. Decisions behind the watermark are forgotten: their rows are late.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { StateAccess, Table } from '../state/table.ts'
import { addRow, lowerBound, type TimeBuffer, timeBuffer } from './join-buffer.ts'

/** Decisions are kept and forgotten in slices of this length. */
const sliceMs = 1_000

export class AsOfJournal {
  readonly #table: Table<TimeBuffer<readonly unknown[]>>
  #firstSlice = Number.NEGATIVE_INFINITY

  constructor(state: StateAccess) {
    this.#table = state.table('decisions', { major: 'sub' })
  }

  find(key: CanonicalKey, time: number): readonly unknown[] | undefined {
    const decisions = this.#table.get(key, Math.floor(time / sliceMs))
    if (decisions === undefined) return undefined
    const at = lowerBound(decisions.times, time)
    return decisions.times[at] === time ? decisions.rows[at] : undefined
  }

  write(key: CanonicalKey, time: number, values: readonly unknown[]): void {
    const slice = Math.floor(time / sliceMs)
    const decisions = this.#table.get(key, slice) ?? timeBuffer()
    addRow(decisions, time, values, 0)
    this.#table.set(key, decisions, slice)
  }

  forgetBefore(watermark: number): void {
    const first = Math.floor(watermark / sliceMs)
    if (first === this.#firstSlice) return
    this.#firstSlice = first
    for (const slice of [...this.#table.outers()]) if ((slice as number) < first) this.#table.deleteGroup(slice)
  }
}
