/** What a hosted operator emits, by output; refuses what the contract forbids (O2, O5). */
import { type CanonicalKey, originalKey } from '../batch/key.ts'
import { InvariantError } from '../errors.ts'
import type { Output } from '../graph/operator.ts'
import type { EmittedRow } from './host-types.ts'

export interface HostOutputsOptions {
  readonly step: string
  /** True while the operator is inside a call in which it may emit. */
  readonly mayEmit: () => boolean
  readonly isView: (row: unknown) => boolean
  /** Sees the time of every row of the main output. */
  readonly onEmit: (time: number) => void
}

export class HostOutputs {
  readonly #options: HostOutputsOptions
  readonly #rows = new Map<string, EmittedRow[]>()

  constructor(options: HostOutputsOptions) {
    this.#options = options
  }

  take(output: string): EmittedRow[] {
    const rows = this.#rows.get(output)
    return rows === undefined ? [] : rows.splice(0, rows.length)
  }

  output(name: string): Output {
    let rows = this.#rows.get(name)
    if (rows === undefined) this.#rows.set(name, (rows = []))
    const into = rows
    return {
      emit: (row, time, key, weight = 1) => {
        this.#checkCall(name)
        into.push(this.#emitted(name, row, time, key, weight))
      },
      emitBatch: (batch) => {
        this.#checkCall(name)
        for (let i = 0; i < batch.length; i++) {
          const weight = (batch.weights?.[i] ?? 1) as 1 | -1
          into.push(this.#emitted(name, batch.keep(i), batch.times[i], batch.keys?.[i], weight))
        }
      },
    }
  }

  #checkCall(name: string): void {
    if (this.#options.mayEmit()) return
    throw new InvariantError(
      'EMIT_OUTSIDE_CALL',
      `the operator emitted to "${name}" outside its calls; keep the result, call requestWake() and emit it in wake() (O2).`,
      { step: this.#options.step },
    )
  }

  #emitted(name: string, row: unknown, time: number, key: CanonicalKey | undefined, weight: 1 | -1): EmittedRow {
    const { step, isView, onEmit } = this.#options
    if (isView(row)) {
      throw new InvariantError('VIEW_EMITTED', 'a row view was emitted; emit batch.keep(i) or the batch (O5).', {
        step,
      })
    }
    if (typeof time !== 'number' || Number.isNaN(time)) {
      throw new InvariantError('EMIT_TIME', `a row was emitted with event time ${String(time)}.`, { step })
    }
    if (name === 'out') onEmit(time)
    return { row, time, key: key === undefined ? undefined : originalKey(key), weight }
  }
}
