/**
 * The array source, slowed down: reads take virtual time and give fewer rows than they may, so that commits, stops and
 * crashes fall between the rows, and partitions overtake each other. A partition at its end is quiet for a while before
 * it says so; it has nothing more to give, so taking it for idle makes no row late.
 */
import { arraySource, type SeededRandom } from 'millrace/testing'
import type { Source, SourceReader } from '../../src/connector.ts'

export interface Pace {
  readonly ms: number
  readonly random: SeededRandom
  delay(ms: number): Promise<void>
}

/** Quiet reads before the end. */
const quietReads = 3

export function pacedSource<T>(rows: Readonly<Record<string, readonly T[]>>, pace: Pace | undefined): Source<T> {
  const source = arraySource<T>(rows)
  if (pace === undefined) return source
  return {
    ...source,
    async open(partition, position, ctx) {
      const inner = await source.open(partition, position, ctx)
      return paced(inner, rows[partition].length, typeof position === 'number' ? position : 0, pace)
    },
  }
}

function paced<T>(inner: SourceReader<T>, length: number, position: number, pace: Pace): SourceReader<T> {
  let at = position
  let quiet = 0
  return {
    async read(maxRows) {
      if (pace.random.chance(0.7)) await pace.delay(pace.random.next() * pace.ms)
      if (at === length && quiet++ < quietReads) return { rows: [], next: at, caughtUp: true, at: () => at }
      const most = pace.random.chance(0.3) ? 1 + pace.random.int(maxRows) : maxRows
      const batch = await inner.read(most)
      if (batch !== 'end') at = batch.next as number
      return batch
    },
    close: () => inner.close(),
  }
}
