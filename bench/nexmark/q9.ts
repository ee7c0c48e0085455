/**
 * Nexmark q9, winning bids: the highest bid of each auction while it was open; of equal ones the earliest.
 *
 * A bid leads until a higher one comes, so the results are changes: the bid that no longer leads (weight -1), then the one
 * that does. Bids of one ms are ordered by their event's number, since two partitions have no common order of arrival.
 */
import { dataflow, type Stream } from 'millrace'
import type { Auction, Bid } from './generator.ts'
import { results } from './results.ts'
import { auctions, bids } from './source.ts'
import { validBids } from './valid-bids.ts'
import { workload } from './workload.ts'

type PlacedBid = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'event' | 'extra'>

/** The auction, and of the bid what it has not. */
export interface WinningBid extends Omit<Auction, 'event'> {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly bidTime: number
  readonly bidExtra: string
}

/** More than the events while an auction is open: what is left of a number beside a price. */
const EVENTS_OPEN_MAX = 2 ** 20

export function winningBids(auctions: Stream<Auction>, bids: Stream<PlacedBid>): Stream<WinningBid> {
  return validBids(auctions, bids)
    .keyBy(({ key }) => key)
    .topN('winning bid', {
      n: 1,
      by: ({ left, right }) => right.price * EVENTS_OPEN_MAX - (right.event - left.event),
    })
    .map(({ row: { left, right } }) => {
      const { event: _, ...auction } = left
      const { auction: id, bidder, price, dateTime: bidTime, extra: bidExtra } = right
      return { ...auction, auction: id, bidder, price, bidTime, bidExtra }
    })
}

export const q9 = dataflow('nexmark-q9')

const opened = q9.source(
  'auctions',
  auctions({
    ...workload,
    fields: [
      ...(['id', 'itemName', 'description', 'initialBid', 'reserve', 'dateTime', 'event', 'expires'] as const),
      ...(['seller', 'category', 'extra'] as const),
    ],
  }),
  { time: (auction) => auction.dateTime, disorder: '4s', align: '10s' },
)
const placed = q9.source(
  'bids',
  bids({ ...workload, fields: ['auction', 'bidder', 'price', 'dateTime', 'event', 'extra'] }),
  { time: (bid) => bid.dateTime, disorder: '4s', align: '10s' },
)

winningBids(opened, placed).sink('results', results('q9'))
