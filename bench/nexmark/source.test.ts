import type { Batch, Source, SourceContext, SourceReader } from 'millrace/connector'
import { describe, expect, test } from 'vitest'
import { NexmarkGenerator } from './generator.ts'
import { countOf, type EventKind, eventOf, kindOf } from './numbering.ts'
import { auctions, bids, persons } from './source.ts'

const EVENTS = 5000

const generator = new NexmarkGenerator()
const draw = {
  person: (k: number) => generator.drawPerson(k),
  auction: (k: number) => generator.drawAuction(k),
  bid: (k: number) => generator.drawBid(k),
}

/** A copy of event `k`. */
function made(kind: EventKind, k: number): object {
  draw[kind](k)
  return { ...generator[kind] }
}

const expected: Record<EventKind, object[]> = { person: [], auction: [], bid: [] }
for (let k = 0; k < EVENTS; k++) expected[kindOf(k)].push(made(kindOf(k), k))

const bidFields = ['auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'event', 'extra'] as const
const auctionFields = [
  ...(['id', 'itemName', 'description', 'initialBid', 'reserve', 'dateTime', 'event', 'expires'] as const),
  ...(['seller', 'category', 'extra'] as const),
]
const personFields = ['id', 'name', 'email', 'card', 'city', 'state', 'dateTime', 'event', 'extra'] as const

const sourceOf = (kind: EventKind, partitions: number): Source<object> =>
  ({
    person: () => persons({ events: EVENTS, fields: personFields, partitions }),
    auction: () => auctions({ events: EVENTS, fields: auctionFields, partitions }),
    bid: () => bids({ events: EVENTS, fields: bidFields, partitions }),
  })[kind]()

async function open(source: Source<object>, partition: string, position?: number): Promise<SourceReader<object>> {
  return source.open(partition, position, {} as SourceContext)
}

async function rest(reader: SourceReader<object>, maxRows = 1024): Promise<object[]> {
  const rows: object[] = []
  for (;;) {
    const read = await reader.read(maxRows)
    if (read === 'end') return rows
    const batch = read.rows as Batch<object>
    for (let i = 0; i < batch.length; i++) rows.push({ ...batch.keep(i) })
  }
}

describe.each(['person', 'auction', 'bid'] as const)('source of %s rows', (kind) => {
  test('all partitions together have the rows of the generator', async () => {
    for (const partitions of [1, 2, 3]) {
      const rows: object[] = []
      for (let p = 0; p < partitions; p++) rows.push(...(await rest(await open(sourceOf(kind, partitions), String(p)))))
      const byEvent = (a: object, b: object): number => (a as { event: number }).event - (b as { event: number }).event
      expect(rows.sort(byEvent)).toEqual(expected[kind])
    }
  })

  test('a reader opened at a position goes on where another one stopped', async () => {
    const source = sourceOf(kind, 2)
    const reader = await open(source, '1')
    const read = await reader.read(10)
    if (read === 'end') throw new Error('there is more')
    expect(read.rows.length).toBe(10)
    expect(await rest(await open(source, '1', read.next as number))).toEqual(await rest(reader, 7))
  })

  test('messages name the number of a row by its event', async () => {
    const read = await (await open(sourceOf(kind, 2), '1')).read(10)
    if (read === 'end') throw new Error('there is more')
    for (let i = 0; i < 10; i++) {
      expect({ ...(read.rows as Batch<object>).keep(i) }).toEqual(made(kind, read.at(i) as number))
    }
  })

  test('the number of the n-th event, and how many there are, are those of counting', () => {
    const all = Array.from({ length: 1000 }, (_, k) => k)
    const own = all.filter((k) => kindOf(k) === kind)
    expect(own.map((_, n) => eventOf(kind, n))).toEqual(own)
    for (const events of all) expect(countOf(kind, events)).toBe(own.filter((k) => k < events).length)
  })
})

test('fields that are left out do not change the others', async () => {
  const few = auctions({ events: EVENTS, fields: ['category', 'id'], partitions: 1 })
  const rows = await rest(await open(few, '0'))
  expect(rows).toEqual(expected.auction.map((row) => pick(row as Record<string, unknown>, ['category', 'id'])))
})

function pick(row: Record<string, unknown>, names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, row[name]]))
}
