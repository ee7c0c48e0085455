/** debounce by the clock: the last record of a key to arrive, once nothing has arrived for it for the length of the gap. */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { WHOLE_STREAM } from './instance-key.ts'
import { TimerService } from './timers.ts'

interface Pending {
  readonly row: unknown
  readonly time: number
  readonly weight: 1 | -1
  readonly isKeyed: boolean
  readonly dueMs: number
}

export class ClockDebounceOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #gapMs: number
  readonly #isKeyed: boolean
  readonly #pending: Table<Pending>
  /** One per key, set when its record came: it is set anew when it finds that another one followed. */
  readonly #timers: TimerService
  #lastFinite: number

  constructor(ctx: OperatorContext, gapMs: number, isKeyed: boolean) {
    this.#ctx = ctx
    this.#isKeyed = isKeyed
    this.#gapMs = gapMs
    this.#pending = ctx.state.table('pending')
    this.#timers = new TimerService(ctx)
    this.#lastFinite = ctx.currentWatermark()
  }

  process(batch: Batch): void {
    const keys = this.#isKeyed ? batch.keys : undefined
    const dueMs = this.#ctx.now() + this.#gapMs
    let followed = 0
    for (let i = 0; i < batch.length; i++) {
      const key = keys?.[i] ?? WHOLE_STREAM
      if (this.#pending.has(key)) followed++
      else this.#timers.setProcessing(key, dueMs)
      const weight = (batch.weights?.[i] ?? 1) as 1 | -1
      const isKeyed = keys !== undefined
      this.#pending.set(key, { row: batch.keep(i), time: batch.times[i], weight, isKeyed, dueMs })
    }
    if (followed > 0) this.#ctx.metrics.filtered(followed)
  }

  wake(now: number): void {
    this.#timers.wake(now, (key) => {
      const pending = this.#pending.get(key)
      if (pending === undefined) return
      if (pending.dueMs > now) this.#timers.setProcessing(key, pending.dueMs)
      else this.#emit(key, pending)
    })
  }

  /** After the end of input nothing follows any more. */
  watermark(time: number): void {
    if (time !== Number.POSITIVE_INFINITY) {
      this.#lastFinite = time
      return
    }
    const left: [CanonicalKey, Pending][] = []
    this.#pending.forEach((key, _sub, pending) => {
      left.push([key, pending])
    })
    for (const [key, pending] of left) this.#emit(key, pending)
  }

  held(): number {
    return this.#pending.size
  }

  #emit(key: CanonicalKey, { row, time, weight, isKeyed }: Pending): void {
    this.#pending.delete(key)
    this.#ctx.out.emit(row, Math.max(time, this.#lastFinite), isKeyed ? key : undefined, weight)
  }
}
