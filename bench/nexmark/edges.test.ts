// What generated events seldom meet: boundaries, ties, and the clock.
import { dataflow, type Stream } from 'millrace'
import { arraySink, arraySource, testFlow } from 'millrace/testing'
import { expect, test } from 'vitest'
import type { Auction, Bid } from './generator.ts'
import { highest } from './oracle.ts'
import { averages, type CategoryAverage } from './q4.ts'
import { type HighBid, highestBids } from './q7.ts'
import { type WinningBid, winningBids } from './q9.ts'
import { sessions } from './q11.ts'
import { bidsPerBidder } from './q12.ts'

const time = { time: (row: { readonly dateTime: number }) => row.dateTime, disorder: '4s' } as const

/** The rows that a query over bids gives, in their order. */
async function rowsOf<R>(bids: readonly Bid[], query: (bids: Stream<Bid>) => Stream<R>): Promise<R[]> {
  const flow = dataflow('edge')
  flow.source('bids', arraySource<Bid>([]), time).apply(query).sink('rows', arraySink<R>([]))
  const run = testFlow(flow)
  await run.send('bids', bids)
  await run.end()
  return run.output<R>('rows')
}

/** Like `rowsOf`, of a query over auctions and bids. */
async function rowsOfBoth<R>(
  auctions: readonly Auction[],
  bids: readonly Bid[],
  query: (auctions: Stream<Auction>, bids: Stream<Bid>) => Stream<R>,
): Promise<R[]> {
  const flow = dataflow('edge')
  const opened = flow.source('auctions', arraySource<Auction>([]), time)
  query(opened, flow.source('bids', arraySource<Bid>([]), time)).sink('rows', arraySink<R>([]))
  const run = testFlow(flow)
  await run.send('bids', bids)
  await run.send('auctions', auctions)
  await run.end()
  return run.output<R>('rows')
}

function bid(dateTime: number, price: number, more: Partial<Bid> = {}): Bid {
  return { auction: 1, bidder: 1, price, channel: '', url: '', dateTime, event: dateTime, extra: '', ...more }
}

function auction(id: number, more: Partial<Auction> = {}): Auction {
  const texts = { itemName: '', description: '', extra: '' }
  const prices = { initialBid: 1, reserve: 2 }
  return { id, ...texts, ...prices, dateTime: 100, event: 100, expires: 200, seller: 1, category: 10, ...more }
}

const sorted = (rows: readonly object[]): string[] => {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))).sort()
}

test('q4: bids count from the first to the last ms of an auction, and averages lose what lies behind the point', async () => {
  const bids = [
    ...[bid(99, 90), bid(100, 7), bid(150, 5), bid(201, 90)],
    ...[bid(100, 6, { auction: 2 }), bid(200, 8, { auction: 2 })],
    ...[bid(99, 90, { auction: 3 }), bid(201, 90, { auction: 3 })],
  ]
  const rows = await rowsOfBoth<CategoryAverage>([auction(1), auction(2), auction(3)], bids, averages)
  expect(rows.at(-1)).toEqual({ category: 10, n: 2, sum: 15, average: 7 })
})

test('q9: of equal prices the earliest bid wins, and of one ms the one with the smaller number, however they arrive', async () => {
  const bids = [
    ...[bid(200, 7, { bidder: 4, event: 205 }), bid(200, 7, { bidder: 3, event: 204 }), bid(201, 9)],
    ...[bid(150, 7, { auction: 2, bidder: 6 }), bid(140, 7, { auction: 2, bidder: 5 }), bid(99, 9, { auction: 2 })],
  ]
  const rows = await rowsOfBoth<WinningBid>([auction(1), auction(2), auction(3)], bids, winningBids)
  // Each auction's last change is the bid that won.
  const winners = new Map(rows.map((row) => [row.auction, row.bidder]))
  expect(winners).toEqual(
    new Map([
      [1, 3],
      [2, 5],
    ]),
  )
})

test('q7: a bid on the boundary comes out for both windows when it has the highest price of the one before', async () => {
  const cases = [
    [bid(100, 5), bid(9_999, 7), bid(10_000, 7), bid(12_000, 3)],
    [bid(100, 5), bid(9_999, 7), bid(10_000, 8), bid(12_000, 3)],
    [bid(100, 5), bid(9_999, 7), bid(10_000, 7), bid(12_000, 9), bid(20_000, 9), bid(20_001, 9)],
  ]
  for (const bids of cases) {
    const rows = await rowsOf<HighBid>(bids, highestBids)
    const seen = rows.map(({ auction, bidder, price, dateTime, extra }) => ({
      auction,
      bidder,
      price,
      dateTime,
      extra,
    }))
    expect(sorted(seen)).toEqual(sorted(highest(bids)))
  }
})

test('q11: bids exactly ten seconds apart are of one session, a ms more apart of two', async () => {
  const rows = await rowsOf([bid(1_000, 1), bid(11_000, 1), bid(21_001, 1)], sessions)
  expect(rows).toEqual([
    { bidder: 1, bidCount: 2, start: 1_000, end: 21_000 },
    { bidder: 1, bidCount: 1, start: 21_001, end: 31_001 },
  ])
})

test('q12 in processing time counts every bid once, in the window of the clock', async () => {
  const flow = dataflow('clock')
  flow
    .source('bids', arraySource<{ bidder: number }>([]), { time: 'processing' })
    .apply(bidsPerBidder)
    .sink('rows', arraySink<unknown>([]))
  const clock = testFlow(flow)
  await clock.send('bids', [{ bidder: 1 }, { bidder: 2 }, { bidder: 1 }])
  await clock.advance('10s')
  await clock.send('bids', [{ bidder: 1 }])
  await clock.end()
  const rows = clock.output<{ bidder: number; bidCount: number; start: number; end: number }>('rows')
  expect(rows.map(({ bidder, bidCount }) => [bidder, bidCount]).sort()).toEqual([
    [1, 1],
    [1, 2],
    [2, 1],
  ])
  expect(new Set(rows.map(({ bidder, start }) => `${bidder} ${start}`)).size).toBe(3)
  for (const { start, end } of rows) expect(end - start).toBe(10_000)
})
