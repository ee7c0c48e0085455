/**
 * Nexmark q20, expand bid with auction: every bid on an auction of category 10, with all that is known of the auction.
 *
 * A join without bounds in time, which the joins of the API are not (see q3): a step of its own. An auction is opened once,
 * so that bids wait only until it comes. Of auctions of other categories the step remembers that they are, and their
 * bids need not wait for ever.
 */
import { dataflow, type Stream } from 'millrace'
import type { Auction, Bid } from './generator.ts'
import { results } from './results.ts'
import { auctions, bids } from './source.ts'
import { workload } from './workload.ts'

type WideAuction = Omit<Auction, 'event'>
type WideBid = Omit<Bid, 'event'>

/** The bid, and the auction's fields of the same names with another. */
export interface ExpandedBid extends WideBid, Omit<WideAuction, 'id' | 'dateTime' | 'extra'> {
  readonly auctionTime: number
  readonly auctionExtra: string
}

const CATEGORY = 10

export function expandedBids(bids: Stream<WideBid>, auctions: Stream<WideAuction>): Stream<ExpandedBid> {
  const opened = auctions.keyBy((auction) => auction.id)
  return bids
    .keyBy((bid) => bid.auction)
    .processWith<WideAuction, ExpandedBid>('bids and auction', opened, (setup) => {
      const auction = setup.value<WideAuction | 'other'>('auction')
      const waiting = setup.list<WideBid>('bids without auction')
      return {
        onRecord(bid, ctx) {
          const known = auction.get()
          if (known === undefined) waiting.append(bid)
          else if (known !== 'other') ctx.emit(expanded(bid, known))
        },
        onRecord2(row, ctx) {
          const isWanted = row.category === CATEGORY
          auction.set(isWanted ? row : 'other')
          if (isWanted) for (const bid of waiting.get()) ctx.emit(expanded(bid, row), Math.max(bid.dateTime, ctx.time))
          waiting.clear()
        },
      }
    })
}

function expanded(bid: WideBid, auction: WideAuction): ExpandedBid {
  const { itemName, description, initialBid, reserve, dateTime, expires, seller, category, extra } = auction
  const rest = { itemName, description, initialBid, reserve, expires, seller, category }
  return { ...bid, ...rest, auctionTime: dateTime, auctionExtra: extra }
}

export const q20 = dataflow('nexmark-q20')

const placed = q20.source(
  'bids',
  bids({ ...workload, fields: ['auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'extra'] }),
  { time: (bid) => bid.dateTime, disorder: '4s', align: '10s' },
)
const opened = q20.source(
  'auctions',
  auctions({
    ...workload,
    fields: [
      ...(['id', 'itemName', 'description', 'initialBid', 'reserve', 'dateTime', 'expires'] as const),
      ...(['seller', 'category', 'extra'] as const),
    ],
  }),
  { time: (auction) => auction.dateTime, disorder: '4s', align: '10s' },
)

expandedBids(placed, opened).sink('results', results('q20'))
