import type { SourceBatch, SourceContext, SourceReader } from 'millrace/connector'
import { expect, test } from 'vitest'
import { nowMs } from './clock.ts'
import { openLoop } from './open-loop.ts'

interface Row {
  readonly number: number
  readonly dueMs: number
}

async function open(startMs: number, partition = '0', partitions = 1): Promise<SourceReader<Row>> {
  const make = (number: number, dueMs: number): Row => ({ number, dueMs })
  const source = openLoop({ rate: 1000, startMs, durationMs: 100, partitions, make })
  return source.open(partition, undefined, {} as SourceContext)
}

async function all(reader: SourceReader<Row>): Promise<Row[]> {
  const rows: Row[] = []
  for (;;) {
    const read = await reader.read(30)
    if (read === 'end') return rows
    rows.push(...((read as SourceBatch<Row>).rows as readonly Row[]))
  }
}

test('a reader that was away finds everything that fell due meanwhile, stamped with when it was due', async () => {
  const startMs = nowMs() - 1000
  const rows = await all(await open(startMs))
  expect(rows).toEqual(Array.from({ length: 100 }, (_, number) => ({ number, dueMs: startMs + number })))
})

test('no record comes before it is due', async () => {
  const reader = await open(nowMs() + 20)
  let count = 0
  for (let read = await reader.read(30); read !== 'end'; read = await reader.read(30)) {
    for (const row of read.rows as readonly Row[]) expect(row.dueMs).toBeLessThanOrEqual(nowMs())
    count += read.rows.length
  }
  expect(count).toBe(100)
})

test('partitions share the load by turns', async () => {
  const startMs = nowMs() - 1000
  const odd = await all(await open(startMs, '1', 2))
  expect(odd.map((row) => row.number)).toEqual(Array.from({ length: 50 }, (_, i) => 1 + 2 * i))
})
