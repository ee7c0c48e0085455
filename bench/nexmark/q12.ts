/**
 * Nexmark q12, processing-time windows: how many bids does a bidder place in 10 seconds of the clock?
 *
 * Which clock is a matter of the source alone. With `time: 'processing'` the windows are those in which the bids happen to
 * be read, and no two runs agree. So that results can be checked, this flow takes the bids' own time for the clock.
 */
import { count, dataflow, type Stream, tumbling } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export interface BidderCount {
  readonly bidder: number
  readonly bidCount: number
  readonly start: number
  readonly end: number
}

export function bidsPerBidder(bids: Stream<Pick<Bid, 'bidder'>>): Stream<BidderCount> {
  return bids
    .keyBy((bid) => bid.bidder)
    .window(tumbling('10s'))
    .aggregate('bids per bidder', { bidCount: count() })
    .map(({ key, window: { start, end }, bidCount }) => ({ bidder: key, bidCount, start, end }))
}

export const q12 = dataflow('nexmark-q12')

const source = bids({ ...workload, fields: ['bidder', 'dateTime'] })

q12
  .source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(bidsPerBidder)
  .sink('results', results('q12'))
