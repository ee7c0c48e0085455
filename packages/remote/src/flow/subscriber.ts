/**
 * What waits for one subscriber of a served stream, and what becomes of it when the subscriber is too slow.
 *
 * Invariants:
 *  B1  Rows come out in the order they were put, and none twice.
 *  B2  Under 'drop-oldest', 'drop-newest' and 'disconnect' the box never holds more than its limit, or the replay it began
 *      with. Under 'block' it may exceed it by what one write puts; the writer then waits for `room`.
 *  B3  Every row put is taken, or counted by `onLost`, unless the subscriber has left.
 */
import { RemoteError } from '../remote-error.ts'

export type SlowPolicy = 'block' | 'drop-oldest' | 'drop-newest' | 'disconnect'

export class Subscriber<T> implements AsyncIterableIterator<T> {
  readonly #policy: SlowPolicy
  readonly #rowsMax: number
  readonly #onLost: (count: number) => void
  readonly #onLeft: () => void
  /** `#head` is the first that counts, so both ends are O(1). */
  #rows: T[]
  #head = 0
  #outcome: 'end' | { readonly error: RemoteError } | undefined
  #waiting: ((result: IteratorResult<T> | Promise<never>) => void) | undefined
  #wakeWriter: (() => void)[] = []

  constructor(
    policy: SlowPolicy,
    rowsMax: number,
    replay: readonly T[],
    onLost: (count: number) => void,
    onLeft: () => void,
  ) {
    this.#policy = policy
    this.#rowsMax = rowsMax
    this.#rows = [...replay]
    this.#onLost = onLost
    this.#onLeft = onLeft
  }

  get length(): number {
    return this.#rows.length - this.#head
  }

  put(row: T): void {
    if (this.#outcome !== undefined) return
    if (this.#waiting !== undefined) {
      this.#answer({ done: false, value: row })
      return
    }
    if (this.length >= this.#rowsMax && this.#policy !== 'block') {
      if (this.#policy === 'drop-newest') {
        this.#onLost(1)
        return
      }
      if (this.#policy === 'disconnect') {
        this.#onLost(this.length + 1)
        this.#drop()
        this.fail(
          new RemoteError('RESOURCE_EXHAUSTED', `it is too slow: ${this.#rowsMax} rows waited for it, as many as may.`),
        )
        return
      }
      while (this.length >= this.#rowsMax) {
        this.#take()
        this.#onLost(1)
      }
    }
    this.#rows.push(row)
  }

  /** Resolves when the box is below its limit, or its subscriber has left. */
  room(): Promise<void> | undefined {
    if (this.length < this.#rowsMax || this.#outcome !== undefined) return undefined
    return new Promise((resolve) => this.#wakeWriter.push(resolve))
  }

  /** Resolves when everything has been taken, or its subscriber has left. */
  async empty(): Promise<void> {
    while (this.length > 0 && this.#outcome === undefined) {
      await new Promise<void>((resolve) => this.#wakeWriter.push(resolve))
    }
  }

  /** What waits is still taken. */
  end(): void {
    this.#outcome ??= 'end'
    if (this.length === 0) this.#answer({ done: true, value: undefined })
    this.#wake()
  }

  fail(error: RemoteError): void {
    this.#outcome ??= { error }
    if (this.#waiting !== undefined) this.#answer(Promise.reject(error))
    this.#wake()
  }

  next(): Promise<IteratorResult<T>> {
    if (this.length > 0) {
      const value = this.#take()
      if (this.length === this.#rowsMax - 1 || this.length === 0) this.#wake()
      return Promise.resolve({ done: false, value })
    }
    if (this.#outcome === 'end') return Promise.resolve({ done: true, value: undefined })
    if (this.#outcome !== undefined) return Promise.reject(this.#outcome.error)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  return(): Promise<IteratorResult<T>> {
    this.#outcome ??= 'end'
    this.#drop()
    this.#answer({ done: true, value: undefined })
    this.#wake()
    this.#onLeft()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #take(): T {
    const row = this.#rows[this.#head++]
    if (this.#head > 1024 && this.#head * 2 > this.#rows.length) {
      this.#rows = this.#rows.slice(this.#head)
      this.#head = 0
    }
    return row
  }

  #drop(): void {
    this.#rows = []
    this.#head = 0
  }

  #answer(result: IteratorResult<T> | Promise<never>): void {
    const answer = this.#waiting
    this.#waiting = undefined
    answer?.(result)
  }

  #wake(): void {
    for (const resolve of this.#wakeWriter.splice(0)) resolve()
  }
}
