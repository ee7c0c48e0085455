/** Rows that a function makes of their index. */
import { type Source, UsageError } from 'millrace/connector'
import { oneOf, wholeNumber } from '../http/options.ts'
import { IndexedReader, type Missed } from './indexed-reader.ts'
import { seededAt } from './seeded.ts'

export interface GenerateOptions<T> {
  /**
   * Row `i`, counted from 0. `random()` gives numbers from 0 up to 1 that depend on seed and index alone; it is good
   * during the call. `time` is when the row is due with a `rate`, else when the source was first opened at.
   */
  readonly at: (i: number, random: () => number, time: number) => T
  /** Rows in all. Default: without end. */
  readonly count?: number
  /** Rows per second, over all partitions; each has its intended time. Default: as fast as the flow takes them. */
  readonly rate?: number
  /** With a rate: rows whose time went by. Default 'deliver'; 'skip' leaves them out and counts them as `dropped`. */
  readonly missed?: Missed
  /** Row `i` is in partition `i % partitions`. Default 1. */
  readonly partitions?: number
  /** Default 1. */
  readonly seed?: number
}

/**
 * A source that makes its rows. Going on at row one billion costs what going on at row 0 does. Replayable as long as
 * `at` gives the same row for the same index; it may be called again for rows that were read before a crash.
 * @throws UsageError `LIVE_OPTION`
 * @example generate({ at: (i) => ({ i }), count: 1_000, rate: 50 }).describe() // => { count: 1000, rate: 50, partitions: 1, seed: 1 }
 */
export function generate<T>(options: GenerateOptions<T>): Source<T> {
  const { at, rate, missed = 'deliver', seed = 1 } = options
  if (rate !== undefined && !(rate > 0 && rate <= 1e7)) {
    throw new UsageError('LIVE_OPTION', `rate is ${rate}; it must be more than 0 and at most 10,000,000 rows a second.`)
  }
  oneOf('missed', missed, ['deliver', 'skip'])
  const partitions = wholeNumber('partitions', options.partitions ?? 1, 1, 4096)
  const count =
    options.count === undefined
      ? Number.POSITIVE_INFINITY
      : wholeNumber('count', options.count, 0, Number.MAX_SAFE_INTEGER)
  wholeNumber('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  return {
    kind: 'generate',
    bounded: options.count !== undefined,
    replayable: missed === 'deliver' || rate === undefined,
    describe: () => ({
      ...(options.count === undefined ? {} : { count }),
      ...(rate === undefined ? {} : { rate }),
      partitions,
      seed,
    }),
    partitions: () => Array.from({ length: partitions }, (_, p) => String(p)),
    open(partition, position, ctx) {
      const row = seededAt(seed, at)
      const periodMs = rate === undefined ? undefined : 1000 / rate
      return new IndexedReader<T>(
        { periodMs, missed, count, first: Number(partition), step: partitions, row },
        position,
        ctx,
      )
    },
  }
}
