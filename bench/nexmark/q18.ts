/**
 * Nexmark q18, find last bid: of each bidder the last bid on each auction.
 *
 * Results are changes: the bid that is no longer the last (weight -1), then the one that is. Of bids of one ms the one
 * whose event has the larger number is the later one, since two partitions have no common order of arrival.
 */
import { dataflow, type Stream } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export type LastBid = Bid

export function lastBids(bids: Stream<Bid>): Stream<LastBid> {
  return bids
    .keyBy((bid) => [bid.bidder, bid.auction])
    .topN('last bid', { n: 1, by: (bid) => bid.event })
    .map(({ row }) => row)
}

export const q18 = dataflow('nexmark-q18')

const source = bids({
  ...workload,
  fields: ['auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'event', 'extra'],
})

q18
  .source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(lastBids)
  .sink('results', results('q18'))
