/** A source that changes the batches of another on their way, and is the same in everything else. */
import type { Source, SourceBatch, SourceReader } from 'millrace/connector'

export function changed<T, U>(source: Source<T>, change: (batch: SourceBatch<T>) => SourceBatch<U>): Source<U> {
  const { kind, replayable, bounded } = source
  const changeUnlessEnd = (batch: SourceBatch<T> | 'end'): SourceBatch<U> | 'end' =>
    batch === 'end' ? batch : change(batch)
  return {
    kind,
    replayable,
    ...(bounded === undefined ? {} : { bounded }),
    describe: () => source.describe(),
    partitions: (ctx) => source.partitions(ctx),
    async open(partition, position, ctx): Promise<SourceReader<U>> {
      const reader = await source.open(partition, position, ctx)
      return readBy(reader, (maxRows) => {
        const batch = reader.read(maxRows)
        return batch instanceof Promise ? batch.then(changeUnlessEnd) : changeUnlessEnd(batch)
      })
    },
  }
}

/** The same source, which ends when the clock says so: what listens for ever has no end of its own. */
export function lasting<T>(source: Source<T>, seconds: number | undefined, now: () => number): Source<T> {
  if (seconds === undefined) return source
  return {
    ...source,
    bounded: true,
    async open(partition, position, ctx) {
      const reader = await source.open(partition, position, ctx)
      const endMs = now() + seconds * 1000
      return readBy(reader, (maxRows) => (now() >= endMs ? 'end' : reader.read(maxRows)))
    },
  }
}

export function mapped<T, U>(source: Source<T>, make: (row: T) => U): Source<U> {
  return changed(source, (batch) => {
    const { rows } = batch
    const list = 'keep' in rows ? Array.from({ length: rows.length }, (_, i) => rows.keep(i)) : rows
    return { ...batch, rows: list.map(make) }
  })
}

function readBy<T, U>(reader: SourceReader<T>, read: SourceReader<U>['read']): SourceReader<U> {
  return {
    read,
    lag: () => reader.lag?.(),
    progress: () => reader.progress?.(),
    ...(reader.committed === undefined ? {} : { committed: (position) => reader.committed?.(position) }),
    close: () => reader.close(),
  }
}
