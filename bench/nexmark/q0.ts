/** Nexmark q0, pass through: every bid, as it is. What reading and writing cost. */
import { dataflow } from 'millrace'
import type { Bid } from './generator.ts'
import { results } from './results.ts'
import { bids } from './source.ts'
import { workload } from './workload.ts'

export type PassedBid = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'extra'>

export const q0 = dataflow('nexmark-q0')

const source = bids({ ...workload, fields: ['auction', 'bidder', 'price', 'dateTime', 'extra'] })

q0.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' }).sink('results', results('q0'))
