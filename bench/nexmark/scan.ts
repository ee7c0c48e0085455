/** No query: the bids of q5 go to nowhere. What the generator and the source take, to be subtracted from the others. */
import { dataflow } from 'millrace'
import type { Sink } from 'millrace/connector'
import { bids } from './source.ts'
import { workload } from './workload.ts'

const nowhere: Sink<unknown> = {
  kind: 'bench.nowhere',
  guarantee: 'at-least-once',
  describe: () => ({}),
  open: () => ({ write() {}, close() {} }),
}

export const scan = dataflow('nexmark-scan')

const source = bids({ ...workload, fields: ['auction', 'dateTime'] })

scan.source('bids', source, { time: (bid) => bid.dateTime, disorder: '4s' }).sink('nowhere', nowhere)
