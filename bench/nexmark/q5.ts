/**
 * Nexmark q5, hot items: which auctions had the most bids in the last 10 seconds? Asked every 2 seconds; auctions that
 * share the first place all come out.
 */
import { aggregate, count, dataflow, hopping, type Stream, tumbling, type WindowBounds } from 'millrace'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export interface HotAuction {
  readonly auction: number
  readonly num: number
  readonly start: number
  readonly end: number
}

export function hottestAuctions(bids: Stream<{ readonly auction: number }>): Stream<HotAuction> {
  return (
    bids
      .keyBy((bid) => bid.auction)
      .window(hopping('10s', '2s'))
      .aggregate('bids per auction', { num: count() })
      // Results of a window have the time of its end, less 1 ms: those of one hop lie alone in a window of 2 seconds.
      .windowAll(tumbling('2s'))
      .aggregate('hottest', { auctions: largest })
      .flatMap((hop) => hop.auctions)
      .map(({ key, window, num }) => ({ auction: key, num, start: window.start, end: window.end }))
  )
}

interface AuctionCount {
  readonly key: number
  readonly window: WindowBounds
  readonly num: number
}

/** The rows with the largest `num`: one, or several that share it. */
const largest = aggregate({
  create: (): AuctionCount[] => [],
  add(best, row: AuctionCount) {
    if (best.length === 0 || row.num > best[0].num) return [row]
    if (row.num === best[0].num) best.push(row)
    return best
  },
  result: (best) => best,
})

export const q5 = dataflow('nexmark-q5')

const source = bids({ ...workload, fields: ['auction', 'dateTime'] })

q5.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(hottestAuctions)
  .sink('results', results('q5'))
