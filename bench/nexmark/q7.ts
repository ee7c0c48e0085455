/**
 * Nexmark q7, highest bid: the bids with the highest price of each 10 seconds.
 *
 * The original joins the highest price of a window with the bids of [start, end], the end included: a bid exactly on the
 * boundary comes out for the window before it too when its price equals that window's highest. Instead of holding every
 * bid for a join, this flow holds the highest ones only; a bid on the boundary visits the window before as a guest.
 */
import { aggregate, dataflow, type Stream, tumbling } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export type HighBid = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'extra'>

export function highestBids(bids: Stream<HighBid>): Stream<HighBid> {
  const guests = bids.filter((bid) => bid.dateTime % 10_000 === 0).withTime((bid) => bid.dateTime - 1)
  return bids
    .union(guests)
    .windowAll(tumbling('10s'))
    .aggregate('highest bids', { bids: highest })
    .flatMap((window) => window.bids)
}

interface Highest {
  price: number
  bids: HighBid[]
  guests: HighBid[]
}

const highest = aggregate({
  create: (): Highest => ({ price: 0, bids: [], guests: [] }),
  add(acc, bid: HighBid, time) {
    if (time < bid.dateTime) acc.guests.push(bid)
    else if (bid.price === acc.price) acc.bids.push(bid)
    else if (bid.price > acc.price) {
      acc.price = bid.price
      acc.bids = [bid]
    }
    return acc
  },
  result: ({ price, bids, guests }) => [...bids, ...guests.filter((guest) => guest.price === price)],
})

export const q7 = dataflow('nexmark-q7')

const source = bids({ ...workload, fields: ['auction', 'bidder', 'price', 'dateTime', 'extra'] })

q7.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(highestBids)
  .sink('results', results('q7'))
