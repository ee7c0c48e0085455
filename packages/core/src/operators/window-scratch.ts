/**
 * Accumulators outside the state: where the parts of a window are merged when it fires. Reused, never snapshotted.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { NumericSlice } from '../state/table.ts'
import type { AggregatePlan } from '../window/plan.ts'

export class Scratch {
  columns: Float64Array[]
  readonly keys: CanonicalKey[] = []
  /** Object accumulators per slot; empty for numeric plans. */
  readonly objects: unknown[][] = []
  readonly #plan: AggregatePlan
  readonly #slots = new Map<CanonicalKey, number>()

  constructor(plan: AggregatePlan) {
    this.#plan = plan
    this.columns = plan.initial.map(() => new Float64Array(16))
  }

  clear(): void {
    this.#slots.clear()
    this.keys.length = 0
    this.objects.length = 0
  }

  slot(key: CanonicalKey): number {
    const found = this.#slots.get(key)
    if (found !== undefined) return found
    const slot = this.keys.push(key) - 1
    this.#slots.set(key, slot)
    if (slot === this.columns[0].length) this.columns = this.columns.map(doubled)
    for (let c = 0; c < this.columns.length; c++) this.columns[c][slot] = this.#plan.initial[c]
    if (!this.#plan.isNumeric) this.objects.push(this.#plan.createObjects())
    return slot
  }

  /** Merges slot `from` of a slice, and its objects, into `key`. */
  merge(
    key: CanonicalKey,
    slice: Pick<NumericSlice, 'columns'>,
    from: number,
    objects: readonly unknown[] | undefined,
  ): void {
    const slot = this.slot(key)
    this.#plan.mergeNumbers(this.columns, slot, slice.columns, from)
    if (objects !== undefined) this.#plan.mergeObjects(this.objects[slot], objects)
  }
}

function doubled(column: Float64Array): Float64Array {
  const grown = new Float64Array(column.length * 2)
  grown.set(column)
  return grown
}
