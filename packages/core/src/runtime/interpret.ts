/**
 * Runs a chain of inline steps without generating code: the form for processes that forbid code generation, and the
 * oracle the generated form is tested against. Results are equal; it is slower (bench/fused).
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import {
  assemble,
  type Chain,
  type ChainHost,
  type ChainShape,
  type InlineStep,
  itemsOf,
  keyFrom,
  reportRow,
  shapeOf,
  wrongReturn,
} from './chain.ts'

export function interpretChain(steps: readonly InlineStep[]): Chain {
  const shape = shapeOf(steps)
  return (batch, host) => {
    const run = new ChainRun(steps, shape, batch, host)
    for (let i = 0; i < batch.length; i++) run.row(i)
    return run.finish()
  }
}

/** One batch on its way through the steps. */
class ChainRun {
  readonly #steps: readonly InlineStep[]
  readonly #shape: ChainShape
  readonly #batch: Batch
  readonly #host: ChainHost
  readonly #counts: Float64Array
  readonly #indices: number[] = []
  readonly #rows: unknown[] | undefined
  readonly #keys: CanonicalKey[] | undefined
  readonly #times: number[] | undefined

  constructor(steps: readonly InlineStep[], shape: ChainShape, batch: Batch, host: ChainHost) {
    this.#steps = steps
    this.#shape = shape
    this.#batch = batch
    this.#host = host
    this.#counts = new Float64Array(2 * steps.length)
    this.#rows = shape.makesRows ? [] : undefined
    this.#keys = shape.setsKeys ? [] : undefined
    this.#times = shape.setsTimes ? [] : undefined
  }

  row(i: number): void {
    const row = this.#batch.row(i)
    this.#from(0, i, row, row, Number.NaN, undefined)
  }

  finish(): Batch | undefined {
    for (let c = 0; c < this.#counts.length; c++) this.#host.counts[c] += this.#counts[c]
    const { length } = this.#indices
    return assemble(this.#batch, this.#shape, length, this.#indices, this.#rows, this.#keys, this.#times)
  }

  /** Takes `value` through the steps from `s` on; a flatMap takes each of its rows through the steps after it. */
  #from(s: number, i: number, row: unknown, value: unknown, time: number, key: CanonicalKey | undefined): void {
    for (; s < this.#steps.length; s++) {
      const step = this.#steps[s]
      this.#counts[2 * s]++
      let items: readonly unknown[] | undefined
      try {
        const returned: unknown = step.fn(value)
        switch (step.op) {
          case 'filter':
            if (returned === false) return
            if (returned !== true) throw wrongReturn(step, returned)
            break
          case 'map':
            if (returned === undefined || returned instanceof Promise) throw wrongReturn(step, returned)
            value = returned
            break
          case 'timestamp':
            if (!Number.isFinite(returned)) throw wrongReturn(step, returned)
            time = returned as number
            break
          case 'keyBy':
            key = keyFrom(step, returned)
            break
          case 'flatMap':
            items = itemsOf(step, returned)
        }
      } catch (error) {
        reportRow(this.#host, this.#batch, i, s, error, value, row, time, key)
        return
      }
      if (items !== undefined) {
        this.#counts[2 * s + 1] += items.length
        for (let j = 0, n = items.length; j < n; j++) this.#from(s + 1, i, row, items[j], time, key)
        return
      }
      this.#counts[2 * s + 1]++
    }
    this.#indices.push(i)
    this.#rows?.push(value === row ? this.#batch.keep(i) : value)
    this.#keys?.push(key as CanonicalKey)
    this.#times?.push(time)
  }
}
