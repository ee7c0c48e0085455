/** A row at every tick of the clock. */
import { type Duration, positiveDurationMs, type Source } from 'millrace/connector'
import { oneOf, wholeNumber } from '../http/options.ts'
import { IndexedReader, type Missed } from './indexed-reader.ts'

export interface EveryOptions {
  /** Ends after this many ticks. Default: never. */
  readonly count?: number
  /**
   * Ticks that went by while the flow was held back or did not run. 'deliver' (default): they come as soon as they can,
   * with their intended times. 'skip': those more than one interval (at least 100 ms) late are left out, and counted
   * as `dropped`.
   */
  readonly missed?: Missed
}

/**
 * A source that gives `row(i, time)` at `start + i * interval`: times do not drift, and go on after a restart as if there
 * had been none. `time` is the intended time in ms, also when the row comes late. With a pure function it can be replayed,
 * so exactly-once holds; under 'skip' it cannot, as what is left out depends on speed.
 * @throws UsageError `DURATION`, `LIVE_OPTION`
 * @example every('100ms', (i, time) => ({ i, time })).describe() // => { every: '100ms', missed: 'deliver' }
 */
export function every<T>(
  interval: Duration,
  row: (i: number, time: number) => T,
  options: EveryOptions = {},
): Source<T> {
  const { missed = 'deliver' } = options
  const periodMs = positiveDurationMs(interval, 'interval')
  oneOf('missed', missed, ['deliver', 'skip'])
  const count =
    options.count === undefined
      ? Number.POSITIVE_INFINITY
      : wholeNumber('count', options.count, 0, Number.MAX_SAFE_INTEGER)
  return {
    kind: 'generate.every',
    bounded: options.count !== undefined,
    replayable: missed === 'deliver',
    describe: () => ({ every: interval, missed }),
    partitions: () => ['ticks'],
    open: (_partition, position, ctx) =>
      new IndexedReader<T>({ periodMs, missed, count, first: 0, step: 1, row }, position, ctx),
  }
}
