/**
 * Bids with the auction they are for, of those that were placed while it was open, the first and the last ms included: the
 * first half of q4 and q9.
 *
 * An interval join, because an auction is open for a limited time, which depends on the rate of the events. A bid may come
 * before its auction: both wait for each other for as long as they may still meet.
 */
import type { Stream } from 'millrace'
import { type Auction, type Bid, openMsMax } from './generator.ts'
import { workload } from './workload.ts'

type Opened = Pick<Auction, 'id' | 'dateTime' | 'expires'>
type Placed = Pick<Bid, 'auction' | 'dateTime'>

export function validBids<A extends Opened, B extends Placed>(auctions: Stream<A>, bids: Stream<B>) {
  return auctions
    .keyBy((auction) => auction.id)
    .join(
      'bids while open',
      bids.keyBy((bid) => bid.auction),
      { within: ['0s', `${openMsMax(workload.rate)}ms`] },
    )
    .filter(({ left, right }) => right.dateTime <= left.expires)
}
