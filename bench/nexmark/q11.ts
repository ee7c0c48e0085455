/**
 * Nexmark q11, user sessions: how many bids does a bidder place before pausing for more than 10 seconds?
 *
 * Bids exactly 10 seconds apart belong to one session here, as in Flink.
 */
import { count, dataflow, type Stream, session } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export interface BidderSession {
  readonly bidder: number
  readonly bidCount: number
  readonly start: number
  /** 10 s after the last bid. */
  readonly end: number
}

export function sessions(bids: Stream<Pick<Bid, 'bidder'>>): Stream<BidderSession> {
  return bids
    .keyBy((bid) => bid.bidder)
    .window(session('10s', { merge: 'touching' }))
    .aggregate('sessions', { bidCount: count() })
    .map(({ key, window: { start, end }, bidCount }) => ({ bidder: key, bidCount, start, end }))
}

export const q11 = dataflow('nexmark-q11')

const source = bids({ ...workload, fields: ['bidder', 'dateTime'] })

q11
  .source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(sessions)
  .sink('results', results('q11'))
