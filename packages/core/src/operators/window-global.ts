/**
 * Global windows: one accumulator per key, and a trigger that says when it gives a result.
 *
 * State: `keys`, per key the accumulator and how many rows it took since its last result.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { OperationalError } from '../errors.ts'
import type { Operator } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import type { GlobalWindow } from '../window/types.ts'
import { type Flat, FlatAccumulators } from './window-flat.ts'
import { bounds, type WindowStep } from './window-step.ts'

interface GlobalKey {
  readonly acc: Flat
  /** Rows since the last result. */
  fresh: number
}

export class GlobalWindows implements Operator {
  readonly #step: WindowStep
  readonly #window: GlobalWindow
  readonly #keys: Table<GlobalKey>
  readonly #flat: FlatAccumulators
  /** Keys with rows since their last result, where the trigger is a clock. */
  readonly #fresh = new Set<CanonicalKey>()
  #wakeAt: number | undefined

  constructor(step: WindowStep, window: GlobalWindow) {
    this.#step = step
    this.#window = window
    this.#keys = step.ctx.state.table<GlobalKey>('keys')
    this.#flat = new FlatAccumulators(step)
    this.#keys.forEach((key, _sub, { acc, fresh }) => {
      step.continueAfter(acc.s)
      if (fresh > 0) this.#awaitClock(key)
    })
  }

  process(input: Batch): void {
    const step = this.#step
    const batch = step.input(input)
    for (let i = 0; i < batch.length; i++) {
      const weight = batch.weights?.[i] ?? 1
      if (!step.read(batch, i, weight)) continue
      const key = step.keyOf(batch, i)
      const state = this.#keys.get(key) ?? { acc: this.#flat.create(), fresh: 0 }
      step.arrive(batch, i)
      let isDue: boolean
      try {
        isDue = this.#isDue(batch, i, state.fresh + 1)
        this.#flat.add(state.acc, weight)
      } catch (thrown) {
        step.fail(thrown, batch, i)
        continue
      }
      state.fresh++
      step.ctx.metrics.merged(1)
      this.#keys.set(key, state)
      if (isDue) this.#fire(key, state)
      else this.#awaitClock(key)
    }
  }

  watermark(time: number): void {
    if (time === Number.POSITIVE_INFINITY) {
      const due: [CanonicalKey, GlobalKey][] = []
      this.#keys.forEach((key, _sub, state) => {
        if (state.fresh > 0) due.push([key, state])
      })
      for (const [key, state] of due) this.#fire(key, state)
      this.#fresh.clear()
    }
    this.#step.watermark = time
  }

  wake(now: number): void {
    if (this.#wakeAt === undefined) return
    if (now < this.#wakeAt) {
      this.#step.ctx.wakeAt(this.#wakeAt)
      return
    }
    this.#wakeAt = undefined
    for (const key of this.#fresh) {
      const state = this.#keys.get(key)
      if (state !== undefined) this.#fire(key, state)
    }
    this.#fresh.clear()
  }

  #isDue(batch: Batch, i: number, fresh: number): boolean {
    const { trigger } = this.#window
    if (trigger.type === 'count') return fresh >= trigger.every
    if (trigger.type !== 'when') return false
    const got: unknown = trigger.test(batch.row(i) as never)
    if (typeof got === 'boolean') return got
    throw new OperationalError(
      'CALLBACK_RETURN',
      `the test of trigger when(...) returned ${String(got)}; it must return a boolean. Did you forget \`return\`?`,
      { step: this.#step.ctx.step },
    )
  }

  #fire(key: CanonicalKey, state: GlobalKey): void {
    this.#flat.emit(key, [state.acc], (acc) => bounds(acc.first, acc.last + 1), 'onTime')
    if (this.#window.after === 'purge') this.#keys.delete(key)
    else {
      state.fresh = 0
      this.#keys.set(key, state)
    }
  }

  #awaitClock(key: CanonicalKey): void {
    const { trigger } = this.#window
    if (trigger.type !== 'time') return
    this.#fresh.add(key)
    if (this.#wakeAt !== undefined) return
    const { ctx } = this.#step
    this.#wakeAt = (Math.floor(ctx.now() / trigger.everyMs) + 1) * trigger.everyMs
    ctx.wakeAt(this.#wakeAt)
  }
}
