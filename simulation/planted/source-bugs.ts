/** Mistakes in positions and watermarks. */
import type { Position, Source, SourceReader } from 'millrace/connector'
import type { PlantedBug } from './bug.ts'

export const positionTooEarly: PlantedBug = {
  name: 'position too early',
  mistake: 'the position saved lies one row before what was handed on',
  decorate: () => ({
    source: (source) => withPositions(source, (next, rows) => (rows > 0 ? next - 1 : next)),
  }),
}

export const positionTooLate: PlantedBug = {
  name: 'position too late',
  mistake: 'the position saved is that of rows read ahead, which a crash loses',
  decorate: () => ({
    source: (source, name) => {
      void name
      return {
        ...source,
        open: async (partition, position, ctx) => {
          const reader = await source.open(partition, position, ctx)
          const ahead: { readonly rows: readonly unknown[]; readonly at: (i: number) => string | number }[] = []
          return {
            async read(maxRows) {
              const batch = await reader.read(maxRows)
              if (batch === 'end') {
                const last = ahead.shift()
                return last === undefined ? 'end' : { ...last, next: position ?? 0, caughtUp: true }
              }
              position = batch.next
              ahead.push({ rows: batch.rows as readonly unknown[], at: batch.at })
              const given = ahead.length > 1 ? ahead.shift() : undefined
              return { ...batch, ...(given ?? { rows: [] }) }
            },
            close: () => reader.close(),
          }
        },
      }
    },
  }),
}

export const wrongWatermarkMerge: PlantedBug = {
  name: 'wrong watermark merge',
  mistake: 'the watermark is the newest of the partitions, not the oldest: all are read as one',
  decorate: () => ({
    source: (source) => ({
      ...source,
      partitions: async (ctx) => [(await source.partitions(ctx)).join(',')],
      open: async (joined, position, ctx) => {
        const names = joined.split(',')
        const positions = (position ?? {}) as Record<string, Position>
        const readers = new Map<string, SourceReader<unknown>>()
        for (const name of names) readers.set(name, await source.open(name, positions[name], ctx))
        const next = { ...positions }
        return {
          async read(maxRows) {
            for (const [name, reader] of [...readers]) {
              const batch = await reader.read(maxRows)
              // The next read asks the next partition first.
              readers.delete(name)
              if (batch === 'end') continue
              readers.set(name, reader)
              next[name] = batch.next
              return { ...batch, next: { ...next } }
            }
            return 'end'
          },
          close() {},
        }
      },
    }),
  }),
}

function withPositions(source: Source<unknown>, change: (next: number, rows: number) => number): Source<unknown> {
  return {
    ...source,
    open: async (partition, position, ctx) => {
      const reader = await source.open(partition, position, ctx)
      return {
        async read(maxRows) {
          const batch = await reader.read(maxRows)
          return batch === 'end' ? batch : { ...batch, next: change(batch.next as number, batch.rows.length) }
        },
        close: () => reader.close(),
      }
    },
  }
}
