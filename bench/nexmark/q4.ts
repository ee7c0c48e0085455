/**
 * Nexmark q4, average price for a category: what do auctions of each category fetch on average?
 *
 * What an auction fetches is the highest bid while it was open. It rises: `topN` gives each change as the bid that is taken
 * back (weight -1) and the one in its place, and the sums per category add and subtract them. The window has no end; it
 * gives results every two seconds, and at the end of the input.
 */
import { count, dataflow, everyTime, globalWindow, type Stream, sum } from 'millrace'
import type { Auction, Bid } from './generator.ts'
import { results } from './results.ts'
import { auctions, bids } from './source.ts'
import { validBids } from './valid-bids.ts'
import { workload } from './workload.ts'

export interface CategoryAverage {
  readonly category: number
  /** Auctions with a bid. */
  readonly n: number
  readonly sum: number
  /** Without what lies behind the point. */
  readonly average: number
}

export function averages(
  auctions: Stream<Pick<Auction, 'id' | 'category' | 'dateTime' | 'expires'>>,
  bids: Stream<Pick<Bid, 'auction' | 'price' | 'dateTime'>>,
): Stream<CategoryAverage> {
  return validBids(auctions, bids)
    .map(({ left, right }) => ({ auction: left.id, category: left.category, price: right.price }))
    .keyBy((bid) => bid.auction)
    .topN('highest bid', { n: 1, by: (bid) => bid.price })
    .keyBy(({ row }) => row.category)
    .window(globalWindow({ trigger: everyTime('2s'), after: 'accumulate' }))
    .aggregate('categories', { n: count(), sum: sum(({ row }) => row.price) })
    .map(({ key, n, sum }) => ({ category: key, n, sum, average: Math.trunc(sum / n) }))
}

export const q4 = dataflow('nexmark-q4')

const opened = q4.source('auctions', auctions({ ...workload, fields: ['id', 'category', 'dateTime', 'expires'] }), {
  ...{ time: (auction) => auction.dateTime, disorder: '4s', align: '10s' },
})
const placed = q4.source('bids', bids({ ...workload, fields: ['auction', 'price', 'dateTime'] }), {
  ...{ time: (bid) => bid.dateTime, disorder: '4s', align: '10s' },
})

averages(opened, placed).sink('results', results('q4'))
