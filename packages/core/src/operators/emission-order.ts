/** In which order the finished calls of a mapAsync step leave it. Calls are given to `add` in order of arrival. */
import type { CanonicalKey } from '../batch/key.ts'
import type { AsyncOrder } from './map-async-types.ts'
import type { PendingCall } from './pending-calls.ts'

export interface EmissionOrder {
  add(call: PendingCall): void
  /** A call has finished ('done') or is to be left out ('gone'); returns the calls that may leave now, in order. O(1) each. */
  finish(call: PendingCall): readonly PendingCall[]
}

export function emissionOrder(order: AsyncOrder): EmissionOrder {
  if (order === 'unordered') return { add() {}, finish: (call) => (call.phase === 'done' ? [call] : []) }
  if (order === 'ordered') return new Line()
  return new LinePerKey()
}

/** First in, first out. Calls that are gone stay in the line until it reaches them. */
class Line implements EmissionOrder {
  #calls: PendingCall[] = []
  #first = 0

  get isEmpty(): boolean {
    return this.#first === this.#calls.length
  }

  add(call: PendingCall): void {
    this.#calls.push(call)
  }

  finish(): readonly PendingCall[] {
    const ready: PendingCall[] = []
    for (; this.#first < this.#calls.length; this.#first++) {
      const call = this.#calls[this.#first]
      if (call.phase === 'done') ready.push(call)
      else if (call.phase !== 'gone') break
    }
    if (this.#first * 2 >= this.#calls.length) {
      this.#calls = this.#calls.slice(this.#first)
      this.#first = 0
    }
    return ready
  }
}

class LinePerKey implements EmissionOrder {
  readonly #lines = new Map<CanonicalKey, Line>()

  add(call: PendingCall): void {
    let line = this.#lines.get(call.address)
    if (line === undefined) {
      line = new Line()
      this.#lines.set(call.address, line)
    }
    line.add(call)
  }

  finish(call: PendingCall): readonly PendingCall[] {
    const line = this.#lines.get(call.address)
    if (line === undefined) return []
    const ready = line.finish()
    if (line.isEmpty) this.#lines.delete(call.address)
    return ready
  }
}
