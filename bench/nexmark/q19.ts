/**
 * Nexmark q19, auction top 10: the ten highest bids of each auction, with their ranks.
 *
 * Results are changes: for each rank that another bid holds now, the bid that held it (weight -1), then the one that does.
 * Among equal prices any order is right.
 */
import { dataflow, type Stream } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

type WideBid = Omit<Bid, 'event'>

export interface RankedBid {
  /** 1 is the highest. */
  readonly rank: number
  readonly row: WideBid
}

export function topTen(bids: Stream<WideBid>): Stream<RankedBid> {
  return bids.keyBy((bid) => bid.auction).topN('top 10', { n: 10, by: (bid) => bid.price })
}

export const q19 = dataflow('nexmark-q19')

const source = bids({ ...workload, fields: ['auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'extra'] })

q19
  .source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(topTen)
  .sink('results', results('q19'))
