/**
 * Nexmark q5, hot items: which auctions had the most bids in the last 10 seconds? Asked every 2 seconds; auctions that
 * share the first place all come out.
 */
import { jsonLines } from '@millrace/connectors/file'
import { aggregate, count, dataflow, hopping, tumbling, type WindowBounds } from 'millrace'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export interface AuctionBids {
  readonly key: number
  readonly window: WindowBounds
  readonly num: number
}

/** The rows with the largest `num`: one, or several that share it. */
const largest = aggregate({
  create: (): AuctionBids[] => [],
  add(best, row: AuctionBids) {
    if (best.length === 0 || row.num > best[0].num) return [row]
    if (row.num === best[0].num) best.push(row)
    return best
  },
  result: (best) => best,
})

export const q5 = dataflow('nexmark-q5')

const source = bids({ events: workload.events, fields: ['auction', 'dateTime'] })

q5.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .keyBy((bid) => bid.auction)
  .window(hopping('10s', '2s'))
  .aggregate('bids per auction', { num: count() })
  // Results of a window have the time of its end, less 1 ms: those of one hop lie alone in a window of 2 seconds.
  .windowAll(tumbling('2s'))
  .aggregate('hottest auctions', { auctions: largest })
  .flatMap((hop) => hop.auctions)
  .map(({ key, window, num }) => ({ auction: key, num, start: window.start, end: window.end }))
  .sink('hot items', jsonLines({ path: workload.output }))
