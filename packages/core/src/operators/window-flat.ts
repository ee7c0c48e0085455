/**
 * Accumulators of one key as a plain value, for windows that are not slices of time: count, global, sliding.
 */
import type { CanonicalKey } from '../batch/key.ts'
import type { Pane, WindowBounds } from '../window/types.ts'
import type { WindowStep } from './window-step.ts'

export interface Flat {
  /** Numeric columns. */
  n: number[]
  /** Object accumulators. */
  o: unknown[]
  /** Least and greatest event time. */
  first: number
  last: number
  /** Last arrival. */
  s: number
}

export class FlatAccumulators {
  readonly #step: WindowStep
  readonly #into: Float64Array[]
  readonly #from: Float64Array[]

  constructor(step: WindowStep) {
    this.#step = step
    this.#into = step.plan.initial.map(() => new Float64Array(1))
    this.#from = step.plan.initial.map(() => new Float64Array(1))
  }

  create(): Flat {
    const { plan } = this.#step
    return {
      n: [...plan.initial],
      o: plan.createObjects(),
      first: Number.POSITIVE_INFINITY,
      last: Number.NEGATIVE_INFINITY,
      s: 0,
    }
  }

  /** Adds the row the plan has read, at the step's arrival. */
  add(acc: Flat, weight = 1): void {
    const { plan, arrival } = this.#step
    plan.addObjects(acc.o, arrival, weight)
    load(this.#into, acc)
    plan.addNumbers(this.#into, 0, weight)
    store(this.#into, acc)
    if (arrival.time < acc.first) acc.first = arrival.time
    if (arrival.time > acc.last) acc.last = arrival.time
    acc.s = Math.max(acc.s, arrival.sequence)
  }

  /** Merges `from` into `acc`; `from` stays as it is. */
  merge(acc: Flat, from: Flat): void {
    const { plan } = this.#step
    plan.mergeObjects(acc.o, from.o)
    load(this.#into, acc)
    load(this.#from, from)
    plan.mergeNumbers(this.#into, 0, this.#from, 0)
    store(this.#into, acc)
    acc.first = Math.min(acc.first, from.first)
    acc.last = Math.max(acc.last, from.last)
  }

  /** Emits the result of all parts together, with an event time that is not behind the watermark. */
  emit(key: CanonicalKey, parts: readonly Flat[], window: (acc: Flat) => WindowBounds, pane: Pane): void {
    const step = this.#step
    let acc = parts[0]
    if (parts.length > 1) {
      acc = this.create()
      try {
        for (const part of parts) this.merge(acc, part)
      } catch (thrown) {
        step.failResult(thrown, key, Math.max(acc.last, step.watermark))
        return
      }
    }
    load(this.#into, acc)
    step.emit(key, window(acc), this.#into, 0, acc.o, pane, Math.max(acc.last, step.watermark))
  }
}

function load(columns: readonly Float64Array[], acc: Flat): void {
  for (let c = 0; c < columns.length; c++) columns[c][0] = acc.n[c]
}

function store(columns: readonly Float64Array[], acc: Flat): void {
  for (let c = 0; c < columns.length; c++) acc.n[c] = columns[c][0]
}
