import type { Batch, SourceContext, SourceReader } from 'millrace/connector'
import { expect, test } from 'vitest'
import { type Bid, NexmarkGenerator } from './generator.ts'
import { bids } from './source.ts'

const fields = ['auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'extra'] as const
const EVENTS = 5000

const generator = new NexmarkGenerator()
const expected: Bid[] = []
for (let k = 0; k < EVENTS; k++) if (generator.kindOf(k) === 'bid') expected.push(generator.bid(k))

async function open(partitions: number, partition: string, position?: number): Promise<SourceReader<Bid>> {
  return bids({ events: EVENTS, fields, partitions }).open(partition, position, {} as SourceContext)
}

async function rest(reader: SourceReader<Bid>, maxRows = 1024): Promise<Bid[]> {
  const rows: Bid[] = []
  for (;;) {
    const read = await reader.read(maxRows)
    if (read === 'end') return rows
    const batch = read.rows as Batch<Bid>
    for (let i = 0; i < batch.length; i++) rows.push({ ...batch.keep(i) })
  }
}

test('the bids of all partitions together are those of the generator', async () => {
  for (const partitions of [1, 2, 3]) {
    const rows: Bid[] = []
    for (let p = 0; p < partitions; p++) rows.push(...(await rest(await open(partitions, String(p)))))
    const byTime = (a: Bid, b: Bid): number => a.dateTime - b.dateTime || a.extra.localeCompare(b.extra)
    expect(rows.sort(byTime)).toEqual([...expected].sort(byTime))
  }
})

test('a reader opened at a position goes on where another one stopped', async () => {
  const reader = await open(2, '1')
  const read = await reader.read(100)
  if (read === 'end') throw new Error('there is more')
  expect(read.rows.length).toBe(100)
  expect(await rest(await open(2, '1', read.next as number))).toEqual(await rest(reader, 7))
})

test('the position of a row is the number of its event', async () => {
  const read = await (await open(2, '1')).read(10)
  if (read === 'end') throw new Error('there is more')
  const numbers = Array.from({ length: 10 }, (_, i) => read.at(i) as number)
  expect(numbers.every((k) => k % 2 === 1 && generator.kindOf(k) === 'bid')).toBe(true)
  expect((read.rows as Batch<Bid>).keep(9)).toEqual(generator.bid(numbers[9]))
})
