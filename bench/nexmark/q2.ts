/** Nexmark q2, selection: the prices bid for every 123rd auction. */
import { dataflow, type Stream } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export type SelectedBid = Pick<Bid, 'auction' | 'price'>

export function selected(bids: Stream<SelectedBid>): Stream<SelectedBid> {
  return bids.filter((bid) => bid.auction % 123 === 0).map(({ auction, price }) => ({ auction, price }))
}

export const q2 = dataflow('nexmark-q2')

const source = bids({ ...workload, fields: ['auction', 'price', 'dateTime'] })

q2.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' })
  .apply(selected)
  .sink('results', results('q2'))
