/**
 * The latest record of each key in each interval of event time: a tumbling window of which only the last record counts.
 * Of several records of one time the last to arrive is the latest. It comes out with the time end - 1, as windows do.
 */
import type { Batch } from '../batch/batch.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { WHOLE_STREAM } from './instance-key.ts'

interface Latest {
  readonly row: unknown
  readonly time: number
  readonly weight: 1 | -1
  readonly isKeyed: boolean
}

export class SampleLatestOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #perMs: number
  readonly #isKeyed: boolean
  /** (key, start of the interval), by start. */
  readonly #latest: Table<Latest>

  constructor(ctx: OperatorContext, perMs: number, isKeyed: boolean) {
    this.#ctx = ctx
    this.#isKeyed = isKeyed
    this.#perMs = perMs
    this.#latest = ctx.state.table('latest', { major: 'sub' })
  }

  process(batch: Batch): void {
    const keys = this.#isKeyed ? batch.keys : undefined
    const watermark = this.#ctx.currentWatermark()
    const late: number[] = []
    let replaced = 0
    for (let i = 0; i < batch.length; i++) {
      const time = batch.times[i]
      const start = Math.floor(time / this.#perMs) * this.#perMs
      if (start + this.#perMs <= watermark) {
        late.push(i)
        continue
      }
      const key = keys?.[i] ?? WHOLE_STREAM
      const before = this.#latest.get(key, start)
      if (before !== undefined) replaced++
      if (before !== undefined && before.time > time) continue
      const weight = (batch.weights?.[i] ?? 1) as 1 | -1
      this.#latest.set(key, { row: batch.keep(i), time, weight, isKeyed: keys !== undefined }, start)
    }
    if (replaced > 0) this.#ctx.metrics.dropped(replaced, 'sampled')
    if (late.length === 0) return
    this.#ctx.metrics.late(late.length)
    this.#ctx.side('late').emitBatch(batch.select(late, late.length))
  }

  /** O(open intervals) and the records that come out. */
  watermark(time: number): void {
    const due = [...this.#latest.outers()].map(Number).filter((start) => start + this.#perMs <= time)
    for (const start of due.sort((a, b) => a - b)) {
      for (const [key, { row, weight, isKeyed }] of this.#latest.group(start) ?? []) {
        this.#ctx.out.emit(row, start + this.#perMs - 1, isKeyed ? key : undefined, weight)
      }
      this.#latest.deleteGroup(start)
    }
  }

  held(): number {
    return this.#latest.size
  }
}
