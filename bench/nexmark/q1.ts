/**
 * Nexmark q1, currency conversion: every bid with its price in euros, at 0.908 to the dollar.
 *
 * The price of the result is in thousandths of a cent, a whole number: price * 0.908 has three decimals, and a float
 * would round them.
 */
import { dataflow, type Stream } from 'millrace'
import type { PassedBid } from './q0.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

/** `price` in thousandths of a cent. */
export type ConvertedBid = PassedBid

export function inEuros(bids: Stream<PassedBid>): Stream<ConvertedBid> {
  return bids.map(({ auction, bidder, price, dateTime, extra }) => {
    return { auction, bidder, price: price * 908, dateTime, extra }
  })
}

export const q1 = dataflow('nexmark-q1')

const source = bids({ ...workload, fields: ['auction', 'bidder', 'price', 'dateTime', 'extra'] })

q1.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(inEuros)
  .sink('results', results('q1'))
