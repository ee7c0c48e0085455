/**
 * A batch whose rows are views, as those of column batches are: reading a view after `row` was called for another row,
 * or after the operator call that received it returned, throws. Finds operators that retain `row(i)` where they need
 * `keep(i)`, and code that writes into rows.
 *
 * Rows that are neither plain objects nor arrays (numbers, strings, dates, class instances) are handed out as they are.
 */
import type { Batch, Origin } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { InvariantError } from '../errors.ts'

/** The validity of the views of one operator call. */
export class ViewScope {
  readonly #step: string
  readonly #views = new WeakSet<object>()
  #current: { readonly row: unknown; view: unknown } | undefined

  constructor(step: string) {
    this.#step = step
  }

  /** Ends the validity of every view handed out so far. */
  poison(): void {
    this.#current = undefined
  }

  isView(row: unknown): boolean {
    return typeof row === 'object' && row !== null && this.#views.has(row)
  }

  view<T>(row: T): T {
    if (!isPlain(row)) return row
    if (this.#current?.row === row) return this.#current.view as T
    const token = { row, view: undefined as unknown }
    this.#current = token
    const check = (): void => {
      if (this.#current !== token) {
        throw new InvariantError(
          'VIEW_RETAINED',
          `a row view was read after it had moved on. Rows read with batch.row(i) are valid until the next row; retain batch.keep(i).`,
          { step: this.#step },
        )
      }
    }
    const refuse = (): never => {
      throw new InvariantError('ROW_WRITTEN', 'a row of a batch was changed; batches are immutable. Change a copy.', {
        step: this.#step,
      })
    }
    const view = new Proxy(row, {
      get: (target, name) => {
        check()
        return Reflect.get(target, name)
      },
      has: (target, name) => {
        check()
        return Reflect.has(target, name)
      },
      ownKeys: (target) => {
        check()
        return Reflect.ownKeys(target)
      },
      getOwnPropertyDescriptor: (target, name) => {
        check()
        return Reflect.getOwnPropertyDescriptor(target, name)
      },
      set: refuse,
      defineProperty: refuse,
      deleteProperty: refuse,
    })
    this.#views.add(view)
    token.view = view
    return view as T
  }
}

/** `batch` with views of `scope` for rows. */
export class ViewBatch<T = unknown> implements Batch<T> {
  readonly length: number
  readonly times: ArrayLike<number>
  readonly keys: ArrayLike<CanonicalKey> | undefined
  readonly weights: Int8Array | undefined
  readonly origin: Origin | undefined
  readonly #batch: Batch<T>
  readonly #scope: ViewScope

  constructor(batch: Batch<T>, scope: ViewScope) {
    this.length = batch.length
    this.times = batch.times
    this.keys = batch.keys
    this.weights = batch.weights
    this.origin = batch.origin
    this.#batch = batch
    this.#scope = scope
  }

  row(i: number): T {
    return this.#scope.view(this.#batch.row(i))
  }

  keep(i: number): T {
    return this.#batch.keep(i)
  }

  select(indices: ArrayLike<number>, count: number, keys?: ArrayLike<CanonicalKey>): Batch<T> {
    return new ViewBatch(this.#batch.select(indices, count, keys), this.#scope)
  }

  rekey(keys: ArrayLike<CanonicalKey> | undefined, times?: ArrayLike<number>): Batch<T> {
    return new ViewBatch(this.#batch.rekey(keys, times), this.#scope)
  }
}

function isPlain<T>(row: T): row is T & object {
  if (typeof row !== 'object' || row === null) return false
  if (Array.isArray(row)) return true
  const prototype: unknown = Object.getPrototypeOf(row)
  return prototype === Object.prototype || prototype === null
}
