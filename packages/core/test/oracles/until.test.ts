/** Found by the oracles: a run that should stop at a position waited for a partition that does not move any more. */
import { count, tumbling } from 'millrace'
import { expect, test } from 'vitest'
import type { Row } from './input.ts'
import { type Life, play } from './play.ts'

const life: Life = { workers: 1, batchRows: 1, loops: 'generated', paceMs: 1, end: { type: 'until', rows: 2 } }

test('a run with until ends though a partition that has come so far lies beyond the alignment of another', async () => {
  const rows = (partition: string, times: readonly number[]) =>
    times.map((at, offset) => ({
      row: { id: offset, key: partition, at, n: 0 } satisfies Row,
      source: 'a',
      partition,
      offset,
    }))
  const early = [0, 1, 700_000]
  const late = [600_000, 600_001, 700_000]
  const input = { a: { disorderMs: 0, partitions: { early: rows('early', early), late: rows('late', late) } } }
  const { out } = await play({ input, lives: [life, life] }, ({ streams, sink }) =>
    streams.a.windowAll(tumbling('1m')).aggregate('all', { n: count() }).sink('out', sink('out')),
  )
  expect(out.map(({ row }) => row)).toMatchObject([{ n: 2 }, { n: 2 }, { n: 2 }])
})
