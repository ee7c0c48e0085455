/** Rows of an array, a generator, or anything else that can be iterated. */
import type { Source, SourceBatch, SourceContext, SourceReader } from 'millrace/connector'
import { rowsBefore, spentError } from './spent.ts'

export interface FromIterableOptions {
  /**
   * The function gives the same rows every time, so that a restart may go on behind those that were committed: they are
   * passed over, which costs as much as reading them. Default false, and true for arrays.
   */
  readonly replayable?: boolean
}

/**
 * A source over an array, an iterable, or a function that makes one (a generator function, say). Rows are taken as the
 * flow asks for them. After a restart an array goes on where it was; a function is called again, and gives everything
 * again unless it is `replayable`; anything else is used up (`ITERABLE_SPENT`).
 * @throws OperationalError while running: `ITERABLE_SPENT`, `GENERATE_POSITION`
 * @example fromIterable([1, 2, 3]).replayable // => true
 */
export function fromIterable<T>(
  items: Iterable<T> | (() => Iterable<T>),
  options: FromIterableOptions = {},
): Source<T> {
  const { replayable = Array.isArray(items) } = options
  let isSpent = false
  return {
    kind: 'generate.iterable',
    bounded: true,
    replayable,
    describe: () => ({}),
    partitions: () => ['rows'],
    open(_partition, position, ctx): SourceReader<T> {
      const given = rowsBefore(position, ctx)
      if (Array.isArray(items)) return new IterableReader<T>(from(items as readonly T[], given), given)
      if (typeof items !== 'function') {
        if (isSpent) throw spentError(ctx)
        isSpent = true
        return new IterableReader<T>(items[Symbol.iterator](), given)
      }
      return new IterableReader<T>(again(items, replayable ? given : 0, ctx), given)
    },
  }
}

/** Iterates an array from an index on, without a copy. */
function* from<T>(items: readonly T[], index: number): Generator<T, void> {
  for (let i = index; i < items.length; i++) yield items[i]
}

function again<T>(make: () => Iterable<T>, passed: number, ctx: SourceContext): Iterator<T> {
  const iterator = make()[Symbol.iterator]()
  for (let i = 0; i < passed; i++) {
    if (iterator.next().done !== true) continue
    ctx.log(
      'warn',
      `the rows end after ${i}, but ${passed} were committed: the function does not give the same rows again`,
    )
    break
  }
  return iterator
}

class IterableReader<T> implements SourceReader<T> {
  readonly #iterator: Iterator<T>
  #given: number
  #hasEnded = false

  constructor(iterator: Iterator<T>, given: number) {
    this.#iterator = iterator
    this.#given = given
  }

  read(maxRows: number): SourceBatch<T> | 'end' {
    if (this.#hasEnded) return 'end'
    const start = this.#given
    const rows: T[] = []
    while (rows.length < maxRows) {
      const next = this.#iterator.next()
      if (next.done === true) {
        this.#hasEnded = true
        if (rows.length === 0) return 'end'
        break
      }
      rows.push(next.value)
    }
    this.#given += rows.length
    return { rows, next: this.#given, caughtUp: this.#hasEnded, at: (i) => start + i }
  }

  close(): void {
    if (!this.#hasEnded) this.#iterator.return?.()
    this.#hasEnded = true
  }
}
