/** A bounded, replayable source over values in memory: for tests, examples and first steps. */
import type { Position, Source, SourceBatch, SourceReader } from '../connector.ts'
import { OperationalError, UsageError } from '../errors.ts'

export interface ArraySourceOptions {
  /** Number of partitions; row `i` goes to partition `i % partitions`. Default 1. */
  readonly partitions?: number
}

/**
 * A source that gives the rows of an array, in order, and ends. A position is the number of rows given in a partition.
 * Rows are handed on as they are, not copied. An object of arrays gives one partition per name.
 * @throws UsageError `ARRAY_PARTITIONS` when `partitions` is not a positive integer, or is given beside named partitions
 * @throws OperationalError `ARRAY_POSITION` when opened at a position that lies outside the array
 * @example arraySource([1, 2, 3], { partitions: 2 }).describe() // => { rows: 3, partitions: 2 }
 */
export function arraySource<T>(
  rows: readonly T[] | Readonly<Record<string, readonly T[]>>,
  options: ArraySourceOptions = {},
): Source<T> {
  const partitions = Array.isArray(rows)
    ? deal<T>(rows, options.partitions ?? 1)
    : named<T>(rows as Readonly<Record<string, readonly T[]>>, options)
  let total = 0
  for (const part of partitions.values()) total += part.length
  return {
    kind: 'array',
    bounded: true,
    replayable: true,
    describe: () => ({ rows: total, partitions: partitions.size }),
    partitions: () => [...partitions.keys()],
    open: (partition, position) => new ArrayReader(partition, partitions.get(partition), position),
  }
}

class ArrayReader<T> implements SourceReader<T> {
  readonly #rows: readonly T[]
  #next: number

  constructor(partition: string, rows: readonly T[] | undefined, position: Position | undefined) {
    const next = position === undefined ? 0 : position
    if (rows === undefined || typeof next !== 'number' || !Number.isInteger(next) || next < 0 || next > rows.length) {
      const has = rows === undefined ? 'does not exist' : `has ${rows.length} rows`
      throw new OperationalError(
        'ARRAY_POSITION',
        `array partition "${partition}" ${has} and cannot be opened at ${JSON.stringify(next)}. The array is not the one the state was written with: use the same rows, or start without the old state.`,
        { data: { partition, position: next } },
      )
    }
    this.#rows = rows
    this.#next = next
  }

  read(maxRows: number): SourceBatch<T> | 'end' {
    const start = this.#next
    if (start === this.#rows.length) return 'end'
    const rows = this.#rows.slice(start, start + maxRows)
    this.#next = start + rows.length
    return { rows, next: this.#next, caughtUp: this.#next === this.#rows.length, at: (i) => start + i }
  }

  lag(): number {
    return this.#rows.length - this.#next
  }

  progress(): number {
    return this.#rows.length === 0 ? 1 : this.#next / this.#rows.length
  }

  close(): void {}
}

function deal<T>(rows: readonly T[], count: number): Map<string, readonly T[]> {
  if (!Number.isInteger(count) || count < 1) {
    throw new UsageError(
      'ARRAY_PARTITIONS',
      `arraySource was given partitions: ${count}; it must be a positive integer.`,
    )
  }
  const parts = Array.from({ length: count }, (): T[] => [])
  rows.forEach((row, i) => {
    parts[i % count].push(row)
  })
  return new Map(parts.map((part, i) => [String(i), part]))
}

function named<T>(
  rows: Readonly<Record<string, readonly T[]>>,
  options: ArraySourceOptions,
): Map<string, readonly T[]> {
  if (options.partitions !== undefined) {
    throw new UsageError(
      'ARRAY_PARTITIONS',
      'arraySource was given named partitions and a number of them; leave one out.',
    )
  }
  return new Map(Object.entries(rows))
}
