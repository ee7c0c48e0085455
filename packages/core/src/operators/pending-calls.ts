/**
 * The calls a mapAsync step holds, from the record's arrival to the result's emission, and their copy in state.
 *
 * Invariants:
 *  P1  After `save` the table holds exactly the calls that are held, each with its result if it has one.
 *  P2  A call that came and went between two barriers never touches the table.
 *  P3  Restored calls come back in the order of their arrival.
 */
import { type CanonicalKey, originalKey } from '../batch/key.ts'
import type { Table } from '../state/table.ts'

export interface SavedCall {
  readonly id: string
  readonly row: unknown
  readonly time: number
  readonly weight: 1 | -1
  readonly isKeyed: boolean
  readonly origin: string | undefined
  readonly attempt: number
  readonly isLate: boolean
  /** Present when the call is finished and its result not emitted yet. */
  readonly result?: { readonly value: unknown }
}

/** One call. 'waiting' for a free place, 'calling', 'pausing' before a retry, 'done' with a result, 'gone'. */
export class PendingCall {
  readonly sequence: number
  readonly id: string
  readonly row: unknown
  readonly time: number
  readonly weight: 1 | -1
  /** Where the call lies in the table: the record's key, or that of the instance. */
  readonly address: CanonicalKey
  readonly isKeyed: boolean
  readonly origin: string | undefined
  /** Behind the watermark on arrival: does not hold it back. */
  readonly isLate: boolean
  attempt: number
  phase: 'waiting' | 'calling' | 'pausing' | 'done' | 'gone' = 'waiting'
  value: unknown
  /** Processing time at which the attempt times out, or the pause ends. */
  dueMs = 0
  /** The attempt in flight. */
  running: { abort(reason: Error): void } | undefined
  /** What the table holds of it. */
  saved: 'nothing' | 'call' | 'result' = 'nothing'
  savedAttempt = 0

  constructor(sequence: number, address: CanonicalKey, call: SavedCall) {
    this.sequence = sequence
    this.address = address
    this.id = call.id
    this.row = call.row
    this.time = call.time
    this.weight = call.weight
    this.isKeyed = call.isKeyed
    this.origin = call.origin
    this.isLate = call.isLate
    this.attempt = call.attempt
    if (call.result !== undefined) {
      this.phase = 'done'
      this.value = call.result.value
    }
  }

  /** Canonical key of the record. */
  get key(): CanonicalKey | undefined {
    return this.isKeyed ? this.address : undefined
  }

  get userKey(): unknown {
    return this.isKeyed ? originalKey(this.address) : undefined
  }
}

export class PendingCalls {
  readonly #table: Table<SavedCall>
  readonly #calls = new Set<PendingCall>()
  /** Kept while the call it belongs to is held; NaN when it has to be looked for. */
  #earliest = Number.POSITIVE_INFINITY

  constructor(table: Table<SavedCall>) {
    this.#table = table
  }

  get size(): number {
    return this.#calls.size
  }

  /** The held calls, in order of arrival. */
  [Symbol.iterator](): IterableIterator<PendingCall> {
    return this.#calls.values()
  }

  /** Takes the calls of a snapshot back in. O(n log n). */
  load(): PendingCall[] {
    const calls: PendingCall[] = []
    this.#table.forEach((address, sequence, saved) => {
      const call = new PendingCall(sequence as number, address, saved)
      call.saved = saved.result === undefined ? 'call' : 'result'
      call.savedAttempt = saved.attempt
      calls.push(call)
    })
    calls.sort((a, b) => a.sequence - b.sequence)
    for (const call of calls) this.add(call)
    return calls
  }

  add(call: PendingCall): void {
    this.#calls.add(call)
    if (!call.isLate && call.time < this.#earliest) this.#earliest = call.time
  }

  remove(call: PendingCall): void {
    call.phase = 'gone'
    this.#calls.delete(call)
    if (call.time === this.#earliest) this.#earliest = Number.NaN
    if (call.saved !== 'nothing') this.#table.delete(call.address, call.sequence)
  }

  /** Earliest event time held, late records aside; Infinity when there is none. O(held calls) after that one has left. */
  earliest(): number {
    if (Number.isNaN(this.#earliest)) {
      this.#earliest = Number.POSITIVE_INFINITY
      for (const call of this.#calls) if (!call.isLate && call.time < this.#earliest) this.#earliest = call.time
    }
    return this.#earliest
  }

  /** Writes what the table does not have yet. O(held calls). */
  save(): void {
    for (const call of this.#calls) {
      const isDone = call.phase === 'done'
      if (call.saved === (isDone ? 'result' : 'call') && call.savedAttempt === call.attempt) continue
      const { id, row, time, weight, isKeyed, origin, attempt, isLate } = call
      const saved: SavedCall = { id, row, time, weight, isKeyed, origin, attempt, isLate }
      this.#table.set(call.address, isDone ? { ...saved, result: { value: call.value } } : saved, call.sequence)
      call.saved = isDone ? 'result' : 'call'
      call.savedAttempt = attempt
    }
  }
}
