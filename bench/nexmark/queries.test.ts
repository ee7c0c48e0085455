import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataflow } from 'millrace'
import { arraySink, arraySource } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { measureInChild } from '../lib/child.ts'
import { type Bid, NexmarkGenerator } from './generator.ts'
import { type HighBid, highestBids } from './q7.ts'
import type { QueryRun } from './run.ts'

const EVENTS = 100_000

const generator = new NexmarkGenerator()
const all: HighBid[] = []
for (let k = 0; k < EVENTS; k++) {
  if (generator.kindOf(k) !== 'bid') continue
  const { auction, bidder, price, dateTime }: Bid = generator.bid(k)
  all.push({ auction, bidder, price, dateTime })
}
const firstMs = all[0].dateTime
const lastMs = all[all.length - 1].dateTime

const sorted = (rows: readonly object[]): string[] => {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))).sort()
}

/** By definition: every window on its own, from all bids. */
function hotByDefinition(): object[] {
  const rows: object[] = []
  for (let start = Math.floor(firstMs / 2000) * 2000 - 8000; start <= lastMs; start += 2000) {
    const end = start + 10_000
    const counts = new Map<number, number>()
    for (const { auction, dateTime } of all) {
      if (dateTime >= start && dateTime < end) counts.set(auction, (counts.get(auction) ?? 0) + 1)
    }
    const most = Math.max(...counts.values())
    for (const [auction, num] of counts) if (num === most) rows.push({ auction, num, start, end })
  }
  return rows
}

function highestByDefinition(bids: readonly HighBid[]): HighBid[] {
  const rows: HighBid[] = []
  const first = Math.floor(bids[0].dateTime / 10_000) * 10_000
  for (let start = first; start <= bids[bids.length - 1].dateTime; start += 10_000) {
    const end = start + 10_000
    const inside = bids.filter(({ dateTime }) => dateTime >= start && dateTime < end)
    const price = Math.max(...inside.map((bid) => bid.price))
    rows.push(...bids.filter((bid) => bid.price === price && bid.dateTime >= start && bid.dateTime <= end))
  }
  return rows
}

// Each run is a process of its own, which a busy machine may take long to start.
const TIMEOUT = { timeout: 60_000 }

describe.each([1, 2])('with %i workers', TIMEOUT, (workers) => {
  const run = (query: string): Promise<QueryRun> =>
    measureInChild('nexmark/run.ts', [query, '--events', String(EVENTS), '--workers', String(workers)])

  test('q5 gives the auctions that have the most bids by definition', async () => {
    expect(sorted((await run('q5')).rows)).toEqual(sorted(hotByDefinition()))
  })

  test('q7 gives the bids that are the highest by definition', async () => {
    expect(sorted((await run('q7')).rows)).toEqual(sorted(highestByDefinition(all)))
  })
})

test('q7: a bid on the boundary comes out for both windows when it has the highest price of the one before', async () => {
  const bid = (dateTime: number, price: number): HighBid => ({ auction: 1, bidder: 1, price, dateTime })
  const cases = [
    [bid(100, 5), bid(9_999, 7), bid(10_000, 7), bid(12_000, 3)],
    [bid(100, 5), bid(9_999, 7), bid(10_000, 8), bid(12_000, 3)],
    [bid(100, 5), bid(9_999, 7), bid(10_000, 7), bid(12_000, 9), bid(20_000, 9), bid(20_001, 9)],
  ]
  for (const bids of cases) {
    const rows: HighBid[] = []
    const flow = dataflow('boundary')
    flow
      .source('bids', arraySource(bids), { time: (row) => row.dateTime, disorder: '4s' })
      .apply(highestBids)
      .sink('rows', arraySink(rows))
    const folder = mkdtempSync(join(tmpdir(), 'millrace-q7-'))
    try {
      await flow.run({ state: folder, execution: 'inline' })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    expect(sorted(rows)).toEqual(sorted(highestByDefinition(bids)))
  }
})
