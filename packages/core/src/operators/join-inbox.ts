/**
 * Rows that wait for a watermark, taken out in event-time order. The table is the truth; a binary heap over the same
 * entries, rebuilt when the operator is made, finds the earliest one.
 *
 * Invariants:
 *  I1  Every entry that is not done lies in the table and in the heap. Done ones may still lie in the heap.
 *  I2  Entries leave `first` in order of (time, arrival).
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { Table } from '../state/table.ts'
import { MinHeap } from './min-heap.ts'

export interface Waiting<R = unknown> {
  readonly key: CanonicalKey
  /** Order of arrival, unique per key. */
  readonly seq: number
  readonly time: number
  readonly row: R
  readonly weight: 1 | -1
  /** Input it came from. */
  readonly input: number
  /** Processing time at which waiting ends, ms; null for those that wait for the watermark alone. */
  readonly until: number | null
  isDone: boolean
}

export class Inbox {
  readonly #table: Table<Waiting>
  readonly #heap = new MinHeap<Waiting>(compare)
  #seq = 0

  constructor(table: Table<Waiting>) {
    this.#table = table
    table.forEach((_key, _sub, entry) => {
      this.#heap.push(entry)
      if (entry.seq >= this.#seq) this.#seq = entry.seq + 1
    })
  }

  /** Entries that wait. */
  get size(): number {
    return this.#table.size
  }

  /** Takes a row in. O(log n), O(1) for rows in order. */
  add(key: CanonicalKey, time: number, row: unknown, weight: 1 | -1, input = 0, until: number | null = null): Waiting {
    const entry: Waiting = { key, seq: this.#seq++, time, row, weight, input, until, isDone: false }
    this.#table.set(key, entry, entry.seq)
    this.#heap.push(entry)
    return entry
  }

  /** The earliest entry, left in place. */
  first(): Waiting | undefined {
    while (this.#heap.peek()?.isDone) this.#heap.pop()
    return this.#heap.peek()
  }

  /** Event time of the earliest entry; Infinity when nothing waits. */
  firstTime(): number {
    return this.first()?.time ?? Infinity
  }

  /** Entries of a key with a time up to `time`, in order. Linear in what waits for the key. */
  ofKey(key: CanonicalKey, time: number): Waiting[] {
    const group = this.#table.group(key)
    if (group === undefined) return []
    return [...group.values()].filter((entry) => entry.time <= time).sort(compare)
  }

  /** Entries that wait, in order of arrival. O(n log n): for the start. */
  byArrival(): Waiting[] {
    const entries: Waiting[] = []
    this.#table.forEach((_key, _sub, entry) => {
      entries.push(entry)
    })
    return entries.sort((a, b) => a.seq - b.seq)
  }

  /** Removes an entry. */
  done(entry: Waiting): void {
    entry.isDone = true
    this.#table.delete(entry.key, entry.seq)
    if (this.#heap.peek() === entry) this.#heap.pop()
  }
}

function compare(a: Waiting, b: Waiting): number {
  return a.time - b.time || a.seq - b.seq
}
