/**
 * Nexmark q17, auction statistics report: bids and prices of each auction and day, in UTC.
 *
 * A day's result is due at its end. `early` gives those that changed every two seconds before that; a result replaces the
 * one before it of the same auction and day.
 */
import { count, dataflow, max, min, type Stream, sum, tumbling } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export interface AuctionDay {
  readonly auction: number
  /** Its first ms. */
  readonly day: number
  readonly bids: number
  /** Bids below 100, below 10,000, and of 10,000 dollars and more. */
  readonly low: number
  readonly middle: number
  readonly high: number
  readonly minPrice: number
  readonly maxPrice: number
  /** Without what lies behind the point. */
  readonly avgPrice: number
  readonly sumPrice: number
}

type Priced = Pick<Bid, 'auction' | 'price'>

export function auctionDays(bids: Stream<Priced>): Stream<AuctionDay> {
  return bids
    .keyBy((bid) => bid.auction)
    .window(tumbling('1d'), { early: '2s' })
    .aggregate('statistics', {
      bids: count(),
      low: sum(({ price }: Priced) => (price < 10_000 ? 1 : 0)),
      middle: sum(({ price }: Priced) => (price >= 10_000 && price < 1_000_000 ? 1 : 0)),
      high: sum(({ price }: Priced) => (price >= 1_000_000 ? 1 : 0)),
      minPrice: min((bid) => bid.price),
      maxPrice: max((bid) => bid.price),
      sumPrice: sum((bid) => bid.price),
    })
    .map(({ key, window, bids, low, middle, high, minPrice, maxPrice, sumPrice }) => {
      const avgPrice = Math.trunc(sumPrice / bids)
      return { auction: key, day: window.start, bids, low, middle, high, minPrice, maxPrice, avgPrice, sumPrice }
    })
}

export const q17 = dataflow('nexmark-q17')

const source = bids({ ...workload, fields: ['auction', 'price', 'dateTime'] })

q17
  .source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(auctionDays)
  .sink('results', results('q17'))
